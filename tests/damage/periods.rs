//! Damage to what is stored of periods and of definitions.

use super::*;

/// Cut off anywhere or with any bit flipped, these are refused, all of these ways to say where among them, or are other content.
fn assert_refused(state: &Aggregator, sections: &[Section], rows: &[Vec<u8>], ways: &[&str]) {
    assert!(sections.len() > 8);
    let mut said = BTreeSet::new();
    for number in sections.iter().map(|section| section.number()) {
        let stored_section = section(state, number);
        said.extend(flips(&stored_section, again(state, number)));
        said.extend(cuts(&stored_section, stored(state, number)));
    }
    for row in rows {
        said.extend(flips(row, |bytes| journal::decode(bytes).map(|effects| journal::encode(&effects))));
        said.extend(cuts(row, |bytes| journal::decode(bytes).map(|_| ())));
    }
    for expected in ways {
        assert!(said.iter().any(|text| text.contains(expected)), "{expected} is not among {said:#?}");
    }
}

/// Sections and rows about periods, cut off anywhere or with any bit flipped: refused by place, or other content, never a panic.
#[test]
fn what_is_stored_of_periods_is_refused_by_place_or_is_other_content() {
    let (state, rows) = golden::state_4();
    let sets = state.sets().of_periods().map(|(set, _)| Section::Set(set));
    let sections: Vec<Section> = sets.chain(state.series().places().map(Section::Series)).collect();
    assert_refused(
        &state,
        &sections,
        &rows,
        &[
            "period: out of range",
            "series, place",
            "series, missed day: out of range",
            "series, point 1, period: out of order",
            "series, dropped period: out of range",
            "series, point 0, flags: out of range",
            "series, point 3, first users",
            "units: out of range",
            "day: out of range",
            "fingerprint: out of order",
            "number of fingerprints",
            "fingerprints: not in the form that is written",
        ],
    );
}

/// The same about definitions.
#[test]
fn what_is_stored_of_definitions_is_refused_by_place_or_is_other_content() {
    let (state, rows) = golden::state_5();
    let sets = state.sets().of_periods().map(|(set, _)| set);
    let sets = sets.filter(|set| set.definition().is_some()).map(Section::Set);
    let grids = state.grids().numbers().map(Section::Grid);
    let definitions = state.definitions().iter().map(|definition| Section::Definition(definition.number));
    let sections: Vec<Section> = sets.chain(grids).chain(definitions).collect();
    assert_refused(
        &state,
        &sections,
        &rows,
        &[
            "(cohort of definition 7), period: out of range",
            "(cohort of definition 0), periods: out of range",
            "(returns of definition 0), period",
            "grid, periods: out of range",
            "grid, cohort 0, period",
            "grid, cohort 1, period: out of order",
            "grid, cohort 0, flags: unknown to this version",
            "grid, cohort 0, users",
            "grid, number of cohorts",
            "grid, number of ended returns",
            "definition, since",
            "definition, kind: unknown to this version",
            "definition, event",
            "definition, unit: out of range",
            "definition, periods: out of range",
            "effect 0 (definition)",
            "change 0, kind: unknown to this version",
            "change 0, period: out of range",
            "number of changes",
        ],
    );
}
