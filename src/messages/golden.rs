//! The bytes of every message. Where they change, [`super::VERSION`] rises with them.

use std::collections::BTreeSet;
use std::fmt::Debug;

use super::definitions::{CohortNumbers, DefinitionPut, DefinitionRecord, GetGrid, GridNumbers, PutDefinition};
use super::operations::{EventEntry, Operations, Series};
use super::registry::{
    Deletable, Delete, Deleted, Deletion, EndDeletion, EventRecord, Flags, FlagsReply, Key, ListGoals, Lookup, Marks,
    NameRefusal, NamesReply, NamespacePut, NamespaceRecord, Namespaces, NoteReadable, Overview, OverviewReply,
    PendingDeletions, PutFlag, PutNamespace, PutSeries, RaiseWatermark, Register, Registered, Registrant, Registration,
    RemoveFlag, Renew, Replay, RolloutTimes, SeriesPut, Since, Unreadable, Watermark,
};
use super::shard::{
    AcceptOlder, Adopt, Apply, CarryOutDeletion, Check, Close, Compact, Durations, EndReplay, EventNumbers, EventsOf,
    GetCounts, GetNumbers, GetSeries, GetStatus, GoalNumbers, Injection, Inspect, Inspection, Limits, Numbers,
    PeriodNumbers, PointNumbers, SeriesNumbers, SeriesOf, Status, Time, Totals,
};
use super::{
    Failure, FlagLimit, Question, Refusal, decode_answer, decode_question, encode_answer, encode_question,
    split_question,
};
use crate::core::identity::UserKey;
use crate::core::periods::day::Day;
use crate::core::periods::period::{Kept, Units};
use crate::core::periods::week::Week;
use crate::core::state::aggregator::Operation;
use crate::core::state::series::Occurrence;

/// The messages as lines of text, and the kinds of the questions.
#[derive(Default)]
struct Messages {
    lines: Vec<String>,
    kinds: BTreeSet<(&'static str, u8)>,
}

impl Messages {
    fn add<Q: Question + PartialEq + Debug>(&mut self, name: &str, question: &Q, answer: Result<Q::Answer, Failure>)
    where
        Q::Answer: PartialEq + Debug,
    {
        let asked = encode_question(question, 0).unwrap();
        let (kind, content) = split_question(&asked).unwrap();
        assert_eq!((kind, decode_question::<Q>(content).as_ref()), (Q::KIND, Ok(question)), "{name}");
        assert!(split_question(&encode_question(question, 1).unwrap()).is_none(), "{name} of another version");
        self.kinds.insert((Q::CLASS, Q::KIND));
        let answered = encode_answer::<Q>(&answer).unwrap();
        assert_eq!(decode_answer::<Q>(&answered), Ok(answer), "{name}");
        for len in 0..content.len() {
            assert_ne!(decode_question::<Q>(&content[..len]).as_ref(), Ok(question), "{name} cut to {len}");
        }
        self.lines.push(format!("{name} asks {}", hex::encode(&asked)));
        self.lines.push(format!("{name} is answered {}", hex::encode(&answered)));
    }
}

fn messages() -> Messages {
    let mut all = Messages::default();
    of_registry(&mut all);
    of_definitions(&mut all);
    of_shard(&mut all);
    all
}

fn of_registry(all: &mut Messages) {
    let record = NamespaceRecord {
        namespace: "shop".into(),
        shards: 4,
        names: vec!["View".into(), "Buy".into()],
        goals: vec![1],
        group_users_min: 300,
        since: Some(Since { day: 740_311, has_earlier: true }),
        replay: Some(Replay { today: Some(740_311) }),
        series: vec![(1, SERIES)],
        definitions: vec![definition()],
    };
    let names = NamesReply::Known {
        shards: 4,
        incarnation: 300,
        deletions: vec![deletion(Deleted::Goal(1))],
        names_total: 2,
        replay: Some(Replay { today: None }),
        definitions: vec![definition()],
        events: vec![
            Ok(EventRecord { event: 300, is_goal: true, series: Some(SERIES) }),
            Ok(EventRecord { event: 1, is_goal: false, series: None }),
            Err(NameRefusal::EventQuota),
        ],
    };
    let registration = Registration {
        namespace: "shop".into(),
        days: Some((738_567, 740_311)),
        names: vec!["View".into(), "Buy".into()],
    };
    let register = |registrant| Register { registrations: vec![registration.clone()], registrant };
    all.add("Key", &Key { check: Some(7) }, Ok(Some([9; 32])));
    all.add("Lookup", &Lookup { namespace: "shop".into() }, Ok(Some(record.clone())));
    all.add(
        "Register",
        &register(Registrant::Ingest),
        Ok(Registered::Names {
            names: vec![names, NamesReply::Refused(NameRefusal::NamespaceUnknown)],
            namespaces_total: 3,
        }),
    );
    let full = Registered::Full { refusal: NameRefusal::EventsFull, at: 0, names_total: 1_000, namespaces_total: 3 };
    all.add("Register by an admin", &register(Registrant::Admin), Ok(full));
    all.add("ListGoals", &ListGoals { namespace: "shop".into(), incarnation: 300, events: vec![1, 300] }, Ok(()));
    all.add(
        "Watermark",
        &Watermark { shard: "id".into(), namespace: Some("shop".into()) },
        Ok(Marks { generation: 300, incarnation: 2 }),
    );
    all.add("RaiseWatermark", &RaiseWatermark { shard: "id".into(), generation: 300 }, Ok(()));
    all.add("Renew", &Renew { namespace: "shop".into(), incarnation: 299 }, Ok(300));
    all.add("NoteReadable", &NoteReadable { shard: "id".into(), is_readable: true }, Ok(()));
    all.add("Unreadable", &Unreadable, Ok(2));
    all.add("Namespaces", &Namespaces, Ok(vec!["default".into(), "shop".into()]));
    let overview = OverviewReply { namespaces: vec![("shop".into(), 4)], counters: 2, flags: 1, flags_bytes: 300 };
    all.add("Overview", &Overview, Ok(overview));
    all.add("Flags", &Flags { known: Some(4) }, Ok(FlagsReply { version: 5, flags: Some(vec!["{}".into()]) }));
    let put = PutFlag { flag: "{}".into(), rollout: Some(RolloutTimes { start: None, end: 9 }), now: -1 };
    all.add("PutFlag", &put, Err(Failure::FlagsFull { limit: FlagLimit::Bytes(300) }));
    let delete = |what| Delete { namespace: "shop".into(), what };
    all.add("Delete", &delete(Deletable::Event("View".into())), Ok(Some(vec![deletion(Deleted::Event(300))])));
    all.add("Delete a namespace", &delete(Deletable::Namespace), Ok(Some(vec![deletion(Deleted::Namespace)])));
    all.add("Delete a goal", &delete(Deletable::Goal("Buy".into())), Ok(None));
    all.add("EndDeletion", &EndDeletion { number: 300 }, Ok(()));
    all.add("PendingDeletions", &PendingDeletions, Ok(Vec::new()));
    all.add("RemoveFlag", &RemoveFlag { name: "new".into() }, Ok(true));
    let put = |group_users_min| PutNamespace {
        namespace: "shop".into(),
        group_users_min,
        shards: Some(300),
        is_replay: Some(true),
    };
    all.add("PutNamespace", &put(Some(300)), Ok(NamespacePut::Made(record.clone())));
    all.add("PutNamespace, changed", &put(None), Ok(NamespacePut::Changed(record.clone())));
    all.add("PutNamespace, live", &put(None), Ok(NamespacePut::Live(record)));
    let put_series = PutSeries { namespace: "shop".into(), event: "View".into(), units: 7 };
    let done = SeriesPut::Done { is_new: true, series: SERIES, shards: 4, incarnation: 300 };
    for (name, answer) in [
        ("PutSeries", done),
        ("PutSeries, no namespace", SeriesPut::NoNamespace),
        ("PutSeries, no event", SeriesPut::NoEvent),
        ("PutSeries, full", SeriesPut::Full),
    ] {
        all.add(name, &put_series, Ok(answer));
    }
    all.add("PutNamespace, with events", &put(None), Ok(NamespacePut::HasEvents));
    all.add("PutNamespace, with other shards", &put(None), Ok(NamespacePut::OtherShards));
    all.add("PutNamespace, full", &put(Some(0)), Ok(NamespacePut::Full));
}

fn deletion(what: Deleted) -> Deletion {
    Deletion { number: 300, namespace: "shop".into(), shards: 4, what }
}

fn of_definitions(all: &mut Messages) {
    let what = Deletable::Definition { kind: 0, name: "signup".into() };
    all.add(
        "Delete a definition",
        &Delete { namespace: "shop".into(), what },
        Ok(Some(vec![deletion(Deleted::Definition(300))])),
    );
    let put = PutDefinition {
        namespace: "shop".into(),
        kind: 0,
        name: "signup".into(),
        spec: "{}".into(),
        events: vec!["View".into(), "Buy".into()],
        max: 10,
    };
    let done = DefinitionPut::Done { is_new: true, definition: definition(), shards: 4, incarnation: 300 };
    for (name, answer) in [
        ("PutDefinition", done),
        ("PutDefinition, exists", DefinitionPut::Exists),
        ("PutDefinition, full", DefinitionPut::Full),
        ("PutDefinition, no number", DefinitionPut::NumbersFull),
        ("PutDefinition, no name", DefinitionPut::NamesFull(NameRefusal::EventsFull)),
    ] {
        all.add(name, &put, Ok(answer));
    }
}

fn definition() -> DefinitionRecord {
    DefinitionRecord {
        number: 300,
        kind: 0,
        name: "signup".into(),
        since: 740_312,
        spec: "{}".into(),
        events: vec![0, 1],
    }
}

fn of_shard(all: &mut Messages) {
    all.add("Apply", &batch(), Ok(()));
    let refused = Failure::Refused { refusal: Refusal::Memory, limit: 16 };
    all.add("Apply, refused", &batch(), Err(refused));
    all.add("Apply, late", &batch(), Err(Failure::OtherIncarnation));
    all.add("CarryOutDeletion", &CarryOutDeletion { number: 300, what: Deleted::Event(300) }, Ok(()));
    let goal = GoalNumbers { combinations: vec![(Box::new([1, 2]), 3)], other: 1, single: vec![(0, 4)] };
    let event =
        EventNumbers { number: 1, users: 4, sum: Some((1.5, 0.0)), goal: Some(goal), weeks: vec![(129_711, 4)] };
    let numbers = Numbers { users: 300, events: vec![event] };
    all.add("GetNumbers", &GetNumbers, Ok(numbers.clone()));
    all.add("GetCounts", &GetCounts, Ok(numbers));
    all.add("EventsOf", &EventsOf { unlink: [3; 16], user: [4; 16] }, Ok(vec![0, 300]));
    let series = |of| GetSeries { today: 740_311, time: TIME, of, from: 738_567, to: 738_568 };
    let point = PointNumbers { period: 738_567, users: 300, first_users: 1, value: Some((2.5, 0.0)), is_over: true };
    let numbers = SeriesNumbers {
        series: vec![(Some(300), PeriodNumbers { points: vec![point], dropped: Some(738_566) })],
        missed: vec![(738_567, 738_568)],
    };
    all.add("GetSeries", &series(SeriesOf::Event(300)), Ok(numbers));
    let numbers =
        SeriesNumbers { series: vec![(None, PeriodNumbers { points: Vec::new(), dropped: None })], missed: Vec::new() };
    all.add("GetSeries of anybody", &series(SeriesOf::Anybody), Ok(numbers));
    all.add("GetSeries of all events", &series(SeriesOf::Events), Err(Failure::Storage));
    let cohort = CohortNumbers { period: 738_567, seen: vec![300, 1], returned: vec![1], is_over: true };
    let numbers = GridNumbers { cohorts: vec![cohort], over: vec![738_568], missed: vec![(738_567, 738_568)] };
    all.add("GetGrid", &GetGrid { today: 740_311, time: TIME, definition: 300 }, Ok(numbers));
    all.add("Adopt", &Adopt { incarnation: 300 }, Ok(()));
    all.add("EndReplay", &EndReplay { today: 740_311, time: TIME }, Ok(()));
    let once = Durations { count: 1, sum_ms: 300 };
    let totals = Totals { accepted: 1, repeated: 2, batches: 3, rows_written: 4, loads: once, compactions: once };
    let status = Status {
        isolate: 300,
        totals,
        journal_rows: 5,
        journal_bytes: 6,
        stored_counters: 7,
        snapshot_age_s: Some(8),
        memory_bytes: 9,
        is_unreadable: false,
    };
    all.add("GetStatus", &GetStatus, Ok(status));
    all.add("Check", &Check, Err(Failure::Unreadable("section 0".into())));
    all.add("Close", &Close, Ok(()));
    all.add("AcceptOlder", &AcceptOlder, Ok(true));
    all.add("Compact", &Compact, Err(Failure::Storage));
    let inspection = Inspection { journal_rows: 1, journal_bytes: 2, snapshot_rows: 3, memory_bytes: 4, digest: 300 };
    all.add("Inspect", &Inspect, Ok(inspection));
}

const SERIES: Series = Series { units: 7, since: 740_311, former: 2, begun: [740_311, 0, 1] };
const TIME: Time = Time { lateness_days: 2, fingerprints: 300 };

fn batch() -> Apply {
    let mut operations = Operations::default();
    operations.push_goal(1);
    operations.push_record(0, UserKey::from_bytes([5; 16]), None, true, None);
    operations.push_record(1, UserKey::from_bytes([6; 16]), Some(2.5), true, Day::of_number(738_567));
    Apply {
        incarnation: 300,
        unlink: [3; 16],
        today: 740_311,
        is_replay: true,
        limits: Limits {
            users_per_event: 300,
            combinations_per_goal: 1_000,
            memory_bytes: 1 << 24,
            weeks_per_event: 520,
            time: TIME,
        },
        definitions: vec![1, 2],
        events: vec![
            EventEntry { number: 0, tag: 1 << 60, sizing: None, series: Kept::always(Units::OF_EVENTS).into() },
            EventEntry { number: 300, tag: 8, sizing: Some((100, 0.01)), series: SERIES },
        ],
        operations,
        fault: Injection::None,
    }
}

#[test]
fn every_message_has_its_bytes_and_its_kind() {
    let Messages { lines, kinds } = messages();
    assert_eq!(kinds.len(), 35, "a question is missing here, or two have one kind");
    let golden = include_str!("golden.txt");
    for (line, expected) in lines.iter().zip(golden.lines()) {
        assert_eq!(line, expected);
    }
    assert_eq!(lines.len(), golden.lines().count(), "{}", lines.join("\n"));
}

#[test]
fn operations_are_what_was_pushed_and_fit_only_lists_that_have_their_events() {
    let Apply { operations, events, .. } = batch();
    let [first, second] = [UserKey::from_bytes([5; 16]), UserKey::from_bytes([6; 16])];
    let today = Day::of_number(740_311).unwrap();
    let read: Vec<Operation> = operations.read(&events, today).collect();
    let now = Some(Occurrence { day: today, units: Units::OF_EVENTS });
    let then = Some(Occurrence { day: Day::of_number(738_567).unwrap(), units: Units::of_bits(2) });
    let weeks = [Some(today.week()), Some(Week::from(129_479))];
    assert_eq!(
        read,
        [
            Operation::Goal { event: 300, tag: 8 },
            Operation::Record { event: 0, tag: 1 << 60, user: first, value: None, week: weeks[0], time: now },
            Operation::Record { event: 300, tag: 8, user: second, value: Some(2.5), week: weeks[1], time: then },
        ]
    );
    assert_eq!((operations.len(), operations.fit(&events)), (3, true));
    assert!(!operations.fit(&events[..1]));
    let bytes = postcard::to_allocvec(&operations).unwrap();
    let decoded: Operations = postcard::from_bytes(&bytes).unwrap();
    assert_eq!((&decoded, decoded.fit(&events[..1])), (&operations, false));
    // Any other first byte of an operation, and any cut, is refused.
    for kind in 16..=255 {
        let mut damaged = bytes.clone();
        damaged[1] = kind;
        assert!(postcard::from_bytes::<Operations>(&damaged).is_err(), "kind {kind}");
    }
}
