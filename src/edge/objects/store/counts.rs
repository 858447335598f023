//! The counts of a shard from its tables: the row of [`crate::core::state::counts`], and the journal behind it.

use worker::{Result, SqlStorageValue};

use super::{PARTS, Store, has_table};
use crate::core::format::corrupt::Corrupt;
use crate::core::settings::limits::SNAPSHOT_GROWTH;
use crate::core::state::counts;
use crate::core::state::report::Report;
use crate::core::state::snapshot;
use crate::edge::host::record::{self, Work};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS counts(id INTEGER PRIMARY KEY, row BLOB NOT NULL)";

impl Store {
    /// The counts, behind [`Self::check_age`], without a state in memory. Where an earlier version has written the snapshot,
    /// or the row is damaged, which `damaged` is told, the sections are read one by one and the counts are stored anew;
    /// `make_room` is told how many bytes each of them may take meanwhile.
    ///
    /// # Errors
    /// When storage cannot be read, or holds what was not written by this product with this key.
    pub fn counts(&mut self, damaged: impl FnOnce(&Corrupt), make_room: impl Fn(usize)) -> Result<Report> {
        if !self.has_tables {
            return Ok(Report::default());
        }
        self.check_pages("journal")?;
        let mut counts = match self.stored_counts(damaged)? {
            Some(counts) => counts,
            None => record::timed(Work::Load, || self.recount(make_room))?,
        };
        self.each_row(|sealed| {
            counts::follow(&mut counts, &self.effects(sealed)?);
            Ok(())
        })?;
        Ok(counts)
    }

    /// The generation that the snapshot was written as.
    const fn snapshot_generation(&self) -> u64 {
        self.generation.saturating_sub(self.marked_rows)
    }

    /// Those of the snapshot, where they are sound and of its generation.
    fn stored_counts(&self, damaged: impl FnOnce(&Corrupt)) -> Result<Option<Report>> {
        if self.snapshot_rows()? == 0 {
            return Ok(Some(Report::default()));
        }
        if !has_table(&self.sql, "counts")? {
            return Ok(None);
        }
        self.check_pages("counts")?;
        let mut stored = Vec::new();
        for row in self.sql.exec("SELECT row FROM counts ORDER BY id", None)?.raw() {
            // What is no blob is missing, and the checksum tells.
            if let [SqlStorageValue::Blob(bytes)] = &row?[..] {
                stored.extend_from_slice(bytes);
            }
        }
        match counts::decode(&stored) {
            Ok((generation, counts)) => Ok(Some(counts).filter(|_| generation == self.snapshot_generation())),
            Err(corrupt) => {
                damaged(&corrupt);
                Ok(None)
            }
        }
    }

    /// Counts what the snapshot holds, with one section of it in memory at a time, and stores that.
    fn recount(&self, make_room: impl Fn(usize)) -> Result<Report> {
        self.check_pages("")?;
        let mut counts = Report::default();
        self.each_section(|number, section| {
            make_room(SNAPSHOT_GROWTH as usize * section.len());
            let stored = snapshot::read(section).map_err(|corrupt| snapshot::in_section(corrupt, number))?;
            for part in &stored {
                counts::add(&mut counts, part);
            }
            Ok(())
        })?;
        self.put_counts(&counts::encode_report(&counts, self.snapshot_generation()))?;
        Ok(counts)
    }

    /// Stores encoded counts.
    pub(super) fn put_counts(&self, bytes: &[u8]) -> Result<()> {
        self.sql.exec(TABLE, None)?;
        self.put_parts("counts", 0..PARTS, bytes, <[u8]>::to_vec)
    }
}
