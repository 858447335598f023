//! Damaged storage: every decoder says which field of what is wrong, never panics, and never tells a value.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use kimball_edge::core::format::bytes::frame;
use kimball_edge::core::format::corrupt::{Corrupt, Defect};
use kimball_edge::core::identity::Keys;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::week::Week;
use kimball_edge::core::pre_aggregation::{Bounds, Level, PreAggregator};
use kimball_edge::core::state::aggregator::{Aggregator, Operation, Section};
use kimball_edge::core::state::counts;
use kimball_edge::core::state::effect::{Carried, Effect};
use kimball_edge::core::state::journal;
use kimball_edge::core::state::set_key::SetKey;
use kimball_edge::core::state::shard_limits::{ShardLimits, Sizing};
use kimball_edge::core::state::snapshot;

#[path = "damage/periods.rs"]
mod periods;

#[path = "golden/state.rs"]
#[allow(dead_code)]
mod golden;

const FRAME_BYTES: usize = 8;
const GOAL: u32 = 4;

/// A goal with everything that a counter can have, and the journal rows that lead to it.
fn state() -> (Aggregator, Vec<Vec<u8>>) {
    let keys = Keys::new(&[5; 32]);
    let unlink = keys.unlink("shop");
    let tag = |event: u32| unlink.tag(&format!("event {event}"));
    let sizing = Sizing { users_max: 1_000, false_positive_rate: 0.01 };
    let limits = ShardLimits { sizings: [(GOAL, sizing)].into_iter().collect(), ..ShardLimits::NONE };
    let record = |event, user: u32| Operation::Record {
        event,
        tag: tag(event),
        user: keys.user("shop", &user.to_string()),
        value: (event == GOAL).then_some(2.5),
        week: if event == GOAL { Week::of_unix_s(1_645_000_000 + i64::from(user % 2) * 604_800) } else { None },
        time: None,
    };
    let mut state = Aggregator::default();
    let batches = [
        vec![Operation::Goal { event: GOAL, tag: tag(GOAL) }],
        (0..9).map(|user| record(user % 2, user)).collect(),
        (0..9).map(|user| record(GOAL, user)).collect(),
    ];
    let rows =
        batches.iter().map(|batch| journal::encode(&state.apply(batch, &unlink, &limits, Day::MAX).unwrap())).collect();
    (state, rows)
}

/// The section of a number.
fn section(state: &Aggregator, number: u64) -> Vec<u8> {
    let counters = state.counters().map(|(event, _)| Section::Counter(event));
    let sets = state.sets().iter().map(|(set, _)| Section::Set(set));
    let grids = state.grids().numbers().map(Section::Grid);
    let definitions = state.definitions().iter().map(|definition| Section::Definition(definition.number));
    let series = state.series().places().map(Section::Series);
    let mut sections = counters.chain(sets).chain(series).chain(grids).chain(definitions);
    snapshot::encode(state, sections.find(|section| section.number() == number).unwrap()).unwrap()
}

/// Other content in a frame of its own, whose checksum is right.
fn reframed(framed: &[u8], payload: &[u8]) -> Vec<u8> {
    frame(framed[2], framed[3], payload)
}

/// What is said of content that is cut off, from the shortest on, each once.
fn cuts(framed: &[u8], decode: impl Fn(&[u8]) -> Result<(), Corrupt>) -> Vec<String> {
    assert_eq!(decode(framed), Ok(()));
    let payload = &framed[FRAME_BYTES..];
    let mut said: Vec<String> = (0..payload.len())
        .filter_map(|len| decode(&reframed(framed, &payload[..len])).err())
        // What is left of a row may be one of an earlier version.
        .filter(|corrupt| corrupt.defect() != Defect::Form)
        .map(|corrupt| {
            assert_eq!(corrupt.defect(), Defect::Short, "{corrupt}");
            corrupt.to_string().strip_suffix(": the bytes end before it does").unwrap().to_owned()
        })
        .collect();
    said.dedup();
    said
}

/// What is said of content with one flipped bit, wherever it is. What is taken must be content of its own.
fn flips(framed: &[u8], decode: impl Fn(&[u8]) -> Result<Vec<u8>, Corrupt>) -> BTreeSet<String> {
    let payload = &framed[FRAME_BYTES..];
    let mut said = BTreeSet::new();
    for bit in 0..payload.len() * 8 {
        let mut flipped = payload.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match decode(&reframed(framed, &flipped)) {
            Ok(encoded) => assert_eq!(encoded[FRAME_BYTES..], flipped, "bit {bit}"),
            Err(corrupt) => {
                said.insert(corrupt.to_string());
            }
        }
    }
    said
}

fn stored(state: &Aggregator, number: u64) -> impl Fn(&[u8]) -> Result<(), Corrupt> {
    let again = again(state, number);
    move |bytes| again(bytes).map(|_| ())
}

/// Reads a section, behind the counters that a set needs, and writes it again.
fn again(state: &Aggregator, number: u64) -> impl Fn(&[u8]) -> Result<Vec<u8>, Corrupt> {
    let mut counters = Aggregator::default();
    if number >= SetKey::Event(0).number() {
        for (event, _) in state.counters() {
            let number = Section::Counter(event).number();
            snapshot::decode_stored(&mut counters, number, &section(state, number)).unwrap();
        }
    }
    move |bytes| {
        let mut state = counters.clone();
        snapshot::decode_stored(&mut state, number, bytes)?;
        Ok(section(&state, number))
    }
}

/// Words and positions: no value of anything that is about a user has so few digits.
fn has_places_only(said: &str) {
    let numbers = said.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    assert!(numbers.into_iter().all(|digits| digits.len() <= 4), "{said}");
    assert!(said.contains(": ") && said.is_ascii(), "{said}");
}

#[test]
fn a_section_that_is_cut_off_names_the_field_at_its_end() {
    let (state, _) = state();
    let fields = [
        "tag",
        "flags",
        "fingerprint bits",
        "sum, high",
        "sum, low",
        "goal record, number of combinations",
        "goal record, combination 0, length of the bitmap",
        "goal record, combination 0, bitmap",
        "goal record, combination 0, count",
        "goal record, combination 1, length of the bitmap",
        "goal record, combination 1, bitmap",
        "goal record, combination 1, count",
        "goal record, other",
        "goal record, number of single counts",
        "goal record, single count 0, event",
        "goal record, single count 0, count",
        "goal record, single count 1, event",
        "goal record, single count 1, count",
    ];
    let mut expected = vec!["section 5 (event 4), section number".to_owned()];
    expected.extend(fields.iter().map(|field| format!("section 5 (event 4), {field}")));
    assert_eq!(cuts(&section(&state, 5), stored(&state, 5)), expected);

    let user_set = ["number of fingerprints", "bits of a lower part", "length of the gaps", "gaps"];
    let of_set = |parts: &[&str]| {
        let mut fields = ["section number", "kind"].map(str::to_owned).to_vec();
        fields.extend(parts.iter().map(|&part| part.to_owned()));
        fields.push("fingerprint bits".to_owned());
        fields.extend(user_set.iter().map(|field| format!("user set, {field}")));
        fields
    };
    let week = state.sets().others(4).next().unwrap().0;
    for (set, place, parts) in [
        (SetKey::AllUsers, "section 0 (all users)", &[][..]),
        (SetKey::Event(4), "set of kind 1 (users of event 4)", &["event"]),
        (week, "set of kind 2 (users in a week of event 4)", &["event", "week"]),
    ] {
        let said = cuts(&section(&state, set.number()), stored(&state, set.number()));
        assert_eq!(said, of_set(parts).iter().map(|field| format!("{place}, {field}")).collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_is_told_by_place_and_field() {
    let (state, _) = state();
    let said = flips(&section(&state, 5), again(&state, 5));
    for text in &said {
        has_places_only(text);
    }
    assert!(
        said.iter().all(|text| text.starts_with("section 5 (event 4), ") || text.starts_with("section 5 (event 4): "))
    );
    for expected in [
        "section number: does not fit what comes before it",
        "flags: out of range",
        "fingerprint bits: out of range",
        "goal record, combination 0, bitmap: not in the form that is written",
        "goal record, combination 1, bitmap: out of order",
    ] {
        assert!(said.contains(&format!("section 5 (event 4), {expected}")), "{expected} is not among {said:#?}");
    }
    let set = SetKey::Event(4).number();
    let said = flips(&section(&state, set), again(&state, set));
    for text in &said {
        has_places_only(text);
    }
    for expected in [
        "kind: unknown to this version",
        "section number: does not fit what comes before it",
        "user set, fingerprint bits: out of range",
        "user set, bits of a lower part: not in the form that is written",
        "user set, padding: not in the form that is written",
    ] {
        assert!(said.contains(&format!("set of kind 1 (users of event 4), {expected}")), "{expected}: {said:#?}");
    }
    let is_of_a_gap =
        |text: &&String| text.contains("user set, gap ") && text.ends_with(": beyond the space of fingerprints");
    assert!(said.iter().any(|text| is_of_a_gap(&text)), "{said:#?}");
    let week = state.sets().others(4).next().unwrap().0.number();
    let said = flips(&section(&state, week), again(&state, week));
    assert!(said.contains("set of kind 2 (users in a week of event 4), week: out of range"), "{said:#?}");

    let said = flips(&section(&state, 0), again(&state, 0));
    assert!(said.iter().all(|text| text.starts_with("section 0 (all users)")));
}

#[test]
fn the_gap_that_leaves_the_space_of_fingerprints_is_named() {
    // The set of event 16: 300 users, and gap 212 has too many one bits.
    let mut state = Aggregator::default();
    let keys = Keys::new(&[6; 32]);
    let unlink = keys.unlink("shop");
    let record = |user: u32| Operation::Record {
        event: 16,
        tag: unlink.tag("event"),
        user: keys.user("shop", &user.to_string()),
        value: None,
        week: None,
        time: None,
    };
    let batch: Vec<Operation> = (0..300).map(record).collect();
    state.apply(&batch, &unlink, &ShardLimits::NONE, Day::MAX).unwrap();
    let number = SetKey::Event(16).number();
    let section = section(&state, number);
    // Section number (1), kind (1), event (1), bits (1), number of fingerprints (2), bits of a lower part (1), length (2).
    let (head, stream) = section[FRAME_BYTES..].split_at(9);
    let k = u32::from(head[6]);
    let mut bit = 0;
    let is_one = |bit: usize| stream[bit / 8] >> (bit % 8) & 1 == 1;
    for _ in 0..212 {
        while is_one(bit) {
            bit += 1;
        }
        bit += 1 + k as usize;
    }
    let mut changed = stream.to_vec();
    for at in bit..bit + 600 {
        changed[at / 8] |= 1 << (at % 8);
    }
    let said = stored(&state, number)(&reframed(&section, &[head, &changed].concat())).unwrap_err().to_string();
    assert_eq!(said, "set of kind 1 (users of event 16), user set, gap 212: beyond the space of fingerprints");
}

#[test]
fn a_damaged_frame_is_told_as_such() {
    let (state, rows) = state();
    let section = section(&state, 5);
    let said = |bytes: &[u8]| stored(&state, 5)(bytes).unwrap_err().to_string();
    for bit in 0..section.len() * 8 {
        let mut flipped = section.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let field = match bit / 8 {
            0 | 1 => "first bytes: unknown to this version",
            2 => "kind: unknown to this version",
            3 if flipped[3] == 0 || flipped[3] > 7 => "version: unknown to this version",
            3 => "version: not in the form that is written",
            _ => "checksum: does not match the content",
        };
        assert_eq!(said(&flipped), format!("section 5 (event 4), frame, {field}"));
    }
    assert_eq!(said(&section[..7]), "section 5 (event 4), frame: the bytes end before it does");
    let later = frame(b'J', 8, &rows[0][FRAME_BYTES..]);
    assert_eq!(journal::decode(&later).unwrap_err().to_string(), "frame, version: unknown to this version");
    assert_eq!(
        said(&[&section[..], &[0]].concat()),
        "section 5 (event 4), frame, checksum: does not match the content"
    );
    let longer = reframed(&section, &[&section[FRAME_BYTES..], &[0]].concat());
    assert_eq!(said(&longer), "section 5 (event 4): bytes are left behind it");
    for row in &rows {
        for bit in 0..row.len() * 8 {
            let mut flipped = row.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let said = journal::decode(&flipped).unwrap_err().to_string();
            // A row of version 5 that says it is one of an earlier version has a kind that this one did not.
            assert!(said.starts_with("frame, ") || matches!(flipped[3], 1 | 4), "bit {bit}: {said}");
        }
        assert!((0..row.len()).all(|len| journal::decode(&row[..len]).is_err()));
    }
    let mut twice = state.clone();
    let said = snapshot::decode_stored(&mut twice, 5, &section).unwrap_err().to_string();
    assert_eq!(said, "section 5 (event 4), counter: there already");
    let elsewhere = snapshot::decode_stored(&mut Aggregator::default(), 6, &section).unwrap_err().to_string();
    assert_eq!(elsewhere, "section 6 (event 5), section number: does not fit what comes before it");
}

/// Version 4 wrote every fingerprint in full; the lower 24 bits of one in 2^24 happen to be 0.
#[test]
fn fingerprints_that_could_be_short_are_read_where_they_are_long_by_their_version() {
    let long = |fingerprint: u64| [&[128][..], &fingerprint.to_le_bytes()].concat();
    let payload = [long(0x1234_5678_9a00_0000), long(0x1234_5678_9abc_def0)].concat();
    let effects = journal::decode(&frame(b'J', 4, &payload)).unwrap();
    let expected = [0x1234_5678_9a00_0000, 0x1234_5678_9abc_def0].map(|one| Effect::insert(SetKey::AllUsers, one));
    assert_eq!(effects, expected);
    // Written again, it is of version 5, and so shorter.
    let row = journal::encode(&effects);
    assert_eq!((row[3], row.len()), (5, FRAME_BYTES + 6 + 9));
    assert_eq!(journal::decode(&row).unwrap(), expected);
    let said = |version, payload: &[u8]| journal::decode(&frame(b'J', version, payload)).unwrap_err().to_string();
    assert_eq!(said(5, &payload), "effect 0 (all users), fingerprint: not in the form that is written");
    assert_eq!(said(5, &long(0x1234_5678_9abc_def0)), "frame, version: not in the form that is written");
    assert_eq!(said(4, &row[FRAME_BYTES..]), "effect 0 (all users), kind: unknown to this version");
}

#[test]
fn a_journal_row_names_the_effect_and_its_field() {
    let (_, rows) = state();
    let decode = |bytes: &[u8]| journal::decode(bytes).map(|_| ());
    assert_eq!(
        cuts(&rows[0], decode),
        [
            "effect 0, event",
            "effect 0 (counter of event 4), tag",
            "effect 0 (counter of event 4), fingerprint bits",
            "effect 1, event"
        ]
    );
    let said = cuts(&rows[2], decode);
    assert_eq!(
        said[..9],
        [
            "effect 0, event",
            "effect 0 (users of event 4), fingerprint",
            "effect 0 (users of event 4), flags",
            "effect 0 (users of event 4), value",
            "effect 0 (users of event 4), combination, length of the bitmap",
            "effect 0 (users of event 4), combination, bitmap",
            "effect 1, event",
            "effect 1, week",
            "effect 1 (users in a week of event 4), fingerprint",
        ]
    );
    for row in &rows {
        let said = flips(row, |bytes| Ok(journal::encode(&journal::decode(bytes)?)));
        for text in &said {
            has_places_only(text);
        }
        assert!(
            said.iter().all(|text| text.starts_with("effect ") || text.starts_with("frame, version: ")),
            "{said:#?}"
        );
        assert!(said.contains("effect 0, kind: unknown to this version"));
    }
    let misfits = [Effect::Goal { event: 3 }];
    let said = Aggregator::default().restore(&misfits).unwrap_err().to_string();
    assert_eq!(said, "effect 0 (goal of event 3): does not fit what comes before it");
}

#[test]
fn only_the_users_of_an_event_carry_something() {
    let week = Week::of_unix_s(1_645_000_000).unwrap();
    let decode = |set: SetKey| {
        let carried = Carried::of(Some(2.5), None);
        journal::decode(&journal::encode(&[Effect::Insert { set, fingerprint: 7, first: None, carried }]))
    };
    assert_eq!(decode(SetKey::Event(4)).unwrap().len(), 1);
    for (set, place) in
        [(SetKey::AllUsers, "effect 0 (all users)"), (SetKey::Week(4, week), "effect 0 (users in a week of event 4)")]
    {
        assert_eq!(decode(set).unwrap_err().to_string(), format!("{place}, kind: unknown to this version"));
    }
}

#[test]
fn the_row_of_counts_names_its_fields() {
    let (state, _) = state();
    let stored = counts::encode(&state, 3);
    let decode = |bytes: &[u8]| counts::decode(bytes).map(|_| ());
    // Cut between two counters it is whole, and the row of a state that had no more.
    let said = cuts(&stored, decode);
    let fields =
        ["flags", "users", "goal, completions", "goal, number of single counts", "goal, single count 0, event"];
    assert_eq!(
        said[..4],
        ["generation", "users", "counter 0 (event 0), flags", "counter 0 (event 0), users"]
            .map(|field| format!("counts, {field}"))
    );
    for field in fields.iter().chain(&["weeks, number of weeks", "weeks, week 1, users"]) {
        assert!(said.contains(&format!("counts, counter 2 (event 4), {field}")), "{field} is not among {said:#?}");
    }
    let again =
        |bytes: &[u8]| counts::decode(bytes).map(|(generation, counts)| counts::encode_report(&counts, generation));
    let said = flips(&stored, again);
    for text in &said {
        has_places_only(text);
    }
    assert!(said.contains("counts, counter 2 (event 4), weeks, week 1: out of order"), "{said:#?}");
    assert!(said.contains("counts, counter 1, event: out of order"), "{said:#?}");
    let flipped = [&stored[..12], &[stored[12] ^ 1], &stored[13..]].concat();
    assert_eq!(decode(&flipped).unwrap_err().to_string(), "counts, frame, checksum: does not match the content");
}

#[test]
fn the_state_of_a_page_names_its_fields_outside_of_pages() {
    let bytes = include_bytes!("golden/page-2.bin");
    let level =
        |bytes: &[u8]| bytes.get(FRAME_BYTES + 32).and_then(|&level| Level::ALL.get(usize::from(level)).copied());
    let bounds = |bytes: &[u8]| Bounds { level: level(bytes).unwrap_or(Level::Week), ..Bounds::default() };
    let decode = |bytes: &[u8]| PreAggregator::decode(bytes, bounds(bytes)).map(|_| ());
    let said = cuts(bytes, decode);
    assert_eq!(
        said[..7],
        [
            "key",
            "level",
            "events passed unseen",
            "number of namespaces",
            "namespace 0, name",
            "namespace 0, number of event names",
            "namespace 0, event name 0",
        ]
    );
    assert!(said.contains(&"namespace 1, section 0".to_owned()), "{said:#?}");
    assert!(said.contains(&"pending event 3, user".to_owned()), "{said:#?}");
    assert!(said.contains(&"namespace 0, order, user 0, number 1".to_owned()), "{said:#?}");
    let said = flips(bytes, |bytes| PreAggregator::decode(bytes, bounds(bytes)).map(|page| page.encode()));
    for text in &said {
        has_places_only(text);
    }
    let within = "namespace 0, section 1, frame, checksum: does not match the content";
    assert!(said.contains(within), "{said:#?}");
    assert!(said.contains("namespace 0, tags: does not fit what comes before it"), "{said:#?}");
    assert!(said.contains("namespace 0, order, user 1: out of order"), "{said:#?}");
}
