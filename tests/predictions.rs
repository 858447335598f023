//! Predictions and nudges: cases worked out by hand, laws, and calibration on users who were held out.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use kimball_edge::core::answers::gate::{Gate, Gated, Shown};
use kimball_edge::core::answers::prediction::{GoalPrediction, Model};
use kimball_edge::core::identity::{Keys, UnlinkKey, UserKey};
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::requests::{BadRequest, Fault, Given, Query, parse_nudge, parse_prediction};
use kimball_edge::core::settings::limits::RequestLimits;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::report::Report;
use kimball_edge::core::state::shard_limits::ShardLimits;
use proptest::prelude::*;

/// Shards that hold what users did.
struct World {
    keys: Keys,
    unlink: UnlinkKey,
    names: Vec<String>,
    shards: Vec<Aggregator>,
}

impl World {
    fn new(names: &[&str], shards: usize) -> Self {
        let keys = Keys::new(&[3; 32]);
        let unlink = keys.unlink("default");
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Self { keys, unlink, names, shards: vec![Aggregator::default(); shards] }
    }

    fn event(&self, name: &str) -> (u32, u64) {
        let number = self.names.iter().position(|known| known == name).unwrap();
        (u32::try_from(number).unwrap(), self.unlink.tag(name))
    }

    fn user(&self, user: u32) -> UserKey {
        self.keys.user("default", &user.to_string())
    }

    fn goal(&mut self, name: &str) {
        let (event, tag) = self.event(name);
        for shard in &mut self.shards {
            shard.apply([Operation::Goal { event, tag }], &self.unlink, &ShardLimits::NONE, Day::MAX).unwrap();
        }
    }

    fn did(&mut self, user: u32, names: &[&str]) {
        let key = self.user(user);
        let at = key.shard(u32::try_from(self.shards.len()).unwrap()) as usize;
        for name in names {
            let (event, tag) = self.event(name);
            let operation = Operation::Record { event, tag, user: key, value: None, week: None, time: None };
            self.shards[at].apply([operation], &self.unlink, &ShardLimits::NONE, Day::MAX).unwrap();
        }
    }

    fn report(&self) -> Gated {
        self.behind(Gate::OPEN)
    }

    fn behind(&self, gate: Gate) -> Gated {
        Gated::new(self.shards.iter().map(Aggregator::report).fold(Report::default(), Report::merge), gate)
    }

    fn done_by(&self, user: u32) -> BTreeSet<u32> {
        let key = self.user(user);
        let at = key.shard(u32::try_from(self.shards.len()).unwrap()) as usize;
        self.shards[at].events_of(key, &self.unlink).into_iter().collect()
    }

    fn numbers(&self, names: &[&str]) -> BTreeSet<u32> {
        names.iter().map(|name| self.event(name).0).collect()
    }
}

/// 8 users; G 4; E 4, of which 3 before G; F 5, of which 1 before G.
fn by_hand(shards: usize) -> World {
    let mut world = World::new(&["E", "G", "F", "nobody's"], shards);
    world.goal("G");
    for user in 1..=2 {
        world.did(user, &["E", "G"]);
    }
    world.did(3, &["E", "F", "G"]);
    world.did(4, &["G", "F"]);
    world.did(5, &["E"]);
    for user in 6..=8 {
        world.did(user, &["F"]);
    }
    world
}

/// A number that no gate hides.
fn shown<T: Copy>(number: Shown<T>) -> T {
    number.get().unwrap()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
}

fn share(yes: f64, no: f64) -> f64 {
    yes / (yes + no)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn a_small_example_number_by_number() {
    let world = by_hand(1);
    let report = world.report();
    let model = Model::of(&report, &world.names).unwrap();

    // Completed 4, without 4: P(G) = 5/10. E: 3 of 4 with, 1 of 4 without. F: 1 of 4 with, 4 of 4 without.
    let alone = model.each_event();
    let (e, f) = (alone.goals["G"].events["E"], alone.goals["G"].events["F"]);
    assert_eq!((shown(e.support), shown(f.support)), (4, 5));
    close(shown(e.bayes), 0.75);
    close(shown(f.bayes), 0.2);
    close(shown(e.probability), share(4.0 / 6.0, 2.0 / 6.0));
    close(shown(f.probability), share(2.0 / 6.0, 5.0 / 6.0));

    let GoalPrediction::Open { yes, no, likelihood, probability, support, .. } =
        model.after(&world.numbers(&["E", "F"])).goals["G"]
    else {
        unreachable!("G is not given");
    };
    close(shown(yes), 3.0 / 16.0);
    close(shown(no), 1.0 / 4.0);
    close(shown(likelihood), 0.75);
    assert_eq!(shown(support), 4);
    close(shown(probability), share(4.0 / 6.0 * 2.0 / 6.0, 2.0 / 6.0 * 5.0 / 6.0));

    // With E only, F is known not to be done.
    let GoalPrediction::Open { probability, .. } = model.after(&world.numbers(&["E"])).goals["G"] else {
        unreachable!("G is not given");
    };
    close(shown(probability), share(4.0 / 6.0 * 4.0 / 6.0, 2.0 / 6.0 * 1.0 / 6.0));

    let nudges = model.nudges("G", &world.done_by(7)).unwrap();
    assert_eq!(nudges.len(), 1);
    assert_eq!((nudges[0].event_name, shown(nudges[0].support)), ("E", 4));
    close(shown(nudges[0].prediction), 0.75);
    close(shown(nudges[0].probability), share(4.0 / 6.0 * 2.0 / 6.0, 2.0 / 6.0 * 5.0 / 6.0));
}

#[test]
fn the_json_is_the_originals_and_two_numbers() {
    let world = by_hand(1);
    let report = world.report();
    let model = Model::of(&report, &world.names).unwrap();
    let given = json(&model.after(&world.numbers(&["E", "G"])));
    assert_eq!(given, r#"{"goals":{"G":{"note":"this goal is one of the given events"}}}"#);
    let alone = json(&model.each_event());
    assert!(alone.starts_with(r#"{"goals":{"G":{"events":{"E":{"bayes":0.75,"probability":"#), "{alone}");
    let open = json(&model.after(&world.numbers(&["E"])));
    assert!(open.starts_with(r#"{"goals":{"G":{"yes":0.75,"no":0.25,"likelihood":3.0,"probability":"#), "{open}");
}

#[test]
fn users_who_completed_before_it_was_a_goal_are_left_out() {
    let mut world = World::new(&["E", "G", "F"], 1);
    for user in 0..50 {
        world.did(user, &["E", "G"]);
    }
    world.goal("G");
    let report = world.report();
    assert!(Model::of(&report, &world.names).unwrap().each_event().goals.is_empty(), "nobody has a prior event yet");
    world.did(100, &["E", "G"]);
    world.did(101, &["E"]);
    world.did(102, &["F"]);
    let report = world.report();
    let alone = Model::of(&report, &world.names).unwrap().each_event();
    let e = alone.goals["G"].events["E"];
    // One with, two without; of E's 51 others at most those two.
    close(shown(e.probability), share(2.0 / 5.0 * 2.0 / 3.0, 3.0 / 5.0 * 3.0 / 4.0));
    close(shown(e.bayes), 1.0 / 52.0);
}

#[test]
fn what_is_known_and_what_is_not() {
    let world = by_hand(2);
    let report = world.report();
    let model = Model::of(&report, &world.names).unwrap();
    assert_eq!(model.numbers(&["E", "G"].into()), Some([0, 1].into()));
    assert_eq!(model.numbers(&["E", "nobody's"].into()), None);
    assert_eq!(model.numbers(&["e"].into()), None);
    assert_eq!(model.nudges("E", &BTreeSet::new()), None, "E is no goal");
    assert!(model.nudges("G", &world.done_by(3)).unwrap().is_empty(), "both are done");
    assert_eq!(model.nudges("G", &world.done_by(999)).unwrap().len(), 2);
    assert!(world.done_by(999).is_empty());
    assert_eq!(world.done_by(4), [1, 2].into());
    assert!(Model::of(&report, &world.names[..2]).is_err(), "names older than the report");
}

#[test]
fn a_goal_that_nobody_reached_changes_no_probability() {
    let mut world = by_hand(1);
    let before = world.report();
    world.goal("nobody's");
    let after = world.report();
    let (before, after) = (Model::of(&before, &world.names).unwrap(), Model::of(&after, &world.names).unwrap());
    assert_eq!(before.after(&[0].into()), after.after(&[0].into()));
    assert_eq!(before.nudges("G", &BTreeSet::new()), after.nudges("G", &BTreeSet::new()));
}

#[test]
fn a_goal_that_the_user_has_reached_does_not_count_as_an_event_before_it() {
    let world = by_hand(1);
    let report = world.report();
    let model = Model::of(&report, &world.names).unwrap();
    let with: Vec<_> = model.nudges("G", &world.numbers(&["F", "G"])).unwrap();
    assert_eq!(with, model.nudges("G", &world.numbers(&["F"])).unwrap());
}

#[test]
fn queries() {
    let keys = Keys::new(&[3; 32]);
    let limits = RequestLimits { body_bytes: 1, batch_events: 1, batch_namespaces: 9, name_bytes: 8 };
    let predict = |text: &str| {
        let query = Query::parse(text).unwrap();
        parse_prediction(&query, &keys, &limits).map(|asked| format!("{:?}", asked.given))
    };
    let nudge = |text: &str| parse_nudge(&Query::parse(text).unwrap(), &keys, &limits).map(|_| ());
    let of = |parameter, fault| BadRequest::Parameter { parameter, fault };
    assert_eq!(predict("namespace=n"), Ok(format!("{:?}", Given::Nothing)));
    assert_eq!(predict("user_id=42&user_id=42"), Ok(format!("{:?}", Given::User(keys.user("default", "42")))));
    assert_eq!(predict("event="), Err(of("event", Fault::Invalid("must not be empty"))));
    assert_eq!(predict("event=a&event=123456789"), Err(of("event", Fault::TooLong { limit: 8 })));
    assert_eq!(predict("event=a&user_id=u"), Err(of("user_id", Fault::Invalid("must not come together with `event`"))));
    assert_eq!(predict("user_id=123456789"), Err(of("user_id", Fault::TooLong { limit: 8 })));
    assert!(predict("user_id=u&user_id=v").is_err());
    assert_eq!(nudge("goal=G&user_id=u"), Ok(()));
    assert_eq!(nudge("user_id=u"), Err(of("goal", Fault::Missing)));
    assert_eq!(nudge("goal=G"), Err(of("user_id", Fault::Missing)));
    assert_eq!(nudge("goal=G&user_id="), Err(of("user_id", Fault::Invalid("must not be empty"))));
    assert!(nudge("goal=G&goal=H&user_id=u").is_err());
}

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

fn finite_open(prediction: GoalPrediction) -> Result<(), TestCaseError> {
    if let GoalPrediction::Open { yes, no, likelihood, probability, .. } = prediction {
        let (yes, no, likelihood, probability) = (shown(yes), shown(no), shown(likelihood), shown(probability));
        prop_assert!((0.0..=1.0).contains(&yes), "{}", yes);
        prop_assert!(no.is_finite() && no >= 0.0 && likelihood.is_finite() && likelihood >= 0.0);
        prop_assert!(probability > 0.0 && probability < 1.0, "{}", probability);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever happened, over any number of shards.
    #[test]
    fn every_number_is_in_its_range_and_does_not_depend_on_shards(
        steps in prop::collection::vec((0..40_u32, 0..7_usize, prop::bool::weighted(0.05)), 0..250),
        given in prop::collection::btree_set(0..7_u32, 0..7),
        shards in 2..6_usize,
    ) {
        let (mut one, mut many) = (World::new(&NAMES, 1), World::new(&NAMES, shards));
        for &(user, event, is_goal) in &steps {
            for world in [&mut one, &mut many] {
                if is_goal { world.goal(NAMES[event]) } else { world.did(user, &[NAMES[event]]) }
            }
        }
        let (report, of_many) = (one.report(), many.report());
        prop_assert_eq!(&report, &of_many);
        prop_assert_eq!(one.done_by(7), many.done_by(7));
        let model = Model::of(&report, &one.names).unwrap();
        for event in model.each_event().goals.values().flat_map(|goal| goal.events.values()) {
            let (bayes, probability) = (shown(event.bayes), shown(event.probability));
            prop_assert!((0.0..=1.0).contains(&bayes));
            prop_assert!(probability > 0.0 && probability < 1.0);
        }
        for &prediction in model.after(&given).goals.values() {
            finite_open(prediction)?;
        }
        for nudges in NAMES.iter().filter_map(|name| model.nudges(name, &given)) {
            prop_assert!(nudges.is_sorted_by(|a, b| a.prediction >= b.prediction));
            prop_assert!(nudges.iter().map(|nudge| shown(nudge.probability)).all(|probability| probability > 0.0 && probability < 1.0));
        }
    }

    /// A goal's nudge says what the prediction says once the event is done.
    #[test]
    fn a_nudge_is_the_prediction_after_it(given in prop::collection::btree_set(prop::sample::select(vec![0_u32, 2]), 0..2)) {
        let world = by_hand(1);
        let report = world.report();
        let model = Model::of(&report, &world.names).unwrap();
        for nudge in model.nudges("G", &given).unwrap() {
            let after: BTreeSet<u32> = given.iter().copied().chain([world.event(nudge.event_name).0]).collect();
            let GoalPrediction::Open { probability, support, .. } = model.after(&after).goals["G"] else {
                unreachable!("G is not given");
            };
            prop_assert!((shown(probability) - shown(nudge.probability)).abs() < 1e-12);
            prop_assert_eq!(support, nudge.support);
        }
    }

    #[test]
    fn the_order_of_events_is_irrelevant(names in Just(NAMES.to_vec()).prop_shuffle(), taken in 1..7_usize) {
        let text = |names: &[&str]| names.iter().map(|name| format!("event={name}")).collect::<Vec<_>>().join("&");
        let (mut sorted, names) = (names[..taken].to_vec(), &names[..taken]);
        sorted.sort_unstable();
        let keys = Keys::new(&[0; 32]);
        let limits = RequestLimits { body_bytes: 1, batch_events: 1, batch_namespaces: 9, name_bytes: 8 };
        let (a, b) = (Query::parse(&text(names)).unwrap(), Query::parse(&text(&sorted)).unwrap());
        prop_assert_eq!(parse_prediction(&a, &keys, &limits), parse_prediction(&b, &keys, &limits));
    }
}

/// Thousands of events, all of which speak for a goal, or against it.
#[test]
fn many_events_leave_every_number_finite() {
    let names: Vec<String> = (0..2_000).map(|n| format!("e{n}")).chain(["G".to_owned()]).collect();
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&refs, 1);
    world.goal("G");
    for user in 0..20 {
        world.did(user, if user < 2 { &["G"] } else { &refs[..2_000] });
    }
    world.did(20, &refs);
    let report = world.report();
    let model = Model::of(&report, &world.names).unwrap();
    for done in [BTreeSet::new(), (0..2_000).collect(), (0..1_000).collect()] {
        let answer = model.after(&done);
        finite_open(answer.goals["G"]).unwrap();
        assert!(!json(&answer).contains("null"));
    }
}

// Calibration

const BUYERS: f64 = 0.3;
/// `P(event | buyer)` and `P(event | other)`; given which of the two a user is, events are independent.
const CONDITIONAL: [(&str, f64, f64); 5] =
    [("search", 0.8, 0.45), ("compare", 0.55, 0.2), ("coupon", 0.3, 0.1), ("leave", 0.25, 0.6), ("browse", 0.5, 0.5)];

/// `SplitMix64` (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether a user buys, and what they do before that.
    fn visitor(&mut self) -> (bool, Vec<&'static str>) {
        let buys = self.unit() < BUYERS;
        let mut did =
            |&(name, yes, no): &(&'static str, f64, f64)| (self.unit() < if buys { yes } else { no }).then_some(name);
        let mut events = vec!["visit"];
        events.extend(CONDITIONAL.iter().filter_map(&mut did));
        (buys, events)
    }
}

/// Held-out users: what was predicted, and whether they bought.
fn held_out(trained: u32, tested: u32) -> Vec<(f64, bool)> {
    let mut random = Random(2_024);
    let names: Vec<&str> = CONDITIONAL.iter().map(|(name, ..)| *name).chain(["visit", "purchase"]).collect();
    let mut world = World::new(&names, 4);
    world.goal("purchase");
    for user in 0..trained {
        let (buys, events) = random.visitor();
        world.did(user, &events);
        if buys {
            world.did(user, &["purchase"]);
        }
    }
    let report = world.report();
    let model = Model::of(&report, &world.names).unwrap();
    (0..tested)
        .map(|_| {
            let (buys, events) = random.visitor();
            let GoalPrediction::Open { probability, .. } = model.after(&world.numbers(&events)).goals["purchase"]
            else {
                unreachable!("the goal is not given");
            };
            (shown(probability), buys)
        })
        .collect()
}

#[test]
fn probability_is_calibrated_and_ranks_on_users_who_were_held_out() {
    let samples = held_out(8_000, 8_000);
    let (mut error, mut filled) = (0.0, 0);
    println!("predicted   users  mean predicted  observed");
    for decile in 0..10_u32 {
        let (from, to) = (f64::from(decile) / 10.0, f64::from(decile + 1) / 10.0);
        let within: Vec<_> = samples.iter().filter(|(p, _)| (from..to).contains(p)).collect();
        if within.is_empty() {
            continue;
        }
        let users = within.len() as f64;
        let predicted = within.iter().map(|(p, _)| p).sum::<f64>() / users;
        let observed = within.iter().filter(|(_, buys)| *buys).count() as f64 / users;
        println!("{from:.1} - {to:.1}  {users:6}  {predicted:14.3}  {observed:8.3}");
        error += users / samples.len() as f64 * (predicted - observed).abs();
        filled += 1;
    }
    let area = area_under_curve(&samples);
    println!("expected calibration error {error:.4}, area under the curve {area:.3}");
    assert!(filled >= 5, "predictions are spread over at least half of the deciles");
    assert!(error < 0.05, "expected calibration error {error}");
    assert!(area > 0.6, "area under the curve {area}");
}

/// The probability that one who buys is ranked before one who does not; ties count half (Mann and Whitney, 1947).
fn area_under_curve(samples: &[(f64, bool)]) -> f64 {
    let (buyers, others): (Vec<_>, Vec<_>) = samples.iter().partition(|(_, buys)| *buys);
    let mut others: Vec<f64> = others.into_iter().map(|(p, _)| p).collect();
    others.sort_by(f64::total_cmp);
    let ranked = buyers.iter().map(|(p, _)| {
        let below = others.partition_point(|other| other < p);
        let not_above = others.partition_point(|other| other <= p);
        (below + not_above) as f64 / 2.0
    });
    ranked.sum::<f64>() / (buyers.len() * others.len()) as f64
}
