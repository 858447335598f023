//! Golden files: what version 1 of the formats stored must load for ever, and this version must still write it.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::aggregator::Aggregator;
use kimball_edge::core::{effect, snapshot};

#[path = "golden/state.rs"]
mod golden;

const SNAPSHOT: &[u8] = include_bytes!("golden/snapshot-1.bin");
const JOURNAL: &[u8] = include_bytes!("golden/journal-1.bin");

/// Splits concatenated frames: each begins with `KE`, its kind and version 1.
fn frames(bytes: &'static [u8], kind: u8) -> Vec<&'static [u8]> {
    let starts: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(&[b'K', b'E', kind, 1])).collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &bytes[start..end]).collect()
}

#[test]
fn the_files_are_what_is_written_today() {
    let (state, journal) = golden::state();
    let sections = snapshot::encode_all(&state);
    if let Ok(dir) = std::env::var("WRITE_GOLDEN_FILES_OF_A_NEW_VERSION_TO") {
        std::fs::write(format!("{dir}/snapshot-1.bin"), sections.concat()).unwrap();
        std::fs::write(format!("{dir}/journal-1.bin"), journal.concat()).unwrap();
    }
    assert_eq!(sections.concat(), SNAPSHOT);
    assert_eq!(journal.concat(), JOURNAL);
}

#[test]
fn both_files_lead_to_the_state() {
    let (state, _) = golden::state();
    let (mut loaded, mut replayed) = (Aggregator::default(), Aggregator::default());
    for section in frames(SNAPSHOT, b'S') {
        snapshot::decode(&mut loaded, section).unwrap();
    }
    for row in frames(JOURNAL, b'J') {
        replayed.restore(&effect::decode(row).unwrap()).unwrap();
    }
    assert_eq!(snapshot::encode_all(&loaded), snapshot::encode_all(&state));
    assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
}
