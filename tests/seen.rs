//! What the client asks of its wasm: the answers are those of the pre-aggregator, its law holds however it was stored, and damage is found.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use kimball_edge::core::periods::day::Day;
use kimball_edge::core::pre_aggregation::{Bounds, Event, Level, News, Seen};
use proptest::prelude::*;

#[path = "pre_aggregation/pages.rs"]
mod pages;
#[path = "pre_aggregation/subsequences.rs"]
mod subsequences;
#[path = "pre_aggregation/words.rs"]
mod words;

use words::{Step, Words, steps};

const EVENTS: [&str; 4] = ["View", "Cart", "Buy", "Help"];
const USERS: [&str; 2] = ["ann", "bob"];
const NAMESPACES: [&str; 2] = ["default", "shop"];
/// The middle of a day.
const BEGIN_MIN: u32 = 29_000_000;
const K: usize = 8;
const ENOUGH: usize = 1 << 20;

fn new(bytes_max: usize, level: Level) -> Seen {
    Seen::new([9; 16], bytes_max, level)
}

fn event(step: Step, day: u32) -> Event<'static> {
    Event::new(EVENTS[usize::from(step.event)], USERS[usize::from(step.user)], Day::of_unix_s(i64::from(day) * 86_400))
}

/// A page, and what is stored of it: all until a moment, and what has happened since.
struct Page {
    seen: Seen,
    base: Vec<u8>,
    changes: Vec<u8>,
    bytes_max: usize,
}

impl Page {
    fn new(bytes_max: usize, level: Level) -> Self {
        let seen = new(bytes_max, level);
        Self { base: seen.encode(), changes: Vec::new(), seen, bytes_max }
    }

    fn store(&mut self) {
        self.changes.extend(self.seen.changes());
    }

    /// Goes on from what is stored.
    fn restart(&mut self) {
        self.seen = Seen::decode(&self.base, self.bytes_max).unwrap();
        self.seen.apply(&self.changes).unwrap();
        assert!(self.seen.changes().is_empty());
    }

    fn compact(&mut self) {
        self.store();
        self.base = self.seen.encode();
        self.changes.clear();
    }
}

/// Streams of both users at a page of their own turn, which is stored after each event and begun anew now and then.
fn play(steps: &[Step], bytes_max: usize, level: Level, takes_turns: bool) -> Words {
    let mut words = Words::default();
    let mut pages = [Page::new(bytes_max, level), Page::new(bytes_max, level)];
    let mut now_min = BEGIN_MIN;
    let mut users: BTreeMap<u8, (usize, u32)> = BTreeMap::new();
    for (nth, &step) in steps.iter().enumerate() {
        now_min += step.minutes;
        let (at, last_min) = users.entry(step.user).or_insert((0, now_min));
        if takes_turns && now_min - *last_min >= 30 {
            *at = step.page;
        }
        *last_min = now_min;
        let page = &mut pages[*at];
        if step.restarts {
            page.restart();
        } else if nth % 7 == 0 {
            page.compact();
        }
        let letter = (step.event, now_min / 1_440 - step.days_late);
        words.raw.entry(step.user).or_default().push(letter);
        if page.seen.record(&event(step, letter.1), now_min) != News::Repeat {
            words.passed.entry(step.user).or_default().push(letter);
        }
        page.store();
        assert!(page.seen.memory_bytes() <= bytes_max);
    }
    words
}

fn level() -> impl Strategy<Value = Level> {
    prop::sample::select(Level::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_answers_as_the_pre_aggregator_does(
        steps in steps(),
        first in level(),
        then in level(),
        more in prop::collection::vec((0..2_usize, 0..9_u8), 120),
    ) {
        let mut seen = new(ENOUGH, first);
        let mut exact = pages::page(Bounds { level: first, ..Bounds::default() });
        let mut now_min = BEGIN_MIN;
        for (nth, (&step, &(namespace, goal))) in steps.iter().zip(&more).enumerate() {
            now_min += step.minutes;
            if nth == 60 {
                seen.set_level(then);
                exact.set_level(then);
            }
            if step.restarts {
                seen = Seen::decode(&seen.encode(), ENOUGH).unwrap();
                exact = pages::restarted(&exact, exact.bounds());
            }
            let told = Event { namespace: NAMESPACES[namespace], ensure_goal: goal == 0, ..event(step, now_min / 1_440 - step.days_late) };
            let news = exact.record(&told, i64::from(now_min) * 60).unwrap();
            exact.drain(1);
            prop_assert_eq!(seen.record(&told, now_min), news);
        }
    }

    #[test]
    fn what_it_passes_on_has_the_order_of_everything_however_little_fits(steps in steps(), bytes_max in 0..2_000_usize) {
        for bytes_max in [ENOUGH, bytes_max] {
            prop_assert!(play(&steps, bytes_max, Level::Order, false).are_equal(K));
            prop_assert!(play(&steps, bytes_max, Level::Order, true).are_equal(K));
            prop_assert!(play(&steps, bytes_max, Level::Day, true).are_equal(1));
        }
    }

    #[test]
    fn changes_lead_to_the_same_bytes_where_each_event_is_news(steps in steps(), bytes_max in 0..2_000_usize, then in level()) {
        let mut page = Page::new(bytes_max, Level::Order);
        let mut now_min = BEGIN_MIN;
        for (nth, &step) in steps.iter().enumerate() {
            now_min += step.minutes;
            if nth == 30 {
                page.seen.set_level(then);
            }
            let told = event(step, now_min / 1_440 - step.days_late);
            // What is known is not told: it has the user not pause, and is not stored.
            if page.seen.clone().record(&told, now_min) != News::Repeat {
                page.seen.record(&told, now_min);
            }
        }
        page.store();
        let bytes = page.seen.encode();
        page.restart();
        prop_assert_eq!(page.seen.encode(), bytes);
    }
}

#[test]
fn a_full_generation_becomes_the_older_one_and_what_is_in_use_stays() {
    let mut seen = new(600, Level::Week);
    let day = Day::of_unix_s(i64::from(BEGIN_MIN) * 60);
    let in_use = Event::new("in use", "ann", day);
    assert_eq!(seen.record(&in_use, BEGIN_MIN), News::First);
    for nth in 0..1_000 {
        assert_eq!(seen.record(&Event::new(&nth.to_string(), "ann", day), BEGIN_MIN), News::First);
        assert_eq!(seen.record(&in_use, BEGIN_MIN), News::Repeat);
        assert!(seen.memory_bytes() <= 600);
    }
    assert!(seen.has_aged());
    assert_eq!(seen.record(&Event::new("0", "ann", day), BEGIN_MIN), News::First, "the oldest are forgotten");
    assert!(!Seen::decode(&seen.encode(), 600).unwrap().has_aged());
}

/// A state with two generations, goals, weeks and an order; and what happens then.
fn golden() -> (Seen, Vec<u8>) {
    let mut seen = new(260, Level::Order);
    let day = |days: i64| Day::of_unix_s(i64::from(BEGIN_MIN) * 60 + days * 86_400);
    let mut tell = |name, user, days, ensure_goal| {
        seen.record(&Event { ensure_goal, ..Event::new(name, user, day(days)) }, BEGIN_MIN);
    };
    for (days, user) in [(0, "ann"), (7, "ann"), (8, "bob")] {
        tell("View", user, days, false);
        tell("Buy", user, days, true);
    }
    let state = seen.clone();
    seen.changes();
    seen.record(&Event::new("Help", "cleo", day(8)), BEGIN_MIN + 1);
    seen.set_level(Level::Day);
    let changes = seen.changes();
    (state, changes)
}

#[test]
fn the_stored_form_is_that_of_version_1() {
    let (mut state, changes) = golden();
    assert_eq!(state.encode(), include_bytes!("golden/seen-1.bin"));
    assert_eq!(changes, include_bytes!("golden/seen-1-changes.bin"));
    state.apply(&changes).unwrap();
    assert_eq!(state.changes().len() / 32, 6, "those of before are its own");
}

#[test]
fn damage_is_found_wherever_it_is() {
    let (state, changes) = golden();
    let bytes = state.encode();
    let refused = |bytes: &[u8]| Seen::decode(bytes, ENOUGH).unwrap_err().to_string();
    for len in 0..bytes.len() {
        assert!(refused(&bytes[..len]).starts_with("frame"), "{len}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(&other).starts_with("frame"), "{bit}");
    }
    for len in (0..changes.len()).filter(|len| len % 32 != 0) {
        assert!(state.clone().apply(&changes[..len]).is_err(), "{len}");
    }
    for bit in 0..changes.len() * 8 {
        let mut other = changes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        let error = state.clone().apply(&other).unwrap_err().to_string();
        assert_eq!(error, format!("change {}, check: does not match the content", bit / 256));
    }
    let mut another = Seen::new([8; 16], ENOUGH, Level::Order);
    assert!(another.apply(&changes).is_err(), "changes are of a key");
}

/// A frame around any payload is right, so what is in it is checked by itself.
#[test]
fn what_is_in_the_frame_is_checked_too() {
    let framed = |payload: &[u8]| kimball_edge::core::format::bytes::frame(b'N', 1, payload);
    let refused = |rest: &[u8]| Seen::decode(&framed(&[&[9; 16][..], rest].concat()), ENOUGH).unwrap_err().to_string();
    let hash = |byte| [byte; 8];
    let period = |number, hashes: &[u8]| {
        let events: Vec<u8> = hashes.iter().flat_map(|&byte| hash(byte)).collect();
        [&[number, hashes.len() as u8][..], &events].concat()
    };
    assert_eq!(refused(&[3]), "level: out of range");
    assert_eq!(refused(&[2, 9]), "younger generation, names: the bytes end before it does");
    assert_eq!(
        refused(&[&[2, 0, 1][..], &period(7, &[])].concat()),
        "younger generation, period 0, number of events: out of range"
    );
    assert_eq!(
        refused(&[&[2, 0, 1][..], &period(7, &[2, 1])].concat()),
        "younger generation, period 0, events: out of order"
    );
    let twice = [&[2, 0, 2][..], &period(7, &[1]), &period(7, &[2])].concat();
    assert_eq!(refused(&twice), "younger generation, period 1: out of order");
    assert_eq!(refused(&[2, 0, 0, 0, 0, 0, 0, 0]), "bytes are left behind it");
}
