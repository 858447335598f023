//! The law of order: after what pages passed on, each user's word has the same subsequences of at most eight letters as all they did.
//!
//! Every law is tried with the page itself, and fails with a page that lacks what the law is about.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::struct_excessive_bools
)]

use std::collections::{BTreeMap, HashSet};
use std::process::Command;

use kimball_edge::core::periods::day::Day;
use kimball_edge::core::pre_aggregation::{Bounds, Event, Level, News, PreAggregator};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

#[path = "pre_aggregation/mutants.rs"]
mod mutants;
#[path = "pre_aggregation/pages.rs"]
mod pages;
#[path = "pre_aggregation/subsequences.rs"]
mod subsequences;
#[path = "pre_aggregation/words.rs"]
mod words;

use mutants::{Model, RIGHT, Rule};
use pages::{page, restarted};
use subsequences::{Letter, subsequences};
use words::{Step, Words, steps};

const EVENTS: [&str; 4] = ["View", "Cart", "Buy", "Help"];
const USERS: [&str; 2] = ["ann", "bob"];
/// The middle of a day.
const BEGIN_MIN: u32 = 29_000_000;
const K: usize = 8;

trait Page {
    fn pass(&mut self, step: Step, letter: Letter, now_min: u32) -> bool;
}

impl Page for PreAggregator {
    fn pass(&mut self, step: Step, letter: Letter, now_min: u32) -> bool {
        if step.restarts {
            *self = restarted(self, self.bounds());
        }
        let day = Day::of_unix_s(i64::from(letter.1) * 86_400);
        let event = Event::new(EVENTS[usize::from(letter.0)], USERS[usize::from(step.user)], day);
        let news = self.record(&event, i64::from(now_min) * 60).unwrap();
        let pending = self.pending_len();
        assert_eq!(pending > 0, news != News::Repeat);
        self.drain(pending);
        news != News::Repeat
    }
}

impl Page for Model {
    fn pass(&mut self, step: Step, letter: Letter, now_min: u32) -> bool {
        self.record(step.user, letter, now_min)
    }
}

/// Which page a user is at.
#[derive(Clone, Copy, PartialEq)]
enum Turns {
    /// Always at the same.
    One,
    /// At another after a pause, maybe.
    AfterPauses,
    /// At both at once.
    Mixed,
}

fn play<P: Page>(steps: &[Step], turns: Turns, mut pages: [P; 2]) -> Words {
    let mut words = Words::default();
    let mut now_min = BEGIN_MIN;
    let mut users: BTreeMap<u8, (usize, u32)> = BTreeMap::new();
    for &step in steps {
        now_min += step.minutes;
        let (page, last_min) = users.entry(step.user).or_insert((0, now_min));
        if turns == Turns::Mixed || (turns == Turns::AfterPauses && now_min - *last_min >= 30) {
            *page = step.page;
        }
        *last_min = now_min;
        let letter = (step.event, now_min / 1_440 - step.days_late);
        words.raw.entry(step.user).or_default().push(letter);
        if pages[*page].pass(step, letter, now_min) {
            words.passed.entry(step.user).or_default().push(letter);
        }
    }
    words
}

/// Whether a law holds in all of the same random streams.
fn holds(cases: u32, law: impl Fn(Vec<Step>, usize) -> bool) -> bool {
    let config = Config { cases, max_shrink_iters: 0, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
    .run(&(steps(), 0..6_000_usize), |(steps, number)| {
        prop_assert!(law(steps, number));
        Ok(())
    });
    tried.is_ok()
}

fn pages(bounds: Bounds) -> [PreAggregator; 2] {
    [page(bounds), page(bounds)]
}

fn models(rule: Rule) -> [Model; 2] {
    [Model::new(rule), Model::new(rule)]
}

#[test]
fn subsequences_are_counted_as_they_are() {
    assert!(holds(200, |steps, _| {
        let word: Vec<Letter> = steps.iter().take(14).map(|step| (step.event % 3, step.days_late / 2)).collect();
        let mut listed: HashSet<Vec<Letter>> = HashSet::from([vec![]]);
        for &letter in &word {
            let behind = |u: &Vec<Letter>| u.len() < 5 && u.last() != Some(&letter);
            let longer: Vec<Vec<Letter>> =
                listed.iter().filter(|u| behind(u)).map(|u| [&u[..], &[letter]].concat()).collect();
            listed.extend(longer);
        }
        let counts: Vec<u128> =
            (1..=5).map(|length| listed.iter().filter(|u| u.len() == length).count() as u128).collect();
        subsequences(&word, 5) == counts
    }));
}

#[test]
fn one_page_loses_nothing_of_the_order_with_late_events_and_restarts() {
    let law = |words: Words| words.are_equal(K);
    assert!(holds(400, |steps, _| law(play(&steps, Turns::One, pages(Bounds::default())))));
    assert!(holds(400, |steps, _| law(play(&steps, Turns::One, models(RIGHT)))));
    for wrong in
        [Rule { lowers_other_days: false, ..RIGHT }, Rule { steps_max: 7, ..RIGHT }, Rule { steps_max: 1, ..RIGHT }]
    {
        assert!(!holds(400, |steps, _| law(play(&steps, Turns::One, models(wrong)))), "{wrong:?}");
    }
}

#[test]
fn it_passes_on_no_more_than_the_rule_asks_for() {
    let passed = |steps: &[Step], rule| play(steps, Turns::One, models(rule)).passed;
    let law =
        |steps: Vec<Step>, rule| play(&steps, Turns::One, pages(Bounds::default())).passed == passed(&steps, rule);
    assert!(holds(300, |steps, _| law(steps, RIGHT)));
    for other in [
        Rule { knows_itself: false, ..RIGHT },
        Rule { days_max: 1, ..RIGHT },
        Rule { days_max: 3, ..RIGHT },
        Rule { forgets_at_pauses: false, ..RIGHT },
        Rule { steps_max: 9, ..RIGHT },
    ] {
        assert!(!holds(300, |steps, _| law(steps, other)), "{other:?}");
    }
}

#[test]
fn a_page_without_room_loses_nothing_of_the_order() {
    let law = |words: Words| words.are_equal(K);
    assert!(holds(400, |steps, memory_bytes| {
        law(play(&steps, Turns::One, pages(Bounds { memory_bytes, ..Bounds::default() })))
    }));
    let small = Rule { letters_max: 3, ..RIGHT };
    assert!(holds(400, |steps, _| law(play(&steps, Turns::One, models(small)))));
    let wrong = Rule { unseen_lowers: false, ..small };
    assert!(!holds(400, |steps, _| law(play(&steps, Turns::One, models(wrong)))));
}

#[test]
fn two_pages_of_a_user_in_turns_lose_nothing_of_the_order() {
    let law = |words: Words| words.are_equal(K);
    assert!(holds(400, |steps, _| law(play(&steps, Turns::AfterPauses, pages(Bounds::default())))));
    let wrong = Rule { forgets_at_pauses: false, ..RIGHT };
    assert!(!holds(400, |steps, _| law(play(&steps, Turns::AfterPauses, models(wrong)))));
}

/// What series and retention need. Pages may even be used at once.
#[test]
fn what_was_done_on_which_day_is_kept_where_days_are() {
    let law = |steps: &[Step], level, memory_bytes| {
        let bounds = Bounds { level, memory_bytes, ..Bounds::default() };
        play(steps, Turns::Mixed, pages(bounds)).are_equal(1)
    };
    for level in [Level::Day, Level::Order] {
        assert!(holds(300, |steps, _| law(&steps, level, 1 << 20)), "{level:?}");
        assert!(holds(300, |steps, memory_bytes| law(&steps, level, memory_bytes)), "{level:?}");
    }
    assert!(!holds(300, |steps, _| law(&steps, Level::Week, 1 << 20)));
}

/// Then funnels may miss steps, and no more than that.
#[test]
fn pages_that_a_user_is_at_at_once_may_lose_order() {
    let law = |words: Words| words.are_equal(2);
    assert!(!holds(400, |steps, _| law(play(&steps, Turns::Mixed, pages(Bounds::default())))));
}

/// A server that knows the ids of events takes each once.
#[test]
fn batches_that_are_sent_again_change_nothing_where_events_have_ids() {
    let law = |steps: &[Step], knows_ids: bool| {
        let words = play(steps, Turns::One, pages(Bounds::default()));
        let sent: Vec<(usize, Letter)> = words.passed.get(&0).into_iter().flatten().copied().enumerate().collect();
        let mut known = HashSet::new();
        let mut arrived = Vec::new();
        for batch in sent.chunks(3) {
            for &(id, letter) in batch.iter().chain(batch) {
                if known.insert(id) || !knows_ids {
                    arrived.push(letter);
                }
            }
        }
        words.raw.get(&0).is_none_or(|raw| subsequences(raw, K) == subsequences(&arrived, K))
    };
    assert!(holds(200, |steps, _| law(&steps, true)));
    assert!(!holds(200, |steps, _| law(&steps, false)));
}

fn told(level: Level, events: &[(&str, u32, u32)]) -> Vec<News> {
    let mut page = page(Bounds { level, ..Bounds::default() });
    let day = |day: u32| Day::of_unix_s(i64::from(day) * 86_400);
    let record = |&(event, on, now_min): &(&str, u32, u32)| {
        page.record(&Event::new(event, "ann", day(on)), i64::from(now_min) * 60).unwrap()
    };
    events.iter().map(record).collect()
}

/// Wednesday to Friday of one week.
const DAYS: [u32; 3] = [20_782, 20_783, 20_784];

#[test]
fn each_level_passes_on_what_the_one_before_does_and_more() {
    use News::{First, Order, Repeat};
    let [wednesday, thursday, _] = DAYS;
    let events = [
        ("A", wednesday, 0),
        ("B", wednesday, 1),
        ("A", wednesday, 2),
        ("A", wednesday, 2),
        ("A", thursday, 3),
        ("B", wednesday, 4),
    ];
    assert_eq!(told(Level::Week, &events), [First, First, Repeat, Repeat, Repeat, Repeat]);
    assert_eq!(told(Level::Day, &events), [First, First, Repeat, Repeat, First, Repeat]);
    assert_eq!(told(Level::Order, &events), [First, First, Order, Repeat, First, Order]);
    for level in Level::ALL {
        assert_eq!(Level::named(level.name()), Some(level));
    }
    assert_eq!(Level::named("Order"), None);
}

/// The smallest words in which a simpler rule fails.
#[test]
fn the_smallest_counterexamples_stand() {
    use News::{First, Order, Repeat};
    let [wednesday, thursday, friday] = DAYS;
    let late = [("B", thursday, 0), ("A", wednesday, 1), ("B", thursday, 2)];
    assert_eq!(told(Level::Order, &late), [First, First, Order]);
    let third_day = [
        ("A", wednesday, 0),
        ("A", thursday, 1),
        ("A", friday, 2),
        ("A", thursday, 3),
        ("A", wednesday, 4),
        ("A", friday, 5),
    ];
    assert_eq!(told(Level::Order, &third_day), [First, First, First, Order, First, Order]);
    let pause = [("A", wednesday, 0), ("A", wednesday, 29), ("A", wednesday, 59), ("A", wednesday, 59)];
    assert_eq!(told(Level::Order, &pause), [First, Repeat, First, Repeat]);
    assert_eq!(told(Level::Day, &pause), [First, Repeat, Repeat, Repeat]);
    let set_back = [("A", wednesday, 9), ("A", wednesday, 8)];
    assert_eq!(told(Level::Order, &set_back), [First, First]);
}

#[test]
fn a_level_that_keeps_more_begins_with_nothing_known() {
    let now_s = i64::from(DAYS[0]) * 86_400;
    let view = Event::new("View", "ann", Day::of_unix_s(now_s));
    let mut day = page(Bounds { level: Level::Day, ..Bounds::default() });
    assert_eq!(day.record(&view, now_s), Ok(News::First));
    for (level, news) in [
        (Level::Day, News::Repeat),
        (Level::Week, News::Repeat),
        (Level::Day, News::First),
        (Level::Order, News::First),
        (Level::Day, News::Repeat),
    ] {
        day = restarted(&day, Bounds { level: day.bounds().level, ..Bounds::default() });
        let mut stored = PreAggregator::decode(&day.encode(), Bounds { level, ..Bounds::default() }).unwrap();
        day.set_level(level);
        assert_eq!(stored.encode(), day.encode());
        assert_eq!((day.record(&view, now_s), stored.record(&view, now_s)), (Ok(news), Ok(news)), "{level:?}");
    }
}

#[test]
fn merging_forgets_the_order_and_passes_on_all_that_waits() {
    let now_s = i64::from(DAYS[0]) * 86_400;
    let [view, buy] = ["View", "Buy"].map(|name| Event::new(name, "ann", Day::of_unix_s(now_s)));
    let (mut mine, mut theirs) = (page(Bounds::default()), page(Bounds::default()));
    for event in [view, buy] {
        mine.record(&event, now_s).unwrap();
        theirs.record(&event, now_s).unwrap();
    }
    mine.merge(&theirs).unwrap();
    assert_eq!(mine.pending().collect::<Vec<_>>(), [view, buy, view, buy]);
    assert_eq!(mine.record(&buy, now_s), Ok(News::First));
    assert_eq!(theirs.record(&buy, now_s), Ok(News::Repeat));
}

/// With `CLICKSTREAM`, a CSV file with user, event and time as its first, third and fourth column, compressed by gzip.
#[test]
fn a_real_stream_is_reduced_as_the_model_does() {
    let Ok(path) = std::env::var("CLICKSTREAM") else {
        eprintln!("skipped: CLICKSTREAM names no file");
        return;
    };
    let unpacked = Command::new("gzip").args(["-dc", &path]).output().unwrap();
    assert!(unpacked.status.success());
    let text = String::from_utf8(unpacked.stdout).unwrap();
    let mut rows: Vec<(i64, &str, &str)> = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let time = chrono::NaiveDateTime::parse_from_str(fields[3], "%Y-%m-%d %H:%M:%S").unwrap();
        rows.push((time.and_utc().timestamp(), fields[0], fields[2]));
    }
    rows.sort_by_key(|row| row.0);
    let passed = Level::ALL.map(|level| {
        let mut page = page(Bounds { level, pending_bytes: 16 << 20, ..Bounds::default() });
        let mut quiet = 0;
        for &(now_s, user, event) in &rows {
            let news = page.record(&Event::new(event, user, Day::of_unix_s(now_s)), now_s).unwrap();
            quiet += usize::from(news == News::Order);
        }
        eprintln!(
            "{}: {} of {} passed on, {quiet} quiet, {} unseen, {} bytes of memory, {} stored",
            level.name(),
            page.pending_len(),
            rows.len(),
            page.passed_unseen(),
            page.memory_bytes(),
            page.encode().len()
        );
        page.pending_len()
    });
    assert_eq!((rows.len(), passed), (31_106, [17_540, 19_003, 27_535]));
}
