//! Golden files: what every version of the formats stored must load for ever, and must still be written so.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::state::aggregator::{Aggregator, Section};
use kimball_edge::core::state::report::Report;
use kimball_edge::core::state::{counts, journal, snapshot};

#[path = "golden/state.rs"]
mod golden;

type State = fn() -> (Aggregator, Vec<Vec<u8>>);

/// Version of the journal, the state, its snapshot and its journal.
const FILES: [(u8, State, &[u8], &[u8]); 9] = [
    (1, golden::state, include_bytes!("golden/snapshot-1.bin"), include_bytes!("golden/journal-1.bin")),
    (2, golden::state_2, SNAPSHOT_2, JOURNAL_2),
    (3, golden::state_3, include_bytes!("golden/snapshot-3.bin"), include_bytes!("golden/journal-3.bin")),
    (4, golden::state, SNAPSHOT_4_OF_1, include_bytes!("golden/journal-4-of-state-1.bin")),
    (4, golden::state_3, SNAPSHOT_4_OF_3, include_bytes!("golden/journal-4-of-state-3.bin")),
    // The snapshots of version 4 go on.
    (5, golden::state, SNAPSHOT_4_OF_1, include_bytes!("golden/journal-5-of-state-1.bin")),
    (5, golden::state_3, SNAPSHOT_4_OF_3, include_bytes!("golden/journal-5-of-state-3.bin")),
    // A journal of version 6 belongs to a snapshot of version 5.
    (
        6,
        golden::state_4,
        include_bytes!("golden/snapshot-5-of-state-4.bin"),
        include_bytes!("golden/journal-6-of-state-4.bin"),
    ),
    // One of version 7 to one of version 7.
    (
        7,
        golden::state_5,
        include_bytes!("golden/snapshot-7-of-state-5.bin"),
        include_bytes!("golden/journal-7-of-state-5.bin"),
    ),
];
const SNAPSHOT_2: &[u8] = include_bytes!("golden/snapshot-2.bin");
const JOURNAL_2: &[u8] = include_bytes!("golden/journal-2.bin");
const SNAPSHOT_4_OF_1: &[u8] = include_bytes!("golden/snapshot-4-of-state-1.bin");
const SNAPSHOT_4_OF_3: &[u8] = include_bytes!("golden/snapshot-4-of-state-3.bin");

/// Splits concatenated frames: each begins with `KE`, its kind and a version.
fn frames(bytes: &'static [u8], kind: u8) -> Vec<&'static [u8]> {
    let is_start = |at: usize| (1..=7).any(|version| bytes[at..].starts_with(&[b'K', b'E', kind, version]));
    let starts: Vec<usize> = (0..bytes.len()).filter(|&at| is_start(at)).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &bytes[start..end]).collect()
}

#[test]
fn the_files_are_what_is_written_today() {
    for (number, (version, state, snapshot, journal)) in [(1, FILES[5]), (3, FILES[6]), (4, FILES[7]), (5, FILES[8])] {
        let (state, rows) = state();
        let sections = snapshot::encode_all(&state);
        let of_snapshot = if version < 7 { version - 1 } else { version };
        if let Ok(dir) = std::env::var("WRITE_GOLDEN_FILES_OF_A_NEW_VERSION_TO") {
            std::fs::write(format!("{dir}/snapshot-{of_snapshot}-of-state-{number}.bin"), sections.concat()).unwrap();
            std::fs::write(format!("{dir}/journal-{version}-of-state-{number}.bin"), rows.concat()).unwrap();
            continue;
        }
        assert_eq!(sections.concat(), snapshot);
        assert_eq!(rows.concat(), journal);
        assert!(sections.iter().all(|frame| (4..=of_snapshot).contains(&frame[3])));
        assert!(rows.iter().all(|frame| (4..=version).contains(&frame[3])));
    }
}

#[test]
fn both_files_lead_to_the_state() {
    for (version, state, snapshot, journal) in FILES {
        let (mut loaded, mut replayed) = (Aggregator::default(), Aggregator::default());
        for section in frames(snapshot, b'S') {
            snapshot::decode(&mut loaded, section).unwrap();
        }
        for row in frames(journal, b'J') {
            let effects = journal::decode(row).unwrap();
            assert_eq!(journal::decode(&journal::encode(&effects)).unwrap(), effects);
            assert!(version < 5 || journal::encode(&effects) == row);
            replayed.restore(&effects).unwrap();
        }
        let sections = snapshot::encode_all(&loaded).concat();
        assert_eq!(snapshot::encode_all(&replayed).concat(), sections, "version {version}");
        assert!(version < 4 || sections == snapshot);
        let (state, _) = state();
        if version != 2 {
            assert_eq!(sections, snapshot::encode_all(&state).concat(), "version {version}");
            assert_eq!(loaded.report(), state.report(), "version {version}");
        }
    }
}

/// A counter was stored with its sets: all of it is stored anew, or the next change of a set would be there twice.
#[test]
fn what_was_stored_by_an_earlier_version_counts_as_changed() {
    for (version, _, snapshot, _) in FILES {
        let mut loaded = Aggregator::default();
        for section in frames(snapshot, b'S') {
            snapshot::decode(&mut loaded, section).unwrap();
        }
        let changed = loaded.changed().map(Section::number).collect::<Vec<_>>();
        let of_definitions = loaded.grids().numbers().count() + loaded.definitions().iter().count();
        let of_events = loaded.counters().count() + loaded.sets().iter().count() + loaded.series().places().count();
        let all = of_events + of_definitions;
        // The set of all users is where it was.
        assert_eq!(changed.len(), if version < 4 { all - 1 } else { 0 }, "version {version}");
        loaded.note_stored();
        assert_eq!(loaded.changed().count(), 0);
    }
}

#[test]
fn the_overflow_cohort_of_version_2_is_read_and_gone_on_with() {
    let mut loaded = Aggregator::default();
    for section in frames(SNAPSHOT_2, b'S') {
        snapshot::decode(&mut loaded, section).unwrap();
    }
    let weeks = |state: &Aggregator| state.report().counters[0].weeks.values().copied().collect::<Vec<_>>();
    // 30 users in four weeks, of which two had room; the last batch is sent again, and then one for a new week.
    assert_eq!(weeks(&loaded), [14, 8, 8]);
    let mut replayed = loaded.clone();
    for row in frames(JOURNAL_2, b'J') {
        replayed.restore(&journal::decode(row).unwrap()).unwrap();
    }
    assert_eq!(replayed.report(), loaded.report());
    golden::add_a_week(&mut loaded);
    assert_eq!(weeks(&loaded), [22, 8, 1]);
}

/// Version, the state, and its counts beside a snapshot of generation 300.
const COUNTS: [(u8, State, &[u8]); 2] = [
    (1, golden::state, include_bytes!("golden/counts-1-of-state-1.bin")),
    (1, golden::state_3, include_bytes!("golden/counts-1-of-state-3.bin")),
];

#[test]
fn counts_are_what_is_written_today_and_lead_to_the_numbers() {
    for (version, state, stored) in COUNTS {
        let (state, rows) = state();
        let encoded = counts::encode(&state, 300);
        if let Ok(dir) = std::env::var("WRITE_GOLDEN_FILES_OF_A_NEW_VERSION_TO") {
            let digest = rows.len();
            std::fs::write(format!("{dir}/counts-{version}-of-{digest}-rows.bin"), &encoded).unwrap();
            continue;
        }
        assert_eq!(encoded, stored);
        assert_eq!(stored[3], version);
        assert_eq!(counts::decode(stored), Ok((300, counts::of(&state))));
    }
}

#[test]
fn counts_follow_the_journals_of_every_version() {
    for (_, _, _, journal) in FILES {
        let (mut replayed, mut followed) = (Aggregator::default(), Report::default());
        for row in frames(journal, b'J') {
            let effects = journal::decode(row).unwrap();
            replayed.restore(&effects).unwrap();
            counts::follow(&mut followed, &effects);
        }
        assert_eq!(followed, counts::of(&replayed));
    }
}
