//! Pre-aggregation: its law (a server's state is the same with and without it), its bounds, its bytes, merging.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use kimball_edge::core::answers::analytics::Analytics;
use kimball_edge::core::answers::gate::{Gate, Gated};
use kimball_edge::core::identity::LocalKey;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::pre_aggregation::{Bounds, Event, Level, MergeError, News, PreAggregator, Rejection};
use kimball_edge::core::state::report::Report;
use proptest::prelude::*;
use serde_json::{Value, json};

#[path = "pre_aggregation/pages.rs"]
mod pages;
#[path = "pre_aggregation/server.rs"]
mod server;
use pages::{page, restarted};
use server::{FIRST_S, SECONDS, Server};

const EVENTS: [&str; 6] = ["Sign up", "Login", "weekly Search", "Buy", "weekly Buy", "small"];
const NAMESPACES: [&str; 2] = ["default", "shop"];

#[derive(Debug, Clone)]
struct Raw {
    event: usize,
    user: u8,
    namespace: usize,
    value: Option<i16>,
    second: u32,
    ensure_goal: bool,
}

impl Raw {
    fn unix_s(&self) -> i64 {
        FIRST_S + i64::from(self.second)
    }

    fn json(&self) -> Value {
        let time = chrono::DateTime::from_timestamp(self.unix_s(), 0).unwrap().to_rfc3339();
        json!({
            "event_name": EVENTS[self.event], "user_id": self.user.to_string(), "namespace": NAMESPACES[self.namespace],
            "value": self.value, "ensure_goal": self.ensure_goal, "datetime": time,
        })
    }

    fn record(&self, page: &mut PreAggregator) -> Result<News, Rejection> {
        let user = self.user.to_string();
        let event = Event {
            namespace: NAMESPACES[self.namespace],
            value: self.value.map(f64::from),
            ensure_goal: self.ensure_goal,
            ..Event::new(EVENTS[self.event], &user, Day::of_unix_ms(self.unix_s() as f64 * 1_000.0).unwrap())
        };
        page.record(&event, FIRST_S)
    }
}

/// Drains everything into the body of a request.
fn drain(page: &mut PreAggregator) -> Value {
    let wire = |event: Event<'_>| {
        json!({
            "event_name": event.event, "user_id": event.user, "namespace": event.namespace, "value": event.value,
            "ensure_goal": event.ensure_goal, "datetime": event.day.to_string(),
        })
    };
    let events: Vec<Value> = page.pending().map(wire).collect();
    page.drain(events.len());
    assert_eq!(page.pending_len(), 0);
    json!(events)
}

fn answer(report: Report, names: &[String]) -> Value {
    serde_json::to_value(Analytics::of(&Gated::new(report, Gate::OPEN), names, 1_000).unwrap()).unwrap()
}

/// Of pages that keep first occurrences only.
fn firsts() -> Bounds {
    Bounds { level: Level::Week, ..Bounds::default() }
}

/// What happens to one client.
#[derive(Debug, Clone)]
enum Step {
    Event(Raw),
    /// It sends what it has.
    Send,
    /// It is closed and opened again.
    Restart,
    /// It is closed and opened again without having been saved since it sent last.
    Crash,
    /// A batch that was sent before, by anybody, arrives once more.
    Resend(prop::sample::Index),
    /// So much of the time passes.
    Wait(u32),
}

fn raw() -> impl Strategy<Value = Raw> {
    let seconds = 0..SECONDS as u32;
    (0..EVENTS.len(), 0..12_u8, 0..NAMESPACES.len(), prop::option::of(any::<i16>()), seconds, 0..12_u8).prop_map(
        |(event, user, namespace, value, second, goal)| Raw {
            event,
            user,
            namespace,
            value,
            second,
            ensure_goal: goal == 0,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => raw().prop_map(Step::Event),
        4 => Just(Step::Send),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        2 => any::<prop::sample::Index>().prop_map(Step::Resend),
        1 => (0..SECONDS as u32 / 3).prop_map(Step::Wait),
    ]
}

struct Client {
    raw: Vec<Value>,
    page: PreAggregator,
    saved: PreAggregator,
}

fn the_law_holds(steps: &[(usize, Step)], shards: u32, bounds: Bounds) {
    let (mut raw, mut pre) = (Server::new(shards), Server::new(shards));
    // Pages that live in the future: what they send may count in its week when it is sent again, later.
    raw.now_s = FIRST_S - 14 * 86_400;
    pre.now_s = raw.now_s;
    let mut sent: Vec<(Value, Value)> = Vec::new();
    let at = |level| Bounds { level, ..bounds };
    let new = |level| Client { raw: Vec::new(), page: page(at(level)), saved: page(at(level)) };
    let mut clients: Vec<Client> = Level::ALL.into_iter().map(new).collect();
    let last = (0..3).map(|client| (client, Step::Send));
    for (client, step) in steps.iter().cloned().chain(last) {
        let client = &mut clients[client];
        let bounds = client.page.bounds();
        match step {
            Step::Event(event) => {
                client.raw.push(event.json());
                event.record(&mut client.page).unwrap();
            }
            Step::Send => {
                sent.push((json!(std::mem::take(&mut client.raw)), drain(&mut client.page)));
                let (raw_body, pre_body) = &sent[sent.len() - 1];
                raw.post(raw_body);
                if pre.post(pre_body) {
                    client.page = page(bounds);
                }
                client.saved = restarted(&client.page, bounds);
            }
            Step::Restart => client.page = restarted(&client.page, bounds),
            Step::Crash => {
                // What it had not sent is gone, for whoever sends raw events, too.
                client.page = client.saved.clone();
                client.raw.clear();
            }
            Step::Resend(which) if !sent.is_empty() => {
                let (raw_body, pre_body) = which.get(&sent);
                raw.post(raw_body);
                pre.post(pre_body);
            }
            Step::Resend(_) => {}
            Step::Wait(seconds) => {
                raw.now_s += i64::from(seconds);
                pre.now_s = raw.now_s;
            }
        }
    }
    assert_eq!(raw.state(), pre.state());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_server_ends_in_the_same_state(steps in prop::collection::vec((0..3_usize, step()), 0..400), shards in 1..5_u32) {
        the_law_holds(&steps, shards, Bounds::default());
    }

    #[test]
    fn and_so_it_does_where_memory_is_at_its_bound(
        steps in prop::collection::vec((0..3_usize, step()), 0..400),
        memory_bytes in 0..9_000_usize,
    ) {
        the_law_holds(&steps, 4, Bounds { memory_bytes, ..Bounds::default() });
    }

    #[test]
    fn numbers_are_those_of_a_server_that_sees_the_same(events in prop::collection::vec(raw(), 0..300)) {
        let mut server = Server::new(1);
        let mut page = page(Bounds::default());
        for event in &events {
            server.post(&event.json());
            event.record(&mut page).unwrap();
        }
        for space in &server.namespaces {
            let (mut report, names) = page.report(&space.name).unwrap();
            for counter in &mut report.counters {
                counter.weeks.clear();
            }
            let mut expected = space.states[0].report();
            for counter in &mut expected.counters {
                counter.weeks.clear();
            }
            prop_assert_eq!(names, &*space.names);
            // The server of the model lists five combinations, a page a thousand.
            for (mine, theirs) in report.counters.iter_mut().zip(&mut expected.counters) {
                if let (Some(mine), Some(theirs)) = (&mut mine.goal, &mut theirs.goal) {
                    prop_assert_eq!(mine.combinations.values().sum::<u64>(), theirs.combinations.values().sum::<u64>() + theirs.other);
                    mine.combinations.clear();
                    theirs.combinations.clear();
                    theirs.other = 0;
                }
            }
            prop_assert_eq!(
                answer(report, names),
                answer(expected, &space.names)
            );
        }
    }

    #[test]
    fn memory_stays_within_its_bound(events in prop::collection::vec(raw(), 0..300), memory_bytes in 0..9_000_usize) {
        let mut page = page(Bounds { memory_bytes, ..Bounds::default() });
        for event in &events {
            let before = (page.pending_len(), page.passed_unseen());
            event.record(&mut page).unwrap();
            prop_assert!(page.memory_bytes() <= memory_bytes);
            prop_assert!(page.pending_len() > before.0 || page.passed_unseen() == before.1);
        }
    }

    /// Of users who are apart, everything adds up; of users who are the same, everything stays.
    #[test]
    fn merging_is_exact(events in prop::collection::vec(raw(), 0..200), others in prop::collection::vec(raw(), 0..200)) {
        let (mut whole, mut mine, mut theirs) = (page(firsts()), page(firsts()), page(firsts()));
        for event in &events {
            event.record(&mut whole).unwrap();
            event.record(&mut mine).unwrap();
        }
        let others: Vec<Raw> = others.into_iter().map(|event| Raw { user: event.user + 100, ..event }).collect();
        for event in &others {
            event.record(&mut theirs).unwrap();
            event.record(&mut whole).unwrap();
        }
        let pending = mine.pending_len() + theirs.pending_len();
        mine.merge(&theirs).unwrap();
        prop_assert_eq!(mine.pending_len(), pending);
        for namespace in NAMESPACES {
            let report = |page: &PreAggregator| page.report(namespace).map(|(report, names)| {
                let names = names.to_vec();
                answer(report, &names)
            });
            // A goal made in one of them only is none for the other's users, so completions are compared without goals.
            if events.iter().chain(&others).all(|event| !event.ensure_goal) {
                prop_assert_eq!(report(&mine), report(&whole));
            } else {
                prop_assert_eq!(mine.report(namespace).map(|(r, _)| r.users), whole.report(namespace).map(|(r, _)| r.users));
            }
        }
        let (bytes, memory_bytes) = (mine.encode(), mine.memory_bytes());
        mine.drain(pending);
        let drained = mine.encode();
        mine.merge(&theirs).unwrap();
        mine.merge(&mine.clone()).unwrap();
        prop_assert_eq!(mine.encode(), drained);
        prop_assert_eq!(PreAggregator::decode(&bytes, firsts()).unwrap().memory_bytes(), memory_bytes);
    }

    #[test]
    fn damage_is_refused(events in prop::collection::vec(raw(), 0..40), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let mut page = page(Bounds::default());
        for event in &events {
            event.record(&mut page).unwrap();
        }
        let bytes = page.encode();
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(PreAggregator::decode(&flipped, Bounds::default()).is_err());
        prop_assert!(PreAggregator::decode(&bytes[..at.index(bytes.len())], Bounds::default()).is_err());
    }
}

fn today() -> Day {
    Day::of_unix_ms(1.795e12).unwrap()
}

#[test]
fn of_12_events_10_000_times_12_are_passed_on() {
    let mut page = page(firsts());
    for nth in 0..120_000 {
        let name = format!("event {}", nth % 12);
        let news = if nth < 12 { News::First } else { News::Repeat };
        assert_eq!(page.record(&Event::new(&name, "ann", today()), FIRST_S), Ok(news));
    }
    assert_eq!((page.pending_len(), page.passed_unseen()), (12, 0));
    assert!(page.encode().len() < 1_500, "{}", page.encode().len());
}

#[test]
fn a_value_counts_only_with_its_users_first_occurrence() {
    let mut page = page(Bounds::default());
    page.record(&Event { value: Some(2.5), ..Event::new("Buy", "ann", today()) }, FIRST_S).unwrap();
    page.record(&Event { value: Some(9.0), ..Event::new("Buy", "ann", today()) }, FIRST_S).unwrap();
    let sum = page.report("default").unwrap().0.counters[0].sum.unwrap().value();
    assert_eq!(sum.to_bits(), 2.5_f64.to_bits());
    assert!(page.report("shop").is_none());
}

#[test]
fn a_goal_and_a_new_week_are_news_of_a_known_user() {
    let mut page = page(Bounds::default());
    let login = Event::new("Login", "ann", today());
    let goal = Event { ensure_goal: true, ..login };
    let later = Event { day: Day::of_unix_ms(1.795e12 + 7.0 * 86.4e6).unwrap(), ..login };
    let told = [login, goal, goal, later, later].map(|event| page.record(&event, FIRST_S).unwrap());
    assert_eq!(told, [News::First, News::First, News::Repeat, News::First, News::Repeat]);
    assert_eq!(page.pending().collect::<Vec<_>>(), [login, goal, later]);
}

#[test]
fn where_too_much_is_pending_nothing_changes_until_it_is_drained() {
    let mut page = page(Bounds { pending_bytes: 40, ..firsts() });
    let names = ["first", "second", "third"].map(|name| Event::new(name, "ann", today()));
    assert_eq!(page.record(&names[0], FIRST_S), Ok(News::First));
    assert_eq!(page.record(&names[1], FIRST_S), Ok(News::First));
    let before = page.encode();
    assert_eq!(page.record(&names[2], FIRST_S), Err(Rejection::PendingFull { bytes_max: 40 }));
    assert_eq!(page.encode(), before);
    assert_eq!(page.record(&names[0], FIRST_S), Ok(News::Repeat));
    page.drain(1);
    assert_eq!(page.record(&names[2], FIRST_S), Ok(News::First));
    assert_eq!(page.pending().collect::<Vec<_>>(), names[1..]);
    page.drain(100);
    assert_eq!(page.pending_len(), 0);
}

#[test]
fn what_a_server_would_refuse_is_refused_and_changes_nothing() {
    let mut page = page(Bounds::default());
    let long = "x".repeat(257);
    let good = Event::new("a", "u", today());
    let cases = [
        (Event { event: "", ..good }, "event: must not be empty"),
        (Event { event: &long, ..good }, "event: must not be longer than 256 bytes"),
        (Event { event: "a\n", ..good }, "event: must not hold control characters"),
        (Event { user: "", ..good }, "user: must not be empty"),
        (Event { user: &long, ..good }, "user: must not be longer than 256 bytes"),
        (Event { namespace: "\u{7f}", ..good }, "namespace: must not hold control characters"),
        (Event { value: Some(f64::NAN), ..good }, "value: must be between -1e300 and 1e300"),
        (Event { value: Some(-2e300), ..good }, "value: must be between -1e300 and 1e300"),
    ];
    let before = page.encode();
    for (event, told) in cases {
        assert_eq!(page.record(&event, FIRST_S).unwrap_err().to_string(), told);
        assert_eq!(page.encode(), before);
    }
}

#[test]
fn a_merge_that_would_not_be_exact_is_refused_and_changes_nothing() {
    let both = |event: Event<'static>| {
        let (mut mine, mut theirs) = (page(firsts()), page(firsts()));
        for user in ["ann", "bob"] {
            mine.record(&Event { user, ..event }, FIRST_S).unwrap();
        }
        for user in ["bob", "cid"] {
            theirs.record(&Event { user, ..event }, FIRST_S).unwrap();
        }
        (mine, theirs)
    };
    let plain = Event::new("Buy", "", today());
    let overlap = MergeError::Overlap { namespace: "default".into(), event: "Buy".into() };
    for event in [Event { value: Some(1.0), ..plain }, Event { ensure_goal: true, ..plain }] {
        let (mut mine, theirs) = both(event);
        let before = mine.encode();
        assert_eq!(mine.merge(&theirs), Err(overlap.clone()));
        assert_eq!(mine.encode(), before);
    }
    let (mut mine, theirs) = both(plain);
    mine.merge(&theirs).unwrap();
    assert_eq!(mine.report("default").unwrap().0.users, 3);
    let users: Vec<&str> = mine.pending().map(|event| event.user).collect();
    assert_eq!(users, ["ann", "bob", "cid"]);
    let stranger = PreAggregator::new(LocalKey::new(&[8; 32]), Bounds::default());
    assert_eq!(mine.merge(&stranger), Err(MergeError::Keys));
    let mut small = PreAggregator::new(LocalKey::new(&[9; 32]), Bounds { memory_bytes: 100, ..Bounds::default() });
    assert_eq!(small.merge(&mine), Err(MergeError::Full));
    assert_eq!((small.pending_len(), small.memory_bytes()), (0, 0));
}

/// The state that the golden files hold: that of version 2 with the order of events, and with ids.
fn golden(version: u8) -> PreAggregator {
    let mut page = page(if version == 1 { firsts() } else { Bounds::default() });
    for nth in 0..40_u8 {
        let event = Raw {
            event: usize::from(nth % 5),
            user: nth % 7,
            namespace: usize::from(nth % 3 == 0),
            value: (nth % 2 == 0).then(|| i16::from(nth) - 20),
            second: u32::from(nth) * 50_000,
            ensure_goal: nth % 11 == 3,
        };
        event.record(&mut page).unwrap();
        if nth == 30 {
            page.drain(25);
        }
    }
    if version > 1 {
        for nth in 0..8_u8 {
            let name = ["Read", "Shared", "Liked"][usize::from(nth % 3)];
            let event = Event { id: Some([nth; 8]), ..Event::new(name, "ann", today()) };
            page.record(&event, FIRST_S + 60 * i64::from(nth)).unwrap();
        }
    }
    page
}

/// Written by the version that introduced the format; not to be rewritten.
#[test]
fn stored_bytes_load_for_ever() {
    if let Ok(dir) = std::env::var("WRITE_GOLDEN_FILES_OF_A_NEW_VERSION_TO") {
        std::fs::write(format!("{dir}/page-2.bin"), golden(2).encode()).unwrap();
        return;
    }
    let bytes = include_bytes!("golden/page-2.bin");
    assert_eq!(golden(2).encode(), bytes);
    assert_eq!(PreAggregator::decode(bytes, Bounds::default()).unwrap().encode(), bytes);
    assert_eq!(
        PreAggregator::decode(&[], Bounds::default()).unwrap_err().to_string(),
        "frame: the bytes end before it does"
    );
}

#[test]
fn what_version_1_has_stored_goes_on() {
    let bytes = include_bytes!("golden/page-1.bin");
    assert_eq!(PreAggregator::decode(bytes, firsts()).unwrap().encode(), golden(1).encode());
    let mut page = PreAggregator::decode(bytes, Bounds::default()).unwrap();
    assert_eq!((page.bounds(), page.pending_len()), (Bounds::default(), golden(1).pending_len()));
    let again = Event { namespace: "shop", ..Event::new(EVENTS[0], "0", Day::of_unix_s(FIRST_S)) };
    let told = [0, 1].map(|_| page.record(&again, FIRST_S).unwrap());
    assert_eq!(told, [News::First, News::Repeat], "its day is not known");
}
