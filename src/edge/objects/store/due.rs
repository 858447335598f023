//! What is due when an alarm comes: a compaction, or only a mark.
//!
//! A compaction writes every section that has changed, as a whole. It waits until the journal has some rows for each of
//! these (every row is billed) and has grown to a share of their bytes, or is old. Until then an alarm raises the generation, which is a row, so that what was acknowledged has its mark.

use std::collections::BTreeSet;

use worker::Result;

use super::{MARKED_ROWS_BITS, PARTS, SETTING_TABLE, Store, write};
use crate::core::settings::limits::{
    COMPACTION_BYTES_MIN, COMPACTION_ROWS, COMPACTION_SHARE, JOURNAL_AGE_S, JOURNAL_AGE_SMALL_S,
};
use crate::core::state::aggregator::{Aggregator, Section};
use crate::edge::host::{clock, sql};

const fn is_small(state: &Aggregator) -> bool {
    (state.memory_bytes() as u64) < COMPACTION_BYTES_MIN
}

/// Seconds for which a journal may stand.
const fn age_s(state: &Aggregator) -> u64 {
    if is_small(state) { JOURNAL_AGE_SMALL_S } else { JOURNAL_AGE_S }
}

impl Store {
    /// Whether an alarm has something to do soon: rows have no mark yet, or sets that are gone are still stored.
    pub fn needs_alarm(&self, state: &Aggregator) -> bool {
        self.has_unmarked() || (self.journal_rows > 0 && state.sets().has_dropped())
    }

    const fn has_unmarked(&self) -> bool {
        self.journal_rows > self.marked_rows
    }

    /// When the journal is too old, in Unix milliseconds; `None` where there is none.
    pub fn old_ms(&self, state: &Aggregator) -> Option<u64> {
        let at_s = if self.is_old(state) { 0 } else { self.compacted_s + age_s(state) };
        (self.journal_rows > 0).then_some(at_s * 1_000)
    }

    /// A clock that was set back by as much counts too: for how long the journal has stood is not known then.
    fn is_old(&self, state: &Aggregator) -> bool {
        let now_s = u64::try_from(clock::now_s()).unwrap_or(0);
        self.journal_rows > 0 && now_s.abs_diff(self.compacted_s) >= age_s(state)
    }

    /// Compacts where that is due, and else marks what has no mark. `mark` is the registry's.
    ///
    /// # Errors
    /// When storage is then as before.
    pub fn compact_or_mark(&mut self, state: &mut Aggregator, mark: u64) -> Result<()> {
        if self.is_due(state)? { self.compact(state, mark) } else { self.raise(mark) }
    }

    fn is_due(&self, state: &Aggregator) -> Result<bool> {
        if self.journal_rows == 0 {
            return Ok(false);
        }
        // Fingerprints of a period that has closed are not to stay.
        if state.sets().has_dropped() {
            return Ok(true);
        }
        if self.is_old(state) {
            return Ok(true);
        }
        let changed: BTreeSet<u64> = state.changed().map(Section::number).collect();
        if self.journal_rows < COMPACTION_ROWS * changed.len() as u64 {
            return Ok(false);
        }
        let bytes = self.stored_bytes(&changed)?;
        Ok(bytes < COMPACTION_BYTES_MIN || self.journal_bytes * COMPACTION_SHARE >= bytes)
    }

    /// The stored bytes of sections.
    fn stored_bytes(&self, numbers: &BTreeSet<u64>) -> Result<u64> {
        // Summed up here: `SQLite` would copy the rows themselves to group them, through a file where they are many.
        let parts = sql::rows(&self.sql, "SELECT id, length(row) FROM snapshot", vec![])?;
        let bytes = parts.iter().filter_map(|part| match part.as_slice() {
            [id, bytes] if numbers.contains(&(sql::integer(id) / PARTS)) => Some(sql::integer(bytes)),
            _ => None,
        });
        Ok(bytes.sum())
    }

    /// Compacts where the state is small or that is due, and else marks: before a shard is closed that no alarm is to open soon.
    ///
    /// # Errors
    /// When storage is then as before.
    pub fn leave(&mut self, state: &mut Aggregator, mark: u64) -> Result<()> {
        if is_small(state) { self.compact(state, mark) } else { self.compact_or_mark(state, mark) }
    }

    /// Raises the generation by the rows of the journal that it does not count yet.
    fn raise(&mut self, mark: u64) -> Result<()> {
        if !self.has_unmarked() {
            return Ok(());
        }
        let generation = self.generation + self.journal_rows - self.marked_rows;
        self.sql.exec(SETTING_TABLE, None)?;
        let put =
            "INSERT OR REPLACE INTO setting(name, value) VALUES('generation', ?), ('marked_rows', ?), ('marked', ?)";
        let values = [generation, generation << MARKED_ROWS_BITS | self.journal_rows, mark];
        write(&self.sql, put, values.map(|value| (value as i64).into()).to_vec())?;
        (self.generation, self.marked_rows) = (generation, self.journal_rows);
        Ok(())
    }
}
