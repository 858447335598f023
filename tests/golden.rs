//! Golden files: what every version of the formats stored must load for ever, and must still be written so.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::aggregator::Aggregator;
use kimball_edge::core::{effect, snapshot};

#[path = "golden/state.rs"]
mod golden;

type State = fn() -> (Aggregator, Vec<Vec<u8>>);

/// Version, the state, its snapshot and its journal.
const FILES: [(u8, State, &[u8], &[u8]); 2] = [
    (1, golden::state, include_bytes!("golden/snapshot-1.bin"), include_bytes!("golden/journal-1.bin")),
    (2, golden::state_2, include_bytes!("golden/snapshot-2.bin"), include_bytes!("golden/journal-2.bin")),
];

/// Splits concatenated frames: each begins with `KE`, its kind and a version.
fn frames(bytes: &'static [u8], kind: u8) -> Vec<&'static [u8]> {
    let is_start = |at: usize| [1, 2].iter().any(|&version| bytes[at..].starts_with(&[b'K', b'E', kind, version]));
    let starts: Vec<usize> = (0..bytes.len()).filter(|&at| is_start(at)).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &bytes[start..end]).collect()
}

#[test]
fn the_files_are_what_is_written_today() {
    for (version, state, snapshot, journal) in FILES {
        let (state, rows) = state();
        let sections = snapshot::encode_all(&state);
        if let Ok(dir) = std::env::var("WRITE_GOLDEN_FILES_OF_A_NEW_VERSION_TO") {
            std::fs::write(format!("{dir}/snapshot-{version}.bin"), sections.concat()).unwrap();
            std::fs::write(format!("{dir}/journal-{version}.bin"), rows.concat()).unwrap();
        }
        assert_eq!(sections.concat(), snapshot);
        assert_eq!(rows.concat(), journal);
        assert_eq!(sections.iter().chain(&rows).map(|frame| frame[3]).max(), Some(version));
    }
}

#[test]
fn both_files_lead_to_the_state() {
    for (_, state, snapshot, journal) in FILES {
        let (state, _) = state();
        let (mut loaded, mut replayed) = (Aggregator::default(), Aggregator::default());
        for section in frames(snapshot, b'S') {
            snapshot::decode(&mut loaded, section).unwrap();
        }
        for row in frames(journal, b'J') {
            replayed.restore(&effect::decode(row).unwrap()).unwrap();
        }
        assert_eq!(snapshot::encode_all(&loaded), snapshot::encode_all(&state));
        assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
    }
}
