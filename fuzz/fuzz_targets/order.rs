//! The order of events behind a page, against the exact count of subsequences: whatever users do, with restarts, pauses, late
//! events and little memory.
#![no_main]

use std::collections::BTreeMap;

use kimball_edge::core::identity::LocalKey;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::pre_aggregation::{Bounds, Event, News, PreAggregator};
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/pre_aggregation/subsequences.rs"]
mod subsequences;
use subsequences::{Letter, subsequences};

const EVENTS: [&str; 4] = ["View", "Cart", "Buy", "Help"];
const USERS: [&str; 2] = ["ann", "bob"];
const STEPS: usize = 8;

fuzz_target!(|data: &[u8]| {
    let Some((&first, steps)) = data.split_first() else { return };
    let memory_bytes = if first & 1 == 0 { usize::from(first) << 5 } else { 1 << 20 };
    let bounds = Bounds { memory_bytes, ..Bounds::default() };
    let mut page = PreAggregator::new(LocalKey::new(&[9; 32]), bounds);
    let mut words: BTreeMap<usize, [Vec<Letter>; 2]> = BTreeMap::new();
    let mut now_s = 1_700_000_000_i64;
    for &step in steps.iter().take(200) {
        let [event, user, what] = [step & 3, step >> 2 & 1, step >> 3];
        now_s += match what {
            0 => 1_800,
            1 => 86_400,
            _ => i64::from(what),
        };
        if what == 2 {
            page = PreAggregator::decode(&page.encode(), bounds).expect("what was encoded decodes");
        }
        let day = Day::of_unix_s(now_s - if what == 3 { 86_400 } else { 0 });
        let told = Event::new(EVENTS[usize::from(event)], USERS[usize::from(user)], day);
        let news = page.record(&told, now_s).expect("it is drained");
        page.drain(1);
        assert!(page.memory_bytes() <= memory_bytes);
        let [raw, passed] = words.entry(usize::from(user)).or_default();
        raw.push((event, day.number()));
        if news != News::Repeat {
            passed.push((event, day.number()));
        }
    }
    for [raw, passed] in words.values() {
        assert_eq!(subsequences(raw, STEPS), subsequences(passed, STEPS));
    }
});
