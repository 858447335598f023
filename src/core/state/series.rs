//! Series: what is known of every period beside the set of its users, as long as that is open, and for good.
//!
//! A period begins with a set of users ([`super::set_key::SetKey`]). Once it is over and late events have
//! had their time it *closes*: the set becomes a number, and the fingerprints are gone. A set for which there is no room goes
//! *over*: it is a number from then on, and the period takes nobody any more and says so.

use super::sum::Sum;
use crate::core::format::bytes::{Reader, flags_of, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::periods::period::{Period, Unit, Units};
use crate::core::settings::limits::SERIES_POINTS;

/// What is known of one period of an event, or of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// Its users, once it has closed or gone over.
    pub users: u32,
    /// Counted whose first occurrence ever was in it.
    pub first_users: u32,
    /// The sum of the values of these first occurrences.
    pub value: Option<Sum>,
    /// Whether it has no set any more because there was no room: its users are at least so many.
    pub is_over: bool,
}

/// The points of one event, or of anybody: ascending, those that say something. Values are apart, for few events have any.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    points: Vec<(Period, Counted)>,
    values: Vec<(Period, Sum)>,
    /// The last period of each unit that is not kept any more.
    dropped: [Option<Period>; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    users: u32,
    first_users: u32,
    is_over: bool,
}

/// When an event occurred, and which series its event has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The day.
    pub day: Day,
    /// The units that its event has series of.
    pub units: Units,
}

/// Points by which a series grows at a time.
const STEP: usize = 8;

const HAS_VALUE: u8 = 1;
const IS_OVER: u8 = 2;

/// Puts an entry of a sorted list in place, or takes it away.
fn put<T>(list: &mut Vec<(Period, T)>, period: Period, entry: Option<T>) {
    match (find(list, period), entry) {
        (Ok(at), Some(entry)) => list.get_mut(at).into_iter().zip([entry]).for_each(|(kept, entry)| kept.1 = entry),
        (Ok(at), None) => drop(list.remove(at)),
        (Err(at), Some(entry)) => {
            if list.len() == list.capacity() {
                list.reserve_exact(STEP);
            }
            list.insert(at, (period, entry));
        }
        (Err(_), None) => {}
    }
}

fn find<T>(list: &[(Period, T)], period: Period) -> Result<usize, usize> {
    list.binary_search_by_key(&period, |(period, _)| *period)
}

/// Bytes by which a list grows for so many entries more.
const fn growth_bytes<T>(list: &Vec<(Period, T)>, entries: usize) -> usize {
    (list.len() + entries).saturating_sub(list.capacity()).next_multiple_of(STEP) * size_of::<(Period, T)>()
}

const fn allocated_bytes<T>(list: &Vec<(Period, T)>) -> usize {
    list.capacity() * size_of::<(Period, T)>()
}

fn shrink<T>(list: &mut Vec<(Period, T)>) {
    list.shrink_to(list.len().next_multiple_of(STEP));
}

/// Drops the oldest entries of a unit but for so many; answers the last of those that went.
fn trim<T>(list: &mut Vec<(Period, T)>, unit: Unit, kept: usize) -> Option<Period> {
    let start = list.partition_point(|(period, _)| period.unit() < unit);
    let end = list.partition_point(|(period, _)| period.unit() <= unit);
    let excess = start..end - (end - start).min(kept);
    list.drain(excess).last().map(|(period, _)| period)
}

impl Series {
    /// A point.
    #[must_use]
    pub fn get(&self, period: Period) -> Option<Point> {
        let &(_, users) = self.points.get(find(&self.points, period).ok()?)?;
        Some(self.with_value(period, users))
    }

    /// The points from one period to another of the same unit, ascending.
    pub fn range(&self, from: Period, to: Period) -> impl Iterator<Item = (Period, Point)> {
        let start = self.points.partition_point(|(period, _)| *period < from);
        let points = self.points.iter().skip(start).take_while(move |(period, _)| *period <= to);
        points.map(|&(period, users)| (period, self.with_value(period, users)))
    }

    fn with_value(&self, period: Period, Counted { users, first_users, is_over }: Counted) -> Point {
        let at = find(&self.values, period).ok();
        let value = at.and_then(|at| self.values.get(at)).map(|(_, value)| *value);
        Point { users, first_users, value, is_over }
    }

    /// Whether it has no points.
    pub(super) const fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Bytes by which points for these periods make it grow at most, with values or without.
    pub(super) fn growth_bytes(&self, periods: &[Option<Period>], has_values: bool) -> usize {
        let new = periods.iter().flatten().filter(|&&period| find(&self.points, period).is_err()).count();
        let values = if has_values { growth_bytes(&self.values, periods.len()) } else { 0 };
        values + if new > 0 { growth_bytes(&self.points, new) } else { 0 }
    }

    /// Counts a first occurrence without a value in periods all of which have points already; false where one has none.
    pub(super) fn count_known_first(&mut self, periods: &[Option<Period>; 3]) -> bool {
        let mut places = [None; 3];
        for (period, at) in periods.iter().zip(&mut places) {
            let Some(period) = period else { continue };
            let Ok(found) = find(&self.points, *period) else {
                return false;
            };
            *at = Some(found);
        }
        for at in places.into_iter().flatten() {
            self.points.get_mut(at).into_iter().for_each(|(_, users)| users.first_users += 1);
        }
        true
    }

    pub(super) const fn allocated_bytes(&self) -> usize {
        allocated_bytes(&self.points) + allocated_bytes(&self.values)
    }

    /// Puts a point in place, or takes it away.
    pub(super) fn put(&mut self, period: Period, point: Option<Point>) {
        put(&mut self.values, period, point.and_then(|point| point.value));
        let users = point.map(|Point { users, first_users, is_over, .. }| Counted { users, first_users, is_over });
        put(&mut self.points, period, users);
    }

    pub(super) fn shrink(&mut self) {
        shrink(&mut self.points);
        shrink(&mut self.values);
    }

    /// Drops the oldest points of every unit of which there are more than are kept; says whether there were any.
    pub(super) fn trim(&mut self) -> bool {
        let mut has_dropped = false;
        for ((unit, kept), dropped) in Unit::ALL.into_iter().zip(SERIES_POINTS).zip(&mut self.dropped) {
            if let Some(last) = trim(&mut self.points, unit, kept) {
                *dropped = Some(last);
                has_dropped = true;
                self.values.retain(|(period, _)| period.unit() != unit || *period > last);
            }
        }
        has_dropped
    }

    /// The last period of a unit that was dropped; neither it nor one before it is known any more.
    #[must_use]
    pub fn dropped(&self, unit: Unit) -> Option<Period> {
        self.dropped.get(unit.index()).copied().flatten()
    }

    /// Appends the encoding: for each unit 1 + the stored number of the last period that was dropped, or 0; per point the stored
    /// number of its period less that of the point before, flags (1 byte: 1 a value, 2 over), users, first users (LEB128), and the
    /// value as flagged; until the end.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut last = 0;
        for dropped in self.dropped {
            put_varint(out, dropped.map_or(0, |period| 1 + u64::from(period.code())));
        }
        for &(period, users) in &self.points {
            let point = self.with_value(period, users);
            put_varint(out, u64::from(period.code() - last));
            last = period.code();
            out.push(flags_of([(HAS_VALUE, point.value.is_some()), (IS_OVER, point.is_over)]));
            put_varint(out, u64::from(point.users));
            put_varint(out, u64::from(point.first_users));
            if let Some(value) = point.value {
                value.encode(out);
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let (mut series, mut last, mut nth) = (Self::default(), 0, 0);
        for (unit, dropped) in Unit::ALL.into_iter().zip(&mut series.dropped) {
            *dropped = read_dropped(reader, unit).within("dropped period")?;
        }
        while !reader.is_empty() {
            let (period, point) = read_point(reader, last, nth == 0).within_nth("point", nth)?;
            last = period.code();
            series.put(period, Some(point));
            nth += 1;
        }
        Ok(series)
    }
}

fn read_dropped(reader: &mut Reader<'_>, unit: Unit) -> Result<Option<Period>, Corrupt> {
    match reader.varint_below((1 << 24) + 1)?.checked_sub(1) {
        None => Ok(None),
        Some(code) => match Period::of_code(code as u32).filter(|period| period.unit() == unit) {
            Some(period) => Ok(Some(period)),
            None => Err(Corrupt::new(Defect::Range)),
        },
    }
}

fn read_point(reader: &mut Reader<'_>, last: u32, is_first: bool) -> Result<(Period, Point), Corrupt> {
    let step = reader.varint_below(1 << 24).within("period")? as u32;
    if step == 0 && !is_first {
        return Err(Corrupt::new(Defect::Order).within("period"));
    }
    let period = Period::of_code(last + step).ok_or_else(|| Corrupt::new(Defect::Range).within("period"))?;
    let flags = reader.u8().within("flags")?;
    if flags & !(HAS_VALUE | IS_OVER) != 0 {
        return Err(Corrupt::new(Defect::Range).within("flags"));
    }
    let users = reader.varint_below(1 << 32).within("users")? as u32;
    let first_users = reader.varint_below(1 << 32).within("first users")? as u32;
    let value = if flags & HAS_VALUE != 0 { Some(Sum::decode(reader)?) } else { None };
    let point = Point { users, first_users, value, is_over: flags & IS_OVER != 0 };
    if point == Point::default() { Err(Corrupt::new(Defect::Form)) } else { Ok((period, point)) }
}
