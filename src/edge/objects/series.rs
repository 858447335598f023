//! The series that events have where somebody has said so: table `series` of the registry.
//!
//! An event without a row has the usual ones, where it is among the first `SERIES_EVENTS_MAX`.

use worker::{Result, SqlStorageValue};

use super::names::Names;
use crate::core::periods::period::{Kept, Units};
use crate::edge::host::sql;
use crate::messages::operations::Series;
use crate::messages::registry::{PutSeries, SeriesPut};

impl Names<'_> {
    /// The columns of [`Series`].
    pub(super) const SERIES: &'static str = "units, since, former, day, week, month";

    /// Changes the series that an event has, from the next day on. Raises the incarnation of the namespace, so that every isolate
    /// asks anew.
    ///
    /// # Errors
    /// When storage fails; nothing was changed then.
    pub fn put_series(&self, PutSeries { namespace, event, units }: &PutSeries) -> Result<SeriesPut> {
        let Some((id, shards)) = self.find(namespace)? else {
            return Ok(SeriesPut::NoNamespace);
        };
        let Some(number) = self.number(id, event)? else {
            return Ok(SeriesPut::NoEvent);
        };
        let (units, known) = (Units::of_bits(*units), self.series_of(id, number)?);
        let kept = known.map_or_else(|| Kept::always(self.config.units(number)), Kept::from);
        if kept.units == units {
            let incarnation = self.incarnation(id)?;
            return Ok(SeriesPut::Done { is_new: false, series: kept.into(), shards, incarnation });
        }
        if kept.units == Units::NONE && self.events_with_series(id)? >= self.config.series_events_max {
            return Ok(SeriesPut::Full);
        }
        let kept = match self.today_of(id)? {
            Some(today) => kept.changed(units, today),
            None => Kept::always(units),
        };
        let series = Series::from(kept);
        let incarnation =
            self.renew_with(namespace, self.incarnation(id)?, || self.write_series(id, number, series))?;
        Ok(SeriesPut::Done { is_new: true, series, shards, incarnation })
    }

    /// The number of an event.
    fn number(&self, id: i64, name: &str) -> Result<Option<u32>> {
        let query = "SELECT number FROM event WHERE namespace = ? AND name = ?";
        let number = sql::value(self.sql, query, vec![id.into(), name.into()])?;
        Ok(number.as_ref().map(|number| sql::integer(number) as u32))
    }

    fn write_series(&self, id: i64, event: u32, series: Series) -> Result<()> {
        let Series { units, since, former, begun: [day, week, month] } = series;
        let numbers =
            [event, units.into(), since, former.into(), day, week, month].map(|number| i64::from(number).into());
        let bindings: Vec<SqlStorageValue> = [id.into()].into_iter().chain(numbers).collect();
        let put =
            format!("INSERT OR REPLACE INTO series(namespace, event, {}) VALUES(?, ?, ?, ?, ?, ?, ?, ?)", Self::SERIES);
        self.sql.exec(&put, bindings).map(|_| ())
    }

    /// How many events of a namespace have series.
    fn events_with_series(&self, id: i64) -> Result<u64> {
        let usual = "SELECT count(*) FROM event WHERE namespace = ? AND number < ?
                     AND number NOT IN (SELECT event FROM series WHERE namespace = ?)";
        let max = self.config.series_events_max as i64;
        let usual = sql::value(self.sql, usual, vec![id.into(), max.into(), id.into()])?;
        let chosen = "SELECT count(*) FROM series WHERE namespace = ? AND units > 0";
        let chosen = sql::value(self.sql, chosen, vec![id.into()])?;
        Ok([usual, chosen].iter().flatten().map(sql::integer).sum())
    }

    /// The series of an event, where they are not the usual ones.
    fn series_of(&self, id: i64, event: u32) -> Result<Option<Series>> {
        let query = format!("SELECT {} FROM series WHERE namespace = ? AND event = ?", Self::SERIES);
        let rows = sql::rows(self.sql, &query, vec![id.into(), i64::from(event).into()])?;
        Ok(rows.first().and_then(|row| Self::read_series(row)))
    }

    /// The series of all events of a namespace that are not the usual ones, ascending.
    pub(super) fn all_series(&self, id: i64) -> Result<Vec<(u32, Series)>> {
        let query = format!("SELECT event, {} FROM series WHERE namespace = ? ORDER BY event", Self::SERIES);
        let rows = sql::rows(self.sql, &query, vec![id.into()])?;
        let of_row = |row: &Vec<SqlStorageValue>| {
            let (event, series) = row.split_first()?;
            Some((sql::integer(event) as u32, Self::read_series(series)?))
        };
        Ok(rows.iter().filter_map(of_row).collect())
    }

    /// Reads the columns [`Self::SERIES`]; `None` where there is no row of the table.
    pub(super) fn read_series(columns: &[SqlStorageValue]) -> Option<Series> {
        let [units @ SqlStorageValue::Integer(_), since, former, day, week, month] = columns else {
            return None;
        };
        let number = |value| sql::integer(value) as u32;
        let begun = [number(day), number(week), number(month)];
        Some(Series { units: number(units) as u8, since: number(since), former: number(former) as u8, begun })
    }
}
