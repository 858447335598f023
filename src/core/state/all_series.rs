//! All series of a shard, up to which day they have closed, and what of them there was no room for.

use super::series::{Occurrence, Point, Series};
use super::set_key::SetKey;
use super::sum::Sum;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::day::Day;
use crate::core::periods::period::{Period, Unit};
use crate::core::sets::user_set::Full;
use crate::core::settings::limits::{CLOSED_USERS_MAX, EVENTS_PER_NAMESPACE};

/// The place of a series, and with it its number.
#[must_use]
pub const fn place(event: Option<u32>) -> usize {
    match event {
        Some(event) => 1 + event as usize,
        None => 0,
    }
}

/// The event of a place.
#[must_use]
pub const fn event_of(place: usize) -> Option<u32> {
    if place == 0 { None } else { Some(place as u32 - 1) }
}

/// All series of a shard.
#[derive(Debug, Clone, Default)]
pub struct AllSeries {
    /// That of anybody at 0, that of event `n` at `1 + n`.
    slots: Vec<Series>,
    changed: Vec<bool>,
    memory_bytes: usize,
    closed: Option<Day>,
    missed: Option<Missed>,
    latest: Option<(Day, [Period; 3])>,
}

/// Days of which something is missing in every series: first occurrences that there was no room to note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The first of them.
    pub from: Day,
    /// The last of them.
    pub to: Day,
}

impl AllSeries {
    /// Bytes that they take in memory, beside a place for each event.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// What an event has beside its points.
    #[must_use]
    pub const fn place_bytes() -> usize {
        size_of::<Series>() + size_of::<bool>()
    }

    /// The day up to which every period is closed that has ended by then.
    #[must_use]
    pub const fn closed(&self) -> Option<Day> {
        self.closed
    }

    /// Days of which something is missing.
    #[must_use]
    pub const fn missed(&self) -> Option<Missed> {
        self.missed
    }

    /// The series of an event, or of anybody.
    #[must_use]
    pub fn get(&self, event: Option<u32>) -> Option<&Series> {
        self.slots.get(place(event))
    }

    /// What is known of the period of a set.
    #[must_use]
    pub fn point(&self, set: SetKey) -> Option<Point> {
        self.get(set.event())?.get(set.period()?)
    }

    /// Those that say something, by place.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        (0..self.slots.len().max(1)).filter(|&place| self.has_content(place))
    }

    fn has_content(&self, place: usize) -> bool {
        let has_points = self.slots.get(place).is_some_and(|series| !series.is_empty());
        has_points || (place == 0 && (self.closed.is_some() || self.missed.is_some()))
    }

    /// Whether a set of a period takes users.
    #[must_use]
    pub fn takes(&self, set: SetKey) -> bool {
        let is_open = set.period().is_some_and(|period| self.closed.is_none_or(|closed| period.last_day() > closed));
        is_open && self.point(set).is_none_or(|point| !point.is_over)
    }

    /// Bytes by which a point for the period of a set makes them grow.
    #[must_use]
    pub fn point_growth_bytes(&self, set: SetKey) -> usize {
        let period = [set.period()];
        let none = Series::default();
        self.get(set.event()).unwrap_or(&none).growth_bytes(&period, false)
    }

    /// Counts a first occurrence, where that makes them grow by at most `room` bytes; answers the sums of values that were there,
    /// by unit.
    ///
    /// # Errors
    /// [`Full::Memory`] where there is no room; nothing has changed.
    pub fn count_first(
        &mut self,
        event: Option<u32>,
        first: Occurrence,
        value: Option<f64>,
        room: usize,
    ) -> Result<[Option<Sum>; 3], Full> {
        let (periods, mut before) = (self.periods(first), [None; 3]);
        let place = place(event);
        if value.is_none() && self.slots.get_mut(place).is_some_and(|series| series.count_known_first(&periods)) {
            self.note_change(place);
            return Ok(before);
        }
        let growth_bytes = match self.slots.get(place) {
            Some(series) => series.growth_bytes(&periods, value.is_some()),
            None => Series::default().growth_bytes(&periods, value.is_some()),
        };
        if growth_bytes > room {
            return Err(Full::Memory);
        }
        for (&period, sum) in periods.iter().zip(&mut before) {
            let Some(period) = period else { continue };
            let mut point = self.get(event).and_then(|series| series.get(period)).unwrap_or_default();
            *sum = point.value;
            point.first_users += 1;
            if let Some(value) = value {
                point.value.get_or_insert_default().add(value);
            }
            self.put(event, period, Some(point));
        }
        Ok(before)
    }

    /// Takes that back, with the sums that were there.
    pub fn take_back_first(&mut self, event: Option<u32>, first: Occurrence, sums: Option<[Option<Sum>; 3]>) {
        for (period, nth) in self.periods(first).into_iter().zip(0..) {
            let Some(period) = period else { continue };
            let mut point = self.get(event).and_then(|series| series.get(period)).unwrap_or_default();
            point.first_users -= 1;
            if let Some(sums) = sums {
                point.value = sums.get(nth).copied().flatten();
            }
            self.put(event, period, Some(point).filter(|point| *point != Point::default()));
        }
    }

    /// The periods of an occurrence, those of its units.
    fn periods(&mut self, Occurrence { day, units }: Occurrence) -> [Option<Period>; 3] {
        let periods = match self.latest {
            Some((latest, periods)) if latest == day => periods,
            _ => Unit::ALL.map(|unit| Period::of(unit, day)),
        };
        self.latest = Some((day, periods));
        periods.map(|period| Some(period).filter(|period| units.has(period.unit())))
    }

    /// Puts what is known of a period in place, and answers what was there.
    pub fn put(&mut self, event: Option<u32>, period: Period, point: Option<Point>) -> Option<Point> {
        let place = place(event);
        if place >= self.slots.len() {
            self.slots.resize_with(place + 1, Series::default);
        }
        let series = self.slots.get_mut(place)?;
        let before = series.get(period);
        self.memory_bytes -= series.allocated_bytes();
        series.put(period, point);
        self.memory_bytes += series.allocated_bytes();
        self.note_change(place);
        before
    }

    /// Gives back what points that were taken away have left unused.
    pub fn shrink(&mut self) {
        for series in &mut self.slots {
            self.memory_bytes -= series.allocated_bytes();
            series.shrink();
            self.memory_bytes += series.allocated_bytes();
        }
    }

    /// Notes up to which day all has closed, and drops the oldest points.
    pub fn close(&mut self, last: Day) {
        self.closed = self.closed.max(Some(last));
        self.note_change(0);
        for place in 0..self.slots.len() {
            if self.slots.get_mut(place).is_some_and(Series::trim) {
                self.note_change(place);
            }
        }
    }

    /// Notes that something of a day is missing; says whether that was not known.
    pub fn miss(&mut self, day: Day) -> bool {
        let Missed { from, to } = self.missed.unwrap_or(Missed { from: day, to: day });
        let missed = Some(Missed { from: from.min(day), to: to.max(day) });
        let is_new = self.missed != missed;
        self.set_missed(missed);
        is_new
    }

    /// Puts [`Self::missed`] in place.
    pub fn set_missed(&mut self, missed: Option<Missed>) {
        self.missed = missed;
        self.note_change(0);
    }

    /// Drops the series of an event.
    pub fn delete_event(&mut self, event: u32) {
        let place = place(Some(event));
        if let Some(series) = self.slots.get_mut(place).map(std::mem::take) {
            self.memory_bytes -= series.allocated_bytes();
            self.note_change(place);
        }
    }

    fn note_change(&mut self, place: usize) {
        if place >= self.changed.len() {
            self.changed.resize(place + 1, false);
        }
        self.changed.get_mut(place).into_iter().for_each(|changed| *changed = true);
    }

    /// Places of series that have changed since [`Self::note_stored`].
    pub fn changed(&self) -> impl Iterator<Item = usize> {
        self.changed.iter().enumerate().filter(|&(_, &changed)| changed).map(|(place, _)| place)
    }

    /// Notes that every series is stored as it is now.
    pub fn note_stored(&mut self) {
        self.changed.clear();
    }

    /// Appends the encoding of the series of a place, if it says something: place (LEB128), that of anybody with the day up
    /// to which all has closed and the days of which something is missing (as 1 + stored number, 0 for none; of the latter the
    /// first, and behind it the last), then the points.
    #[must_use]
    pub fn encode(&self, place: usize, out: &mut Vec<u8>) -> bool {
        if !self.has_content(place) {
            return false;
        }
        put_varint(out, place as u64);
        if place == 0 {
            put_varint(out, self.closed.map_or(0, |day| 1 + u64::from(day.number())));
            put_varint(out, self.missed.map_or(0, |missed| 1 + u64::from(missed.from.number())));
            if let Some(missed) = self.missed {
                put_varint(out, u64::from(missed.to.number()));
            }
        }
        self.slots.get(place).unwrap_or(&Series::default()).encode(out);
        true
    }
}

/// A series as it was stored.
#[derive(Debug, PartialEq)]
pub struct StoredSeries {
    /// The event; absent for that of anybody.
    pub event: Option<u32>,
    closed: Option<Day>,
    missed: Option<Missed>,
    series: Series,
}

impl StoredSeries {
    /// Reads an encoded series.
    ///
    /// # Errors
    /// [`Corrupt`] for anything that [`AllSeries::encode`] does not write.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let place = reader.varint_below(EVENTS_PER_NAMESPACE.max + 1).within("place")? as usize;
        let (mut closed, mut missed) = (None, None);
        if place == 0 {
            closed = read_day(reader).within("closed day")?;
            if let Some(from) = read_day(reader).within("missed day")? {
                let to = Day::of_number(reader.varint().within("missed day")?).filter(|&to| to >= from);
                let to = to.ok_or_else(|| Corrupt::new(Defect::Range).within("missed day"))?;
                missed = Some(Missed { from, to });
            }
        }
        let series = Series::decode(reader)?;
        if series.is_empty() && closed.is_none() && missed.is_none() {
            return Err(Corrupt::new(Defect::Form));
        }
        Ok(Self { event: event_of(place), closed, missed, series })
    }

    /// Puts it in place; false where there is one already.
    pub fn restore(self, all: &mut AllSeries) -> bool {
        let place = place(self.event);
        if all.has_content(place) {
            return false;
        }
        if place >= all.slots.len() {
            all.slots.resize_with(place + 1, Series::default);
        }
        if place == 0 {
            (all.closed, all.missed) = (self.closed, self.missed);
        }
        all.memory_bytes += self.series.allocated_bytes();
        all.slots.get_mut(place).into_iter().zip([self.series]).for_each(|(slot, series)| *slot = series);
        true
    }
}

fn read_day(reader: &mut Reader<'_>) -> Result<Option<Day>, Corrupt> {
    match reader.varint()?.checked_sub(1) {
        None => Ok(None),
        Some(number) => Day::of_number(number).map(Some).ok_or_else(|| Corrupt::new(Defect::Range)),
    }
}

// Numbers of shards add up without an overflow.
const _: () = assert!((u32::MAX as u64) < CLOSED_USERS_MAX);
