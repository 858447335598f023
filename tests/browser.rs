//! The page's aggregator through its JavaScript surface, in WebAssembly: under Node and in Chromium.
#![cfg(all(target_arch = "wasm32", feature = "browser"))]
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use js_sys::{BigInt, Function, JSON, Object, Reflect, Symbol, Uint8Array};
use kimball_edge::browser::{Aggregator, anonymous_id};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

fn parse(text: &str) -> JsValue {
    JSON::parse(text).unwrap()
}

fn json(value: &JsValue) -> String {
    JSON::stringify(value).unwrap().into()
}

fn new(options: &JsValue) -> Aggregator {
    Aggregator::new(options).unwrap_or_else(|error| panic!("{}", String::from(error.message())))
}

fn page() -> Aggregator {
    new(&JsValue::UNDEFINED)
}

/// One that keeps first occurrences only.
fn firsts() -> Aggregator {
    new(&parse(r#"{"preAggregate":"week"}"#))
}

fn keyed() -> Aggregator {
    let options = Object::new();
    Reflect::set(&options, &"key".into(), &Uint8Array::new_with_length(32)).unwrap();
    new(&options)
}

/// What the event tells a server.
fn told(page: &mut Aggregator, event: &str) -> JsValue {
    page.record(&parse(event)).unwrap_or_else(|error| panic!("{}", String::from(error.message())))
}

/// Whether it tells anything.
fn record(page: &mut Aggregator, event: &str) -> bool {
    told(page, event).is_truthy()
}

fn refusal(page: &mut Aggregator, event: &JsValue) -> String {
    page.record(event).err().map_or_else(String::new, |error| error.message().into())
}

fn report(page: &Aggregator) -> String {
    json(&page.numbers(&JsValue::UNDEFINED).unwrap())
}

fn drained(page: &mut Aggregator) -> String {
    without_ids(&json(&page.drain(&JsValue::UNDEFINED).unwrap()))
}

/// The events of a body without their ids, each of which is there.
fn without_ids(body: &str) -> String {
    let mut parts = body.split(r#","id":""#);
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (id, behind) = part.split_once('"').unwrap();
        assert!(id.len() == 11 && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{id}");
        rest.push_str(behind);
    }
    rest
}

#[wasm_bindgen_test]
fn first_occurrences_count_and_numbers_are_told() {
    let mut page = firsts();
    let at = r#""at":"2026-11-24T12:34:56.789Z""#;
    for (event, is_first) in [
        (r#"{"event":"Login","user":"ann",AT}"#, true),
        (r#"{"event":"Login","user":"ann",AT,"namespace":null,"value":null,"ensureGoal":null}"#, false),
        (r#"{"event":"Login","user":7,AT}"#, true),
        (r#"{"event":"Login","user":"7",AT}"#, false),
        (r#"{"event":"Buy","user":"ann",AT,"value":2.5,"ensureGoal":true}"#, true),
        (r#"{"event":"Buy","user":"ann",AT,"value":9,"ensureGoal":true}"#, false),
        (r#"{"event":"Buy","user":"ann",AT,"namespace":"shop"}"#, true),
    ] {
        assert_eq!(record(&mut page, &event.replace("AT", at)), is_first, "{event}");
    }
    assert_eq!(report(&page), r#"[2,[["Login",2,null,null,[]],["Buy",1,2.5,[[["Login"],1],0,["Login",1]],[]]]]"#);
    assert_eq!(json(&page.numbers(&"shop".into()).unwrap()), r#"[1,[["Buy",1,null,null,[]]]]"#);
    assert_eq!(json(&page.numbers(&"nowhere".into()).unwrap()), "[0,[]]");
    assert!(page.numbers(&7.into()).is_err());
    assert!(page.memory_bytes() > 0);
    assert_eq!((page.pending_events(), page.is_saturated(), page.passed_unseen()), (4, false, 0.0));

    let two = r#"{"kept":"week","events":[{"event_name":"Login","user_id":"ann","datetime":"2026-11-24T00:00:00Z"},{"event_name":"Login","user_id":"7","datetime":"2026-11-24T00:00:00Z"}]}"#;
    let pending = json(&page.pending(&2.into()).unwrap());
    assert_eq!(without_ids(&pending), two);
    assert_eq!(json(&page.drain(&2.into()).unwrap()), pending, "ids stay as they are");
    assert_eq!(
        drained(&mut page),
        concat!(
            r#"{"kept":"week","events":[{"event_name":"Buy","user_id":"ann","value":2.5,"ensure_goal":true,"datetime":"2026-11-24T00:00:00Z"},"#,
            r#"{"event_name":"Buy","user_id":"ann","namespace":"shop","datetime":"2026-11-24T00:00:00Z"}]}"#
        )
    );
    assert_eq!(drained(&mut page), r#"{"kept":"week","events":[]}"#);
}

#[wasm_bindgen_test]
fn what_is_kept_is_told_and_decides_what_is_news() {
    let at = r#""user":"ann","at":"2026-11-24T12:00:00Z""#;
    let friday = r#""user":"ann","at":"2026-11-27T12:00:00Z""#;
    for (level, news) in [
        ("week", [JsValue::from("first"), "first".into(), false.into(), false.into(), false.into()]),
        ("day", ["first".into(), "first".into(), false.into(), false.into(), "first".into()]),
        ("order", ["first".into(), "first".into(), "order".into(), false.into(), "first".into()]),
    ] {
        let mut page = new(&parse(&format!(r#"{{"preAggregate":"{level}"}}"#)));
        let events = [("View", at), ("Buy", at), ("View", at), ("View", at), ("View", friday)];
        assert_eq!(events.map(|(name, rest)| told(&mut page, &format!(r#"{{"event":"{name}",{rest}}}"#))), news);
        assert!(drained(&mut page).starts_with(&format!(r#"{{"kept":"{level}","events":["#)));
    }
    assert!(drained(&mut page()).starts_with(r#"{"kept":"order","#));
    let mut all = new(&parse(r#"{"preAggregate":false}"#));
    let again = format!(r#"{{"event":"View",{at}}}"#);
    assert_eq!([0, 1].map(|_| told(&mut all, &again)), ["first".into(), JsValue::from("order")]);
    assert_eq!(all.pending_events(), 2);
}

/// Two pages give no two events the same id, and neither does one that is opened again.
#[wasm_bindgen_test]
fn ids_are_of_one_event_each() {
    let mut first = keyed();
    record(&mut first, r#"{"event":"Login","user":"ann"}"#);
    let bytes = Uint8Array::from(&first.to_bytes()[..]);
    let again = Aggregator::from_bytes(&bytes, &JsValue::UNDEFINED).unwrap_or_else(|_| unreachable!());
    let mut ids = BTreeSet::new();
    for mut page in [first, again, keyed()] {
        record(&mut page, r#"{"event":"Login","user":"bob"}"#);
        let body = json(&page.drain(&JsValue::UNDEFINED).unwrap());
        ids.extend(body.split(r#""id":""#).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert_eq!(ids.len(), 4, "ann's is the same in both that have it: {ids:?}");
}

#[wasm_bindgen_test]
fn weekly_cohorts_are_listed_where_they_are_wanted() {
    let mut page = new(&parse(r#"{"weekly":true}"#));
    assert!(record(&mut page, r#"{"event":"Login","user":"ann","at":"2026-11-24T00:00:00Z"}"#));
    assert!(record(&mut page, r#"{"event":"Login","user":"ann","at":"2026-12-01T00:00:00Z"}"#));
    assert_eq!(page.pending_events(), 2);
    assert_eq!(report(&page), r#"[1,[["Login",1,null,null,["202648",1,"202649",1]]]]"#);
}

#[wasm_bindgen_test]
fn what_the_server_would_refuse_is_refused() {
    let mut page = page();
    let long = format!(r#"{{"event":"{}","user":"u"}}"#, "x".repeat(257));
    for (event, told) in [
        (r#"{"user":"u"}"#, "event: is required"),
        (r#"{"event":7,"user":"u"}"#, "event: must be a string"),
        (r#"{"event":"","user":"u"}"#, "event: must not be empty"),
        (r#"{"event":"a\n","user":"u"}"#, "event: must not hold control characters"),
        (&long, "event: must not be longer than 256 bytes"),
        (r#"{"event":"a"}"#, "user: is required"),
        (r#"{"event":"a","user":""}"#, "user: must not be empty"),
        (r#"{"event":"a","user":1.5}"#, "user: must be a string or an integer"),
        (r#"{"event":"a","user":{}}"#, "user: must be a string or an integer"),
        (r#"{"event":"a","user":1e17}"#, "user: must be a string or an integer"),
        (r#"{"event":"a","user":"u","namespace":1}"#, "namespace: must be a string"),
        (r#"{"event":"a","user":"u","value":"1"}"#, "value: must be a number"),
        (r#"{"event":"a","user":"u","value":1e301}"#, "value: must be between -1e300 and 1e300"),
        (r#"{"event":"a","user":"u","ensureGoal":1}"#, "ensureGoal: must be true or false"),
        (r#"{"event":"a","user":"u","at":"yesterday"}"#, "at: must be a date of the years 0 to 9999"),
        (r#"{"event":"a","user":"u","at":1e15}"#, "at: must be a date of the years 0 to 9999"),
        (r#"{"event":"a","user":"u","at":{}}"#, "at: must be a date of the years 0 to 9999"),
        ("null", "event: must be an object"),
        ("7", "event: must be an object"),
        (r#""Login""#, "event: must be an object"),
    ] {
        assert_eq!(refusal(&mut page, &parse(event)), told, "{event}");
    }
    for value in [JsValue::from(BigInt::from(7)), Symbol::iterator().into(), JsValue::UNDEFINED] {
        assert_eq!(refusal(&mut page, &value), "event: must be an object");
        let event = Object::new();
        Reflect::set(&event, &"event".into(), &"a".into()).unwrap();
        Reflect::set(&event, &"user".into(), &value).unwrap();
        assert!(refusal(&mut page, &event).starts_with("user: "));
    }
    let thrower = Function::new_no_args("return { get event() { throw new Error('no') } }").call0(&JsValue::NULL);
    assert_eq!(refusal(&mut page, &thrower.unwrap()), "event: cannot be read");
    assert_eq!(
        page.record(&parse(r#"{"event":"a","user":"u","value":NUMBER}"#.replace("NUMBER", "1").as_str())).ok(),
        Some("first".into())
    );
    assert_eq!(page.pending_events(), 1);
}

#[wasm_bindgen_test]
fn options_are_checked() {
    for (options, told) in [
        ("7", "options: must be an object"),
        (r#"{"memoryBytesMax":-1}"#, "memoryBytesMax: must be a whole number from 0 to 67108864"),
        (r#"{"pendingBytesMax":1}"#, "pendingBytesMax: must be a whole number from 4096 to 67108864"),
        (r#"{"nameBytesMax":1025}"#, "nameBytesMax: must be a whole number from 1 to 1024"),
        (r#"{"weekly":"yes"}"#, "weekly: must be true or false"),
        (r#"{"preAggregate":"all"}"#, r#"preAggregate: must be "order", "day", "week" or false"#),
        (r#"{"preAggregate":true}"#, "preAggregate: must be a string"),
        (r#"{"key":"abc"}"#, "key: must be a Uint8Array of the right length"),
    ] {
        let error = Aggregator::new(&parse(options)).err().map(|error| String::from(error.message()));
        assert_eq!(error.as_deref(), Some(told), "{options}");
    }
    let mut wide = new(&parse(r#"{"nameBytesMax":1024}"#));
    assert!(record(&mut wide, &format!(r#"{{"event":"{}","user":"u"}}"#, "x".repeat(1024))));
}

#[wasm_bindgen_test]
fn at_its_bound_it_passes_on_unseen_and_says_so() {
    let mut page = new(&parse(r#"{"memoryBytesMax":0}"#));
    for _ in 0..3 {
        assert!(record(&mut page, r#"{"event":"Login","user":"ann"}"#));
    }
    assert_eq!((page.pending_events(), page.is_saturated(), page.passed_unseen()), (3, true, 3.0));
    let mut page = new(&parse(r#"{"pendingBytesMax":4096}"#));
    let mut nth = 0;
    let told = loop {
        let told = refusal(&mut page, &parse(&format!(r#"{{"event":"Login","user":{nth}}}"#)));
        if !told.is_empty() {
            break told;
        }
        nth += 1;
    };
    assert_eq!(told, "4096 bytes of events are pending; drain first, then record this one again");
    assert_eq!(page.pending_events(), nth);
    drained(&mut page);
    assert!(record(&mut page, &format!(r#"{{"event":"Login","user":{nth}}}"#)));
}

/// A page does not take back what it has noted of an event before its memory was at the bound.
#[wasm_bindgen_test]
fn a_full_page_passes_everything_on_and_is_read_again_as_it_was() {
    let (mut full, mut roomy) = (0, 0);
    for bytes_max in (0..400).step_by(50).chain((400..16_000).step_by(1_200)).chain([1 << 20]) {
        let options = parse(&format!(r#"{{"memoryBytesMax":{bytes_max},"weekly":true,"preAggregate":"week"}}"#));
        let (mut page, mut seen) = (new(&options), BTreeSet::new());
        let mut twin = None;
        for (nth, random) in numbers().take(400).enumerate() {
            let event = event(random);
            let before = page.pending_events();
            let is_first = record(&mut page, &event.json());
            let is_passed_on = page.pending_events() > before;
            // Unseen or not, no news is kept back; and what is known to be a repeat was seen.
            let is_news = event.names_of_news().into_iter().fold(false, |is_news, name| seen.insert(name) | is_news);
            assert!(is_passed_on || !is_news, "{bytes_max} bytes, event {nth}: {}", event.json());
            assert!(is_passed_on || !is_first, "{bytes_max} bytes, event {nth}: {}", event.json());
            assert!(is_news || !is_passed_on || page.is_saturated(), "{bytes_max} bytes, event {nth}");
            assert!(page.memory_bytes() <= bytes_max, "{bytes_max} bytes, event {nth}: {}", page.memory_bytes());
            if let Some(twin) = &mut twin {
                assert_eq!(record(twin, &event.json()), is_first, "{bytes_max} bytes, event {nth}");
            }
            if nth % 20 == 0 {
                // Ids are of one page each.
                for page in twin.iter_mut().chain([&mut page]) {
                    drained(page);
                }
                let bytes = page.to_bytes();
                let again = Aggregator::from_bytes(&Uint8Array::from(&bytes[..]), &options);
                let again = again.unwrap_or_else(|error| panic!("{}", String::from(error.message())));
                for page in twin.iter().chain([&again]) {
                    assert_eq!(page.to_bytes(), bytes, "{bytes_max} bytes, event {nth}");
                    assert_eq!(page.passed_unseen().to_bits(), again.passed_unseen().to_bits());
                    assert_eq!(page.memory_bytes(), again.memory_bytes(), "{bytes_max} bytes, event {nth}");
                    for namespace in ["default", "shop"] {
                        let told = |page: &Aggregator| json(&page.numbers(&namespace.into()).unwrap());
                        assert_eq!(told(page), told(&again), "{bytes_max} bytes, event {nth}");
                    }
                }
                twin = Some(again);
            }
        }
        full += u32::from(page.is_saturated());
        roomy += u32::from(!page.is_saturated());
    }
    assert!(full > 10 && roomy == 1, "{full} pages were full, {roomy} were not");
}

/// An event of some names, users and weeks, which may make a goal.
struct Recorded {
    namespace: u32,
    event: u32,
    user: u32,
    week: u32,
    value: Option<u32>,
    ensure_goal: bool,
}

fn event(random: u32) -> Recorded {
    Recorded {
        namespace: u32::from(random.is_multiple_of(8)),
        event: random / 8 % 12,
        user: random / 96 % 10,
        week: random / 960 % 4,
        value: (random / 3_840).is_multiple_of(3).then_some(random % 100),
        ensure_goal: (random / 11_520).is_multiple_of(6),
    }
}

impl Recorded {
    fn json(&self) -> String {
        let Self { namespace, event, user, week, value, ensure_goal } = self;
        let value = value.map_or_else(|| "null".to_owned(), |value| value.to_string());
        let namespace = if *namespace == 0 { "null" } else { r#""shop""# };
        let at = 1_764_000_000_000 + u64::from(*week) * 604_800_000;
        format!(
            r#"{{"namespace":{namespace},"event":"event {event}","user":{user},"value":{value},"ensureGoal":{ensure_goal},"at":{at}}}"#
        )
    }

    /// What a server may learn from it.
    fn names_of_news(&self) -> Vec<String> {
        let Self { namespace, event, user, week, ensure_goal, .. } = self;
        let mut names = vec![format!("{namespace} {event} {user}"), format!("{namespace} {event} {user} {week}")];
        if *ensure_goal {
            names.push(format!("{namespace} {event} is a goal"));
        }
        names
    }
}

/// Always the same numbers, without an order (G. Marsaglia, "Xorshift RNGs", 2003).
fn numbers() -> impl Iterator<Item = u32> {
    std::iter::successors(Some(2_463_534_242_u32), |&last| {
        let mut next = last ^ last << 13;
        next ^= next >> 17;
        Some(next ^ next << 5)
    })
}

#[wasm_bindgen_test]
fn bytes_round_trip_and_damage_is_refused() {
    let mut page = page();
    record(&mut page, r#"{"event":"Login","user":"ann"}"#);
    record(&mut page, r#"{"event":"Buy","user":"ann","value":3,"ensureGoal":true}"#);
    let bytes = page.to_bytes();
    let load = |bytes: &[u8]| Aggregator::from_bytes(&Uint8Array::from(bytes), &JsValue::UNDEFINED);
    let mut again = load(&bytes).unwrap_or_else(|_| unreachable!());
    assert_eq!(again.to_bytes(), bytes);
    assert!(!record(&mut again, r#"{"event":"Buy","user":"ann"}"#));
    assert_eq!(report(&again), report(&page));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        if let Some(byte) = flipped.get_mut(at) {
            *byte ^= 4;
        }
        assert!(load(&flipped).is_err(), "{at}");
        assert!(load(bytes.get(..at).unwrap()).is_err(), "{at}");
    }
    for nonsense in [JsValue::NULL, JsValue::from("KE"), parse("[75,69]")] {
        assert!(Aggregator::from_bytes(&nonsense, &JsValue::UNDEFINED).is_err());
    }
}

#[wasm_bindgen_test]
fn merging_unites() {
    let (mut mine, mut theirs) = (keyed(), keyed());
    record(&mut mine, r#"{"event":"Login","user":"ann"}"#);
    record(&mut theirs, r#"{"event":"Login","user":"bob"}"#);
    record(&mut theirs, r#"{"event":"Login","user":"ann"}"#);
    assert!(mine.merge(&theirs).is_ok());
    assert_eq!(report(&mine), r#"[2,[["Login",2,null,null,[]]]]"#);
    assert_eq!(mine.pending_events(), 3, "all that waits");
    let told = mine.merge(&page()).err().map(|error| String::from(error.message()));
    assert_eq!(told.as_deref(), Some("the aggregators have different keys"));
}

#[wasm_bindgen_test]
fn anonymous_ids_are_random() {
    let ids = [anonymous_id().unwrap(), anonymous_id().unwrap()];
    assert!(ids.iter().all(|id| id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit())), "{ids:?}");
    let [first, second] = ids;
    assert_ne!(first, second);
}
