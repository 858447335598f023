//! Reading what is stored: all of it into a state.

use worker::{Error, Result, SqlStorageValue};

use super::{PARTS, Store, has_table, setting};
use crate::core::format::aside;
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::settings::limits::{JOURNAL_GROWTH, SNAPSHOT_GROWTH};
use crate::core::state::aggregator::{Aggregator, Replay};
use crate::core::state::effect::Effect;
use crate::core::state::journal;
use crate::core::state::snapshot;
use crate::edge::host::sql;

impl Store {
    /// Reads snapshot and journal, behind [`Self::check_age`]. `make_room` is told how many bytes the state is about to take,
    /// before it does: at the begin what it took when the snapshot was written, then as much again as each piece may become.
    ///
    /// # Errors
    /// When storage cannot be read, or holds what was not written by this product with this key.
    pub fn load(&mut self, make_room: impl Fn(usize)) -> Result<Aggregator> {
        let mut state = Aggregator::default();
        if !self.has_tables {
            return Ok(state);
        }
        self.check_pages("")?;
        make_room(self.snapshot_memory_bytes()?);
        self.each_section(|number, section| {
            snapshot::decode_stored(&mut state, number, section)?;
            make_room(state.memory_bytes());
            Ok(())
        })?;
        let mut replay = Replay::of(&mut state);
        let (rows, bytes) = self.each_row(|sealed| {
            make_room(replay.memory_bytes() + JOURNAL_GROWTH * sealed.len());
            replay.add(&self.effects(sealed)?)
        })?;
        make_room(replay.memory_bytes() + replay.growth_bytes());
        replay.finish().map_err(|corrupt| fail(&corrupt.within("journal")))?;
        make_room(state.memory_bytes());
        (self.journal_rows, self.journal_bytes) = (rows, bytes);
        Ok(state)
    }

    /// Bytes of memory of what the snapshot holds: as noted when it was written, or of a version that noted nothing, as
    /// many as sets of thousands of users take.
    fn snapshot_memory_bytes(&self) -> Result<usize> {
        let noted = if has_table(&self.sql, "setting")? { setting(&self.sql, "memory_bytes")? } else { None };
        let bytes = if let Some(bytes) = noted {
            bytes
        } else {
            let stored = sql::value(&self.sql, "SELECT sum(length(row)) FROM snapshot", vec![])?;
            SNAPSHOT_GROWTH * stored.as_ref().map_or(0, sql::integer)
        };
        Ok(bytes as usize)
    }

    /// Has `SQLite` look at the structure of a table, or of all, which has no checksums: a bit that hides a row would go
    /// unseen.
    pub(super) fn check_pages(&self, table: &str) -> Result<()> {
        let check =
            if table.is_empty() { "PRAGMA quick_check(1)".to_owned() } else { format!("PRAGMA quick_check({table})") };
        match sql::value(&self.sql, &check, vec![]).map_err(|error| at("database", &error))? {
            Some(SqlStorageValue::String(found)) if found != "ok" => Err(format!("database: {found}").into()),
            _ => Ok(()),
        }
    }

    /// Hands over every section with its number, one at a time: all of them together take as much again as the state.
    pub(super) fn each_section(
        &self,
        mut work: impl FnMut(u64, &[u8]) -> std::result::Result<(), Corrupt>,
    ) -> Result<()> {
        let mut finish = |number, section: &[u8]| work(number, section).map_err(|corrupt| fail(&corrupt));
        let (mut current, mut parts, mut section, mut is_packed) = (None, 0, Vec::new(), false);
        let rows =
            self.sql.exec("SELECT id, row FROM snapshot ORDER BY id", None).map_err(|error| at("snapshot", &error))?;
        for row in rows.raw() {
            let row = row.map_err(|error| at("snapshot", &error))?;
            let id = row.first().map_or(0, sql::integer);
            let (number, part) = (id / PARTS, id % PARTS);
            if let Some(before) = current.filter(|&before| before != number) {
                finish(before, &section)?;
                section = Vec::new();
                parts = 0;
            }
            current = Some(number);
            let defect =
                |defect, part| fail(&snapshot::in_section(Corrupt::new(defect).within_nth("part", part), number));
            if part != parts {
                return Err(defect(Defect::Missing, parts));
            }
            let Some(SqlStorageValue::Blob(bytes)) = row.get(1) else {
                return Err(defect(Defect::Form, part));
            };
            // A section begins with its kind, which is not 0; what follows may begin with anything.
            is_packed = if part == 0 { aside::is_packed(bytes) } else { is_packed };
            let unpacked = if is_packed { aside::unpack(bytes) } else { Ok(&bytes[..]) };
            let bytes =
                unpacked.map_err(|corrupt| fail(&snapshot::in_section(corrupt.within_nth("part", part), number)))?;
            section.reserve_exact(bytes.len());
            section.extend_from_slice(bytes);
            parts += 1;
        }
        current.map_or(Ok(()), |number| finish(number, &section))
    }

    /// Hands over every sealed row of the journal, and answers their number and bytes.
    pub(super) fn each_row(
        &self,
        mut work: impl FnMut(&[u8]) -> std::result::Result<(), Corrupt>,
    ) -> Result<(u64, u64)> {
        let (mut rows, mut bytes) = (0, 0);
        let read = self.sql.exec("SELECT seq, row FROM journal ORDER BY seq", None);
        for row in read.map_err(|error| at("journal", &error))?.raw() {
            let row = row.map_err(|error| at("journal", &error))?;
            let seq = row.first().map_or(0, sql::integer);
            let in_row = |corrupt: Corrupt| fail(&corrupt.within_nth("journal row", seq));
            let Some(SqlStorageValue::Blob(sealed)) = row.get(1) else {
                return Err(in_row(Corrupt::new(Defect::Form)));
            };
            rows += 1;
            bytes += sealed.len() as u64;
            work(sealed).map_err(in_row)?;
        }
        Ok((rows, bytes))
    }

    /// The effects in a sealed row.
    pub(super) fn effects(&self, sealed: &[u8]) -> std::result::Result<Vec<Effect>, Corrupt> {
        journal::decode(&self.seal.open(sealed)?)
    }
}

fn fail(corrupt: &Corrupt) -> Error {
    Error::from(corrupt.to_string())
}

fn at(place: &str, error: &Error) -> Error {
    Error::from(format!("{place}: {error}"))
}
