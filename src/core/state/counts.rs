//! Counts: the numbers of a shard without what they were counted from, as a small row beside the snapshot.
//!
//! They are a [`Report`] without sums, and with all completions of a goal in `other`: what metrics need. Together with the
//! journal's effects, each of which says by one what it adds, they are exact without a user set in memory.
//!
//! A [`crate::core::format::bytes::frame`] of kind `C`, version 1, around
//!
//! | part | form |
//! |---|---|
//! | generation of the snapshot, users | LEB128 each |
//! | per event until the end: number, flags (1 is a goal, 2 has weeks), users | LEB128, 1 byte, LEB128 |
//! | of a goal: completions; number of single counts, each as event and count | LEB128 |
//! | weeks: their number, each with its stored number and its users | LEB128 |
//!
//! Events, single counts and weeks ascend. The generation tells whether the row is that of the snapshot: a version
//! that knows no counts leaves it as it was.

use litemap::LiteMap;

use super::aggregator::Aggregator;
use super::effect::Effect;
use super::report::{CounterReport, GoalReport, Report};
use super::set_key::{SetKey, read_event};
use super::sets::Sets;
use super::snapshot::Stored;
use crate::core::format::bytes::{Reader, flags_of, frame, put_varint, unframe};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::week::Week;
use crate::core::settings::limits::{CLOSED_USERS_MAX, EVENTS_PER_NAMESPACE};

const KIND: u8 = b'C';
const VERSION: u8 = 1;

/// More than any count of a shard, so that no sum of counts overflows.
const COUNT_BOUND: u64 = 2 * CLOSED_USERS_MAX;

const IS_GOAL: u8 = 1;
const HAS_WEEKS: u8 = 2;

/// The counts of a state.
#[must_use]
pub fn of(state: &Aggregator) -> Report {
    let counters =
        state.counters().map(|(event, counter)| CounterReport::counts_of(event, counter, state.sets())).collect();
    Report { users: state.sets().len(SetKey::AllUsers), counters }
}

/// Encodes the counts of a state whose snapshot is of this generation.
#[must_use]
pub fn encode(state: &Aggregator, generation: u64) -> Vec<u8> {
    let mut payload = head(generation, state.sets().len(SetKey::AllUsers));
    // One after the other: together they may take more memory than their encoding.
    for (event, counter) in state.counters() {
        put_counter(&mut payload, &CounterReport::counts_of(event, counter, state.sets()));
    }
    frame(KIND, VERSION, &payload)
}

/// Encodes counts that were put together from a snapshot of this generation.
#[must_use]
pub fn encode_report(counts: &Report, generation: u64) -> Vec<u8> {
    let mut payload = head(generation, counts.users);
    counts.counters.iter().for_each(|counter| put_counter(&mut payload, counter));
    frame(KIND, VERSION, &payload)
}

fn head(generation: u64, users: u64) -> Vec<u8> {
    let mut payload = Vec::new();
    put_varint(&mut payload, generation);
    put_varint(&mut payload, users);
    payload
}

fn put_counter(out: &mut Vec<u8>, counter: &CounterReport) {
    let has_weeks = !counter.weeks.is_empty();
    put_varint(out, u64::from(counter.event));
    out.push(flags_of([(IS_GOAL, counter.goal.is_some()), (HAS_WEEKS, has_weeks)]));
    put_varint(out, counter.count);
    if let Some(goal) = &counter.goal {
        put_varint(out, goal.other);
        put_varint(out, goal.single.len() as u64);
        for (&event, &count) in &goal.single {
            put_varint(out, u64::from(event));
            put_varint(out, count);
        }
    }
    if has_weeks {
        put_varint(out, counter.weeks.len() as u64);
        for (&week, &count) in &counter.weeks {
            week.encode(out);
            put_varint(out, count);
        }
    }
}

/// Decodes counts, and the generation of their snapshot.
///
/// # Errors
/// [`Corrupt`] for anything that [`encode`] does not write.
pub fn decode(bytes: &[u8]) -> Result<(u64, Report), Corrupt> {
    decode_counts(bytes).within("counts")
}

fn decode_counts(bytes: &[u8]) -> Result<(u64, Report), Corrupt> {
    let mut reader = Reader::new(unframe(KIND, VERSION, bytes)?);
    let generation = reader.varint().within("generation")?;
    let mut counts = Report { users: get_count(&mut reader).within("users")?, counters: Vec::new() };
    for nth in 0.. {
        if reader.is_empty() {
            break;
        }
        let event = read_event(&mut reader).within_nth("counter", nth)?;
        let counter = get_counter(&mut reader, event).within_noted("counter", nth, "event", Some(u64::from(event)))?;
        if counts.counters.last().is_some_and(|last| last.event >= event) {
            return Err(Corrupt::new(Defect::Order).within("event").within_nth("counter", nth));
        }
        counts.counters.push(counter);
    }
    Ok((generation, counts))
}

fn get_counter(reader: &mut Reader<'_>, event: u32) -> Result<CounterReport, Corrupt> {
    let flags = reader.u8().within("flags")?;
    if flags & !(IS_GOAL | HAS_WEEKS) != 0 {
        return Err(Corrupt::new(Defect::Range).within("flags"));
    }
    let count = get_count(reader).within("users")?;
    let goal = if flags & IS_GOAL != 0 { Some(get_goal(reader).within("goal")?) } else { None };
    let weeks = if flags & HAS_WEEKS != 0 { get_weeks(reader).within("weeks")? } else { LiteMap::new() };
    Ok(CounterReport { event, count, sum: None, goal, weeks })
}

fn get_count(reader: &mut Reader<'_>) -> Result<u64, Corrupt> {
    reader.varint_below(COUNT_BOUND)
}

fn get_goal(reader: &mut Reader<'_>) -> Result<GoalReport, Corrupt> {
    let mut goal = GoalReport { other: get_count(reader).within("completions")?, ..GoalReport::default() };
    for nth in 0..reader.varint().within("number of single counts")? {
        let event = reader.varint_below(EVENTS_PER_NAMESPACE.max).within("event").within_nth("single count", nth)?;
        let count = get_count(reader).within("count").within_nth("single count", nth)?;
        push(&mut goal.single, event as u32, count).within_nth("single count", nth)?;
    }
    Ok(goal)
}

fn get_weeks(reader: &mut Reader<'_>) -> Result<LiteMap<Week, u64>, Corrupt> {
    let mut weeks = LiteMap::new();
    let len = reader.varint().within("number of weeks")?;
    if len == 0 {
        return Err(Corrupt::new(Defect::Form).within("number of weeks"));
    }
    for nth in 0..len {
        let week = Week::decode(reader).within("week number").within_nth("week", nth)?;
        let count = get_count(reader).within("users").within_nth("week", nth)?;
        push(&mut weeks, week, count).within_nth("week", nth)?;
    }
    Ok(weeks)
}

/// Adds an entry that must come behind those that are there.
fn push<K: Ord>(map: &mut LiteMap<K, u64>, key: K, count: u64) -> Result<(), Corrupt> {
    if map.last().is_some_and(|(last, _)| *last >= key) {
        return Err(Corrupt::new(Defect::Order));
    }
    map.insert(key, count);
    Ok(())
}

/// Adds what a stored section has.
pub fn add(counts: &mut Report, stored: &Stored) {
    match stored {
        Stored::Counter(event, counter) => {
            let mine = counter_of(&mut counts.counters, *event);
            let other = CounterReport::counts_of(*event, counter, &Sets::default());
            mine.goal = other.goal;
            other.weeks.into_iter().for_each(|(week, users)| *mine.weeks.entry(week).or_default() += users);
        }
        Stored::Set(set, users) => add_users(counts, *set, users.len()),
        Stored::Series(_) => {}
        #[cfg(not(feature = "browser"))]
        Stored::Grid(_) | Stored::Definition(_) => {}
    }
}

/// Adds users of a set.
fn add_users(counts: &mut Report, set: SetKey, users: u64) {
    match set {
        SetKey::AllUsers => counts.users += users,
        SetKey::Event(event) => counter_of(&mut counts.counters, event).count += users,
        SetKey::Week(event, week) => {
            *counter_of(&mut counts.counters, event).weeks.entry(week).or_default() += users;
        }
        SetKey::EventPeriod(..) | SetKey::AnyPeriod(_) | SetKey::Cohort(..) | SetKey::Returned(..) => {}
    }
}

/// Adds what effects that came after the counts have changed.
pub fn follow(counts: &mut Report, effects: &[Effect]) {
    for effect in effects {
        match effect {
            Effect::Counter { event, .. } => drop(counter_of(&mut counts.counters, *event)),
            Effect::Goal { event } => drop(counter_of(&mut counts.counters, *event).goal.get_or_insert_default()),
            Effect::Close { last } => {
                if let SetKey::Week(event, week) = *last {
                    close(&mut counter_of(&mut counts.counters, event).weeks, week);
                }
            }
            Effect::InsertMany { .. } | Effect::Over { .. } | Effect::ClosePeriods { .. } | Effect::Miss { .. } => {}
            #[cfg(not(feature = "browser"))]
            Effect::Define(_) | Effect::Grid { .. } => {}
            Effect::Insert { set, carried, .. } => {
                add_users(counts, *set, 1);
                let completion = carried.as_ref().and_then(|carried| carried.completion.as_ref());
                if let (Some((combination, _)), Some(event)) = (completion, set.event()) {
                    let goal = counter_of(&mut counts.counters, event).goal.get_or_insert_default();
                    goal.other += 1;
                    combination.events().for_each(|event| *goal.single.entry(event).or_default() += 1);
                }
            }
        }
    }
}

/// Adds the users of the weeks up to this one to those of [`Week::OTHER`].
fn close(weeks: &mut LiteMap<Week, u64>, latest: Week) {
    let closed = weeks.iter().filter(|&(&week, _)| week <= latest).map(|(_, &users)| users).sum::<u64>();
    weeks.retain(|&week, _| week > latest);
    if closed > 0 {
        *weeks.entry(Week::OTHER).or_default() += closed;
    }
}

/// The counter of an event, which is made where there is none.
fn counter_of(counters: &mut Vec<CounterReport>, event: u32) -> &mut CounterReport {
    let at = counters.partition_point(|counter| counter.event < event);
    if counters.get(at).is_none_or(|counter| counter.event != event) {
        let counter = CounterReport { event, count: 0, sum: None, goal: None, weeks: LiteMap::new() };
        counters.insert(at, counter);
    }
    // It is there now.
    #[allow(clippy::indexing_slicing)]
    &mut counters[at]
}
