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

    fn write_series(&self, id: i64, event: u32, series: Series) -> Result<()> {
        let Series { units, since, former, begun: [day, week, month] } = series;
        let numbers =
            [event, units.into(), since, former.into(), day, week, month].map(|number| i64::from(number).into());
        let bindings: Vec<SqlStorageValue> = [id.into()].into_iter().chain(numbers).collect();
        let put = "INSERT OR REPLACE INTO series(namespace, event, units, since, former, day, week, month)
                   VALUES(?, ?, ?, ?, ?, ?, ?, ?)";
        self.sql.exec(put, bindings).map(|_| ())
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
    pub(super) fn series_of(&self, id: i64, event: u32) -> Result<Option<Series>> {
        let query =
            "SELECT event, units, since, former, day, week, month FROM series WHERE namespace = ? AND event = ?";
        let rows = sql::rows(self.sql, query, vec![id.into(), i64::from(event).into()])?;
        Ok(rows.first().and_then(|row| read(row)).map(|(_, series)| series))
    }

    /// The series of all events of a namespace that are not the usual ones, ascending.
    pub(super) fn all_series(&self, id: i64) -> Result<Vec<(u32, Series)>> {
        let query =
            "SELECT event, units, since, former, day, week, month FROM series WHERE namespace = ? ORDER BY event";
        let rows = sql::rows(self.sql, query, vec![id.into()])?;
        Ok(rows.iter().filter_map(|row| read(row)).collect())
    }
}

fn read(row: &[SqlStorageValue]) -> Option<(u32, Series)> {
    let [event, units, since, former, day, week, month] = row else {
        return None;
    };
    let number = |value| sql::integer(value) as u32;
    let begun = [number(day), number(week), number(month)];
    let series = Series { units: number(units) as u8, since: number(since), former: number(former) as u8, begun };
    Some((number(event), series))
}
