//! The aggregator against exact sets, through random batches with limits that they meet, and restarts by snapshot and by
//! journal in between.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use kimball_edge::core::identity::{Keys, UnlinkKey};
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::periods::period::{Period, Units};
use kimball_edge::core::periods::week::Week;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::all_series::Missed;
use kimball_edge::core::state::effect::Effect;
use kimball_edge::core::state::series::Occurrence;
use kimball_edge::core::state::shard_limits::{ShardLimits, TimeLimits};
use kimball_edge::core::state::sum::Sum;
use kimball_edge::core::state::{journal, snapshot};
use libfuzzer_sys::fuzz_target;

const LATENESS_DAYS: i64 = 2;

#[derive(Debug, Arbitrary)]
enum Step {
    Batch(Vec<Act>),
    /// A batch held to the memory that there is, and this much more.
    Tight(Vec<Act>, u8),
    /// The state is written and read again.
    Snapshot,
    /// The state is what its journal says.
    Replay,
    /// Days pass, and periods close.
    Pass(u8),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Act {
    event: u8,
    user: u8,
    value: Option<i8>,
    week: Option<u8>,
    /// Days before the present one, or behind it.
    late: i8,
    is_goal: bool,
}

impl Act {
    fn event(self) -> u32 {
        u32::from(self.event % 7)
    }

    fn week(self) -> Option<Week> {
        self.week.and_then(|week| Week::of_unix_s(1_608_000_000 + i64::from(week % 5) * 7 * 86_400))
    }

    /// The day of the event, when it comes on this one.
    fn day(self, today: Day) -> Day {
        today.plus(i64::from(self.late % 5))
    }

    /// What the event has series of.
    fn units(self) -> Units {
        Units::of_bits(self.event() as u8)
    }

    fn operation(self, keys: &Keys, unlink: &UnlinkKey, today: Day) -> Operation {
        let (event, tag) = (self.event(), unlink.tag(&format!("event {}", self.event())));
        if self.is_goal {
            return Operation::Goal { event, tag };
        }
        let user = keys.user("default", &self.user.to_string());
        let time = Some(Occurrence { day: self.day(today), units: self.units() });
        Operation::Record { event, tag, user, value: self.value.map(f64::from), week: self.week(), time }
    }
}

#[derive(Default)]
struct Model {
    done: BTreeMap<u32, BTreeSet<u8>>,
    weeks: BTreeMap<(u32, Week), BTreeSet<u8>>,
    sums: BTreeMap<u32, i64>,
    goals: BTreeMap<u32, BTreeMap<BTreeSet<u32>, u64>>,
    periods: BTreeMap<(Option<u32>, Period), BTreeSet<u8>>,
}

impl Model {
    fn apply(&mut self, act: Act, today: Day) {
        let (event, user) = (act.event(), act.user);
        if act.is_goal {
            self.done.entry(event).or_default();
            self.goals.entry(event).or_default();
            return;
        }
        let day = act.day(today);
        if day.plus(LATENESS_DAYS) >= today && day <= today.plus(1) {
            for (of, units) in [(Some(event), act.units()), (None, Units::ALL)] {
                for unit in units.iter() {
                    self.periods.entry((of, Period::of(unit, day))).or_default().insert(user);
                }
            }
        }
        if let Some(week) = act.week() {
            self.weeks.entry((event, week)).or_default().insert(user);
        }
        let prior: BTreeSet<u32> = self
            .done
            .iter()
            .filter(|(other, users)| **other != event && users.contains(&user))
            .map(|(&other, _)| other)
            .collect();
        if !self.done.entry(event).or_default().insert(user) {
            return;
        }
        if let Some(value) = act.value {
            *self.sums.entry(event).or_default() += i64::from(value);
        }
        if let Some(combinations) = self.goals.get_mut(&event) {
            *combinations.entry(prior).or_default() += 1;
        }
    }

    fn check(&self, state: &Aggregator) {
        for (&(of, period), users) in &self.periods {
            let point = state.points(of, period, period).first().map(|(_, point)| *point).unwrap_or_default();
            let missed = |missed: Missed| period.first_day() <= missed.to && period.last_day() >= missed.from;
            let is_complete = !point.is_over && !state.series().missed().is_some_and(missed);
            assert!(point.users as usize <= users.len() && (!is_complete || point.users as usize == users.len()));
        }
        let report = state.report();
        assert_eq!(report.users, self.done.values().flatten().collect::<BTreeSet<_>>().len() as u64);
        assert_eq!(report.counters.len(), self.done.len());
        for counter in &report.counters {
            assert_eq!(counter.count, self.done[&counter.event].len() as u64);
            assert_eq!(counter.sum.map(Sum::value), self.sums.get(&counter.event).map(|&sum| sum as f64));
            for (week, &count) in &counter.weeks {
                assert_eq!(count, self.weeks[&(counter.event, *week)].len() as u64);
            }
            assert_eq!(counter.goal.is_some(), self.goals.contains_key(&counter.event));
            if let Some(goal) = &counter.goal {
                let listed = goal.combinations.iter().map(|(set, &count)| (set.events().collect(), count)).collect();
                assert_eq!((self.goals[&counter.event].clone(), 0), (listed, goal.other));
            }
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let keys = Keys::new(&[5; 32]);
    let unlink = keys.unlink("default");
    let (mut state, mut model) = (Aggregator::default(), Model::default());
    let mut journal: Vec<Vec<u8>> = Vec::new();
    // Behind all weeks that there are.
    let mut today = Day::of_unix_s(1_608_000_000 + 6 * 7 * 86_400);
    let time = TimeLimits { lateness_days: LATENESS_DAYS, ..TimeLimits::NONE };
    let unlimited = ShardLimits { time, ..ShardLimits::NONE };
    for step in &steps {
        let (acts, limits) = match step {
            Step::Batch(acts) => (acts, unlimited.clone()),
            Step::Pass(days) => {
                today = today.plus(i64::from(*days % 40));
                let closed: Vec<Effect> = state.close_periods(today, time).into_iter().collect();
                journal.push(journal::encode(&closed));
                continue;
            }
            Step::Tight(acts, bytes) => (
                acts,
                ShardLimits { memory_bytes: state.memory_bytes() as u64 + 8 * u64::from(*bytes), ..unlimited.clone() },
            ),
            Step::Snapshot => {
                let sections = snapshot::encode_all(&state);
                state = Aggregator::default();
                for section in &sections {
                    snapshot::decode(&mut state, section).expect("what was encoded decodes");
                }
                continue;
            }
            Step::Replay => {
                let mut replayed = Aggregator::default();
                for row in &journal {
                    let effects = journal::decode(row).expect("what was encoded decodes");
                    replayed.restore(&effects).expect("what was done can be done again");
                }
                assert_eq!(snapshot::encode_all(&replayed), snapshot::encode_all(&state));
                state = replayed;
                continue;
            }
        };
        let operations: Vec<Operation> = acts.iter().map(|act| act.operation(&keys, &unlink, today)).collect();
        let before = snapshot::encode_all(&state);
        match state.apply(&operations, &unlink, &limits, today) {
            Ok(effects) => {
                journal.push(journal::encode(&effects));
                acts.iter().for_each(|&act| model.apply(act, today));
            }
            Err(_) => assert_eq!(snapshot::encode_all(&state), before, "a refused batch changes nothing"),
        }
        model.check(&state);
    }
});
