//! Predictions: how likely users reach a goal after what they have done, from the numbers of a `Report` alone.
//!
//! For a goal G and an event E: `g` and `n` are their unique users, `s` the users who did E before they completed G,
//! `c` the users who completed G since it became a goal, and `u` all users of the namespace.
//!
//! **As the original answers** ([`bayes`](EventPrediction::bayes), `yes`, `no`, `likelihood`): Bayes' theorem
//! `P(G|E) = P(E|G) P(G) / P(E)` with `P(E|G) = s/g`, `P(G) = g/u`, `P(E) = n/u`; and unsmoothed products over the events,
//! `yes = Π s/g`, `no = Π (n - s)/g`, `likelihood = yes / max(no, 0.1)`. These are no probabilities.
//!
//! **`probability`** is naive Bayes (Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, chapter 13) over
//! the `u - (g - c)` users of whom it is known what they did before the goal, `r = u - g` of them without it. Everything is
//! smoothed by adding one to each of two outcomes (Laplace's rule of succession), so it is never 0 or 1:
//!
//! - `P(G) = (c + 1) / (c + r + 2)`
//! - `P(E|G) = (s + 1) / (c + 2)`
//! - `P(E|¬G) = (min(n - s, r) + 1) / (r + 2)`
//! - `P(G|…) = P(G) Π P(…|G) / (P(G) Π P(…|G) + P(¬G) Π P(…|¬G))`, computed as a sum of logarithms of odds.
//!
//! Given one event of a user of whom nothing else is known, the product has that event's factor only. Given all that a
//! user has done, it is the Bernoulli model (ibid., 13.3): every other event that anybody did has the factor
//! `1 - P(E|…)`. What was not done tells as much as what was, and without these factors the probability of all who
//! did little would be too high.
//!
//! **What is hidden** ([`super::gate`]): what is said of a goal after an event rests on `g`, `c`, `n` and `s`, and is hidden
//! where one of them is. An event of which `n` or `s` is hidden has no factor among those of what was not done, nor any in
//! nudges: so no probability that is shown rests on it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::analytics::Unnamed;
use super::gate::{Gate, Gated, Shown, Suppressed, Users};
use crate::core::order::{map_of, sorted};
use crate::core::state::report::GoalReport;

/// The least `no` that a likelihood is divided by.
const NO_MIN: f64 = 0.1;
/// Log odds beyond which a probability would be rounded to 0.
const LOG_ODDS_MIN: f64 = -700.0;
/// Log odds beyond which a probability would be rounded to 1.
const LOG_ODDS_MAX: f64 = 36.0;
/// What is said of a goal that is itself among the events.
const GOAL_IS_GIVEN: &str = "this goal is one of the given events";

/// The answer to GET /v0/predictions without events or a user.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPredictions<'a> {
    /// The goals that somebody completed after another event, by name.
    pub goals: BTreeMap<&'a str, GoalEvents<'a>>,
}

/// One goal in [`EventPredictions`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GoalEvents<'a> {
    /// The events that somebody did before the goal, by name.
    pub events: BTreeMap<&'a str, EventPrediction>,
}

/// What one event says of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventPrediction {
    /// The share of the event's users who completed the goal after it, from 0 to 1.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
    pub bayes: Shown<f64>,
    /// The probability of the goal for a user of whom only this event is known; above 0 and below 1.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
    pub probability: Shown<f64>,
    /// The event's users.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
    pub support: Users,
    /// Present and true where a number of this object is hidden.
    #[serde(skip_serializing_if = "Suppressed::is_absent")]
    #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
    pub suppressed: Suppressed,
}

/// The answer to GET /v0/predictions with events or a user.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GoalPredictions<'a> {
    /// The goals that somebody completed or that are among the events, by name.
    pub goals: BTreeMap<&'a str, GoalPrediction>,
}

/// What several events say of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum GoalPrediction {
    /// The goal is among the events.
    Given {
        /// Says so.
        note: &'static str,
    },
    /// It is not.
    Open {
        /// The product of the events' shares among the goal's users.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
        yes: Shown<f64>,
        /// The same of the events' users who did not complete the goal after it, which may be above 1.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
        no: Shown<f64>,
        /// `yes` divided by `no`, or by 0.1 where that is less.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
        likelihood: Shown<f64>,
        /// The probability of the goal for a user who did these events and no others; above 0 and below 1.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
        probability: Shown<f64>,
        /// The users of the event that has the fewest; all users, where there are no events.
        #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>, required = true))]
        support: Users,
        /// Present and true where a number of this object is hidden.
        #[serde(skip_serializing_if = "Suppressed::is_absent")]
        #[cfg_attr(feature = "openapi", schema(value_type = bool, required = false))]
        suppressed: Suppressed,
    },
}

/// The answer to GET /v0/nudges.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Nudges<'a> {
    /// The events that led others to the goal and that the user has not done, best prediction first, then by name.
    pub nudges: Vec<Nudge<'a>>,
    /// The goal, as it was asked for.
    pub goal: &'a str,
    /// The user, as asked for.
    pub user_id: &'a str,
}

/// One event in [`Nudges`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Nudge<'a> {
    /// The event.
    pub event_name: &'a str,
    /// The share of its users who completed the goal after it, from 0 to 1.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub prediction: Shown<f64>,
    /// The probability of the goal once the user has done this event too; above 0 and below 1.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub probability: Shown<f64>,
    /// The users of the event that has the fewest, of this and the user's own.
    #[cfg_attr(feature = "openapi", schema(value_type = u64))]
    pub support: Users,
}

/// The numbers of a namespace as predictions need them. The head of this file has the formulas.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    gate: Gate,
    users: u64,
    /// Ascending by number.
    events: Vec<Event<'a>>,
}

#[derive(Debug, Clone, Copy)]
struct Event<'a> {
    number: u32,
    name: &'a str,
    count: u64,
    goal: Option<&'a GoalReport>,
}

impl<'a> Model<'a> {
    /// Puts names to a report. Events that nobody did yet are left out, unless they are goals.
    ///
    /// # Errors
    /// [`Unnamed`] when `names` (by event number) does not cover the report.
    ///
    /// # Example
    /// ```
    /// use kimball_edge::core::answers::{gate::{Gate, Gated}, prediction::Model};
    /// use kimball_edge::core::state::report::Report;
    /// let gated = Gated::new(Report::default(), Gate::OPEN);
    /// assert!(Model::of(&gated, &[]).unwrap().each_event().goals.is_empty());
    /// ```
    pub fn of(gated: &'a Gated, names: &'a [String]) -> Result<Self, Unnamed> {
        let report = gated.report();
        let used = report.counters.iter().filter(|counter| counter.is_listed());
        let events = used.map(|counter| {
            let name = names.get(counter.event as usize).ok_or(Unnamed)?;
            Ok(Event { number: counter.event, name, count: counter.count, goal: counter.goal.as_ref() })
        });
        Ok(Self { gate: gated.gate(), users: report.users, events: events.collect::<Result<_, _>>()? })
    }

    /// Whether nobody did anything yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.users == 0
    }

    /// The numbers of the events with these names; `None` when one of them is neither a goal nor done by anybody.
    #[must_use]
    pub fn numbers(&self, names: &BTreeSet<&str>) -> Option<BTreeSet<u32>> {
        let known = self.events.iter().filter(|event| names.contains(event.name));
        let numbers: BTreeSet<u32> = known.map(|event| event.number).collect();
        (numbers.len() == names.len()).then_some(numbers)
    }

    /// What each event alone says of each goal.
    #[must_use]
    pub fn each_event(&self) -> EventPredictions<'a> {
        let predictions = |goal: &Goal<'_>| {
            let prior = self.events.iter().map(|event| (event, goal.single(event))).filter(|&(_, single)| single > 0);
            let events = map_of(prior.map(|(event, _)| {
                let group = goal.smallest().min(goal.smallest_with(event));
                let probability = self.gate.of_group(group, probability(goal.prior() + goal.done(event)));
                let bayes = self.gate.of_group(group, goal.bayes(event, self.users));
                let support = self.gate.users(event.count);
                let suppressed = Suppressed::of(bayes.is_hidden() || support.is_hidden());
                (event.name, EventPrediction { bayes, probability, support, suppressed })
            }));
            (!events.is_empty()).then_some(GoalEvents { events })
        };
        let goals = self.goals().filter_map(|goal| Some((goal.event.name, predictions(&goal)?)));
        EventPredictions { goals: map_of(goals) }
    }

    /// What it says of each goal that a user has done these events and no others. Numbers of no event are ignored.
    #[must_use]
    pub fn after(&self, done: &BTreeSet<u32>) -> GoalPredictions<'a> {
        let support = self.gate.users(self.support(done));
        let goals = self.goals().filter_map(|goal| {
            if done.contains(&goal.event.number) {
                return Some((goal.event.name, GoalPrediction::Given { note: GOAL_IS_GIVEN }));
            }
            if goal.event.count == 0 {
                return None;
            }
            let (mut yes, mut no, mut group) = (1.0, 1.0, goal.smallest());
            for event in self.done(done) {
                let single = goal.single(event);
                group = group.min(goal.smallest_with(event));
                yes *= ratio(single, goal.event.count);
                // Thousands of factors above 1 would make it infinite, which JSON does not have.
                no = f64::min(no * ratio(event.count.saturating_sub(single), goal.event.count), f64::MAX);
            }
            let probability = probability(self.log_odds(&goal, done));
            let likelihood = yes / f64::max(no, NO_MIN);
            let shown = |number| self.gate.of_group(group, number);
            let prediction = GoalPrediction::Open {
                yes: shown(yes),
                no: shown(no),
                likelihood: shown(likelihood),
                probability: shown(probability),
                support,
                suppressed: Suppressed::of(support.is_hidden() || self.gate.hides(group)),
            };
            Some((goal.event.name, prediction))
        });
        GoalPredictions { goals: map_of(goals) }
    }

    /// What led others to a goal and is left to do for a user who has done these events; `None` when it is no goal. What
    /// rests on a hidden number is left out, of the list and of what the user has done.
    #[must_use]
    pub fn nudges(&self, goal: &str, done: &BTreeSet<u32>) -> Option<Vec<Nudge<'a>>> {
        let goal = self.goals().find(|candidate| candidate.event.name == goal)?;
        if self.gate.hides(goal.smallest()) {
            return Some(Vec::new());
        }
        let is_shown = |event: &&Event<'_>| !self.gate.hides(goal.smallest_with(event));
        let open = self.events.iter().filter(is_shown);
        let open = open.filter(|event| !done.contains(&event.number) && goal.single(event) > 0);
        // Of a goal only what came before it counts.
        let others = self.done(done).filter(|event| event.number != goal.event.number);
        let done: BTreeSet<u32> = others.filter(is_shown).map(|event| event.number).collect();
        let (log_odds, support) = (self.log_odds(&goal, &done), self.support(&done));
        let nudges: Vec<Nudge<'a>> = open
            .map(|event| {
                let group = goal.smallest().min(goal.smallest_with(event));
                let probability = probability(log_odds - goal.not_done(event) + goal.done(event));
                Nudge {
                    event_name: event.name,
                    prediction: self.gate.of_group(group, goal.bayes(event, self.users)),
                    probability: self.gate.of_group(group, probability),
                    support: self.gate.users(support.min(event.count)),
                }
            })
            .collect();
        let prediction = |nudge: &Nudge<'_>| nudge.prediction.get().unwrap_or_default();
        let compare = |a: &Nudge<'_>, b: &Nudge<'_>| prediction(b).total_cmp(&prediction(a));
        Some(sorted(nudges, |a, b| compare(a, b).then_with(|| a.event_name.cmp(b.event_name))))
    }

    fn goals(&self) -> impl Iterator<Item = Goal<'a>> {
        self.events.iter().filter_map(|&event| Some(Goal::of(event, event.goal?, self.users)))
    }

    /// The events of these numbers.
    fn done(&self, numbers: &BTreeSet<u32>) -> impl Iterator<Item = &Event<'a>> {
        self.events.iter().filter(|event| numbers.contains(&event.number))
    }

    fn support(&self, done: &BTreeSet<u32>) -> u64 {
        self.done(done).map(|event| event.count).fold(self.users, u64::min)
    }

    /// The log odds of a goal for a user who has done these events and no others.
    fn log_odds(&self, goal: &Goal<'_>, done: &BTreeSet<u32>) -> f64 {
        // That a user has not done what nobody ever did says nothing.
        let others = self
            .events
            .iter()
            .filter(|event| event.number != goal.event.number && (event.count > 0 || done.contains(&event.number)))
            .filter(|event| !self.gate.hides(goal.smallest_with(event)));
        others.fold(goal.prior(), |log_odds, event| {
            log_odds + if done.contains(&event.number) { goal.done(event) } else { goal.not_done(event) }
        })
    }
}

/// A goal with the numbers that all its probabilities share.
struct Goal<'a> {
    event: Event<'a>,
    report: &'a GoalReport,
    /// `c`: users who completed it since it became a goal.
    completed: u64,
    /// `r`: users who did not complete it.
    rest: u64,
}

impl<'a> Goal<'a> {
    fn of(event: Event<'a>, report: &'a GoalReport, users: u64) -> Self {
        let completed = report.combinations.values().sum::<u64>() + report.other;
        Self { event, report, completed, rest: users.saturating_sub(event.count) }
    }

    /// `s`: users who did the event before this goal.
    fn single(&self, event: &Event<'_>) -> u64 {
        self.report.single.get(&event.number).copied().unwrap_or(0)
    }

    /// The users of the smallest group that all that is said of the goal rests on.
    const fn smallest(&self) -> u64 {
        if self.completed < self.event.count { self.completed } else { self.event.count }
    }

    /// The users of the smallest group that what an event says of the goal rests on besides.
    fn smallest_with(&self, event: &Event<'_>) -> u64 {
        self.single(event).min(event.count)
    }

    /// Bayes' theorem. Above 1 only by the rare false positives of a user set.
    fn bayes(&self, event: &Event<'_>, users: u64) -> f64 {
        let with_goal = ratio(self.single(event), self.event.count) * ratio(self.event.count, users);
        let of_event = ratio(event.count, users);
        if of_event > 0.0 { (with_goal / of_event).clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The log odds before anything is known of a user.
    fn prior(&self) -> f64 {
        log_ratio(self.completed, self.rest)
    }

    /// What it adds to the log odds that a user has done an event: `ln(P(E|G) / P(E|¬G))`.
    fn done(&self, event: &Event<'_>) -> f64 {
        let (with, without) = self.split(event);
        log_ratio(with, without) - self.log_sizes()
    }

    /// What it adds that a user has not: `ln((1 - P(E|G)) / (1 - P(E|¬G)))`.
    fn not_done(&self, event: &Event<'_>) -> f64 {
        let (with, without) = self.split(event);
        log_ratio(self.completed - with, self.rest - without) - self.log_sizes()
    }

    /// Users of the event among those who completed the goal, and among the others.
    fn split(&self, event: &Event<'_>) -> (u64, u64) {
        let single = self.single(event);
        (single.min(self.completed), event.count.saturating_sub(single).min(self.rest))
    }

    fn log_sizes(&self) -> f64 {
        log_ratio(self.completed + 1, self.rest + 1)
    }
}

/// `ln((a + 1) / (b + 1))`
fn log_ratio(a: u64, b: u64) -> f64 {
    ((a + 1) as f64 / (b + 1) as f64).ln()
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The probability of these log odds; never 0, never 1.
fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds.clamp(LOG_ODDS_MIN, LOG_ODDS_MAX)).exp())
}
