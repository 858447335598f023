//! What the gate hides in answers: every number below the minimum, and whatever rests on one.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use kimball_edge::core::answers::analytics::Analytics;
use kimball_edge::core::answers::gate::{Gate, Gated};
use kimball_edge::core::answers::prediction::Model;
use kimball_edge::core::periods::week::Week;
use kimball_edge::core::state::combination::Combination;
use kimball_edge::core::state::report::{CounterReport, GoalReport, Report};
use kimball_edge::core::state::sum::Sum;
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMES: [&str; 4] = ["Buy", "Look", "Rare", "Tour"];
const MIN: u64 = 5;

fn names() -> Vec<String> {
    NAMES.map(str::to_owned).to_vec()
}

fn sum(value: f64) -> Sum {
    Sum::from((value, 0.0))
}

fn event(event: u32, count: u64) -> CounterReport {
    CounterReport { event, count, sum: None, goal: None, weeks: std::iter::empty().collect() }
}

/// `Buy` is a goal that nine came to: seven after `Look`, two of them after `Rare` too, and two after nothing.
fn report() -> Report {
    let combination = |events: &[u32]| events.iter().copied().collect::<Combination>();
    let goal = GoalReport {
        combinations: [(combination(&[]), 2), (combination(&[1]), 5), (combination(&[1, 2]), 2)].into_iter().collect(),
        other: 0,
        single: [(1, 7), (2, 2)].into_iter().collect(),
    };
    let weeks = [(Week::from(129_711), 4), (Week::from(129_712), 8)].into_iter().collect();
    let counters = vec![
        CounterReport { sum: Some(sum(90.0)), goal: Some(goal), ..event(0, 9) },
        CounterReport { weeks, ..event(1, 12) },
        CounterReport { sum: Some(sum(3.5)), ..event(2, 3) },
        event(3, 20),
    ];
    Report { users: 30, counters }
}

fn analytics(report: Report, min: u64) -> Value {
    serde_json::to_value(Analytics::of(&Gated::new(report, Gate::new(min)), &names(), 1_000).unwrap()).unwrap()
}

fn count<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer["counts"].as_array().unwrap().iter().find(|count| count["name"] == name).unwrap()
}

#[test]
fn small_groups_are_null_with_all_that_goes_with_them() {
    let answer = analytics(report(), MIN);
    assert_eq!(answer["users"], 30);
    assert_eq!(answer.get("suppressed"), None);
    let rare = json!({
        "name": "Rare", "type": "named", "count": null, "event_counts": [], "single_event_counts": [],
        "value": {"sum": null, "suppressed": true}, "suppressed": true,
    });
    assert_eq!(count(&answer, "Rare"), &rare);
    let buy = count(&answer, "Buy");
    assert_eq!(buy["event_counts"], json!([{"events": ["Look"], "count": 5}]));
    // Two and two, and their sum is below the minimum as well.
    assert_eq!((&buy["event_counts_other"], &buy["suppressed"]), (&Value::Null, &json!(true)));
    let single = json!([{"name": "Look", "count": 7}, {"name": "Rare", "count": null, "suppressed": true}]);
    assert_eq!(buy["single_event_counts"], single);
    assert_eq!((&buy["count"], &buy["value"]), (&json!(9), &json!({"sum": 90.0})));
    assert_eq!(count(&answer, &format!("Look {}", Week::from(129_711))).get("suppressed"), Some(&json!(true)));
    let shown = format!("Look {}", Week::from(129_712));
    assert_eq!(
        count(&answer, &shown),
        &json!({
            "name": shown, "type": "weekly", "count": 8, "event_counts": [], "single_event_counts": [], "value": {},
        })
    );
}

#[test]
fn combinations_of_few_fold_into_the_others_which_show_once_they_are_enough() {
    let other = |min| count(&analytics(report(), min), "Buy")["event_counts_other"].clone();
    assert_eq!([other(0), other(3), other(4), other(5)], [json!(0), json!(4), json!(4), Value::Null]);
}

#[test]
fn nobody_is_below_every_minimum_but_none() {
    for (min, users) in [(0, json!(0)), (1, Value::Null), (1_000, Value::Null)] {
        let empty = serde_json::to_value(Analytics::empty(Gate::new(min))).unwrap();
        assert_eq!((&empty["users"], empty.get("suppressed").is_some()), (&users, min > 0));
    }
}

#[test]
fn predictions_hide_what_rests_on_few() {
    let (gated, names) = (Gated::new(report(), Gate::new(MIN)), names());
    let model = Model::of(&gated, &names).unwrap();
    let alone = serde_json::to_value(model.each_event()).unwrap();
    let events = &alone["goals"]["Buy"]["events"];
    assert_eq!(events["Look"]["support"], 12);
    assert!(events["Look"]["bayes"].is_f64() && events["Look"]["probability"].is_f64());
    assert_eq!(events["Rare"], json!({"bayes": null, "probability": null, "support": null, "suppressed": true}));
    let after = |done: &[u32]| {
        let done: BTreeSet<u32> = done.iter().copied().collect();
        serde_json::to_value(model.after(&done)).unwrap()["goals"]["Buy"].clone()
    };
    assert_eq!(after(&[1])["support"], 12);
    assert!(after(&[1])["probability"].is_f64());
    let hidden = |support| {
        json!({
            "yes": null, "no": null, "likelihood": null, "probability": null, "support": support, "suppressed": true,
        })
    };
    assert_eq!(after(&[1, 2]), hidden(Value::Null));
    // Nobody has done Tour before the goal: that nobody has is hidden too.
    assert_eq!(after(&[3]), hidden(json!(20)));
    let nudges = |done: &[u32]| model.nudges("Buy", &done.iter().copied().collect()).unwrap();
    assert_eq!(nudges(&[]).iter().map(|nudge| nudge.event_name).collect::<Vec<_>>(), ["Look"]);
    assert_eq!(nudges(&[2]), nudges(&[]), "what few have done changes nothing");
}

#[test]
fn what_is_shown_does_not_depend_on_what_is_hidden() {
    let names = names();
    let without_rare = |mut report: Report| {
        report.counters.remove(2);
        report
    };
    let (with, without) = (Gated::new(report(), Gate::new(MIN)), Gated::new(without_rare(report()), Gate::new(MIN)));
    let (with, without) = (Model::of(&with, &names).unwrap(), Model::of(&without, &names).unwrap());
    assert_eq!(with.after(&[1].into()), without.after(&[1].into()));
    assert_eq!(with.nudges("Buy", &BTreeSet::new()), without.nudges("Buy", &BTreeSet::new()));
}

/// All numbers of an answer but shares, sums and probabilities.
fn whole_numbers(value: &Value, found: &mut Vec<u64>) {
    match value {
        Value::Number(number) => found.extend(number.as_u64()),
        Value::Array(list) => list.iter().for_each(|value| whole_numbers(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| whole_numbers(value, found)),
        _ => {}
    }
}

/// Whether every object with a null says so, and no other one does.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().all(is_said),
        Value::Object(fields) => {
            let has_null = fields.values().any(Value::is_null);
            has_null == fields.contains_key("suppressed") && fields.values().all(is_said)
        }
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever the numbers are: none below the minimum is in an answer, and none above it is missing.
    #[test]
    fn no_number_below_the_minimum_gets_by(
        counts in prop::collection::vec(0..12_u64, 4),
        combined in prop::collection::vec((prop::collection::btree_set(1..4_u32, 0..4), 0..8_u64), 0..6),
        single in prop::collection::vec((1..4_u32, 0..12_u64), 0..4),
        other in 0..8_u64,
        min in 0..10_u64,
        done in prop::collection::btree_set(0..4_u32, 0..4),
    ) {
        let mut counters: Vec<_> = (0..4).zip(counts).map(|(number, users)| event(number, users)).collect();
        let combinations = combined.into_iter().map(|(events, users)| (events.into_iter().collect(), users)).collect();
        counters[0].goal = Some(GoalReport { combinations, other, single: single.into_iter().collect() });
        let names = names();
        let gated = Gated::new(Report { users: 12, counters }, Gate::new(min));
        let model = Model::of(&gated, &names).unwrap();
        let answers = [
            serde_json::to_value(Analytics::of(&gated, &names, 1_000).unwrap()).unwrap(),
            serde_json::to_value(model.each_event()).unwrap(),
            serde_json::to_value(model.after(&done)).unwrap(),
            serde_json::to_value(model.nudges("Buy", &done).unwrap()).unwrap(),
        ];
        for answer in &answers {
            let mut numbers = Vec::new();
            whole_numbers(answer, &mut numbers);
            prop_assert!(numbers.iter().all(|&number| number >= min), "{}", answer);
            prop_assert!(is_said(answer), "{}", answer);
            prop_assert!(min > 0 || !answer.to_string().contains("null"), "{}", answer);
        }
        prop_assert!(gated.counters().all(|counter| counter.users.get().is_none_or(|users| users >= min)));
    }
}
