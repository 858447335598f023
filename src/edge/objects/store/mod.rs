//! The storage of a shard: snapshot rows and a journal.
//!
//! | table | columns |
//! |---|---|
//! | `snapshot` | `id INTEGER` primary key = section number * 256 + part; `row BLOB`, at most 1 MiB of the section's bytes, of a set of a period with zeros around them (`aside`) |
//! | `journal` | `seq INTEGER` primary key; `row BLOB`, the sealed effects of a group of batches, or a part of them |
//! | `counts` | `id INTEGER` primary key = part; `row BLOB`, of the counts of the snapshot ([`crate::core::state::counts`]) |
//! | `setting` | `name TEXT` primary key, `value INTEGER`: `compacted_s`, when the snapshot was written, in Unix seconds; `memory_bytes`, what the state took then; `generation`, `marked_rows` and `marked`, see below; `incarnation` and `deleted`, see `deletion`; `accepted`, that older storage was, for which the namespace has no new incarnation yet |
//!
//! The journal holds exactly what came after the snapshot: a compaction writes the one and empties the other in one
//! transaction. When an alarm compacts, `due` says.
//!
//! The generation is 1 once there are tables, and rises with every compaction by one. An alarm that does not compact raises
//! it alone, by the number of journal rows that came since: it then counts `marked_rows` rows of the journal, and that of
//! the snapshot, which `counts` names, is less by so many. The number in the table has
//! that generation above its lower 20 bits: a version that does not know it leaves it as it is.
//!
//! The registry keeps the greatest generation that it was told of, the mark; `marked` is the mark as the shard knew it when
//! it raised the generation last. So storage that has lost its end shows, which `SQLite` cannot tell: it takes a damaged
//! frame of a write-ahead log for the log's end. Rows behind the marked ones have no mark yet.
//!
//! Errors of reading are `place: what is wrong`, the place being that within the shard.

mod age;
mod counts;
mod deletion;
mod due;
mod read;

use std::ops::Range;

use worker::{Error, Result, SqlStorage, SqlStorageValue, Storage};

use crate::core::format::aside;
use crate::core::format::seal::{NONCE_BYTES, Seal};
use crate::core::settings::limits::{JOURNAL_ROWS, ROW_BYTES};
use crate::core::state::aggregator::{Aggregator, Section};
use crate::core::state::effect::Effect;
use crate::core::state::journal;
use crate::core::state::set_key::SetKey;
use crate::core::state::snapshot;
use crate::edge::host::clock;
use crate::edge::host::record::{self, Work};
use crate::edge::host::sql;

const PARTS: u64 = 256;
/// Above these is the generation of the marked rows.
const MARKED_ROWS_BITS: u32 = 20;
const _: () = assert!(JOURNAL_ROWS.max < 1 << MARKED_ROWS_BITS);

/// Whether a section is a set that is open for a while only.
const fn is_of_period(section: Section) -> bool {
    matches!(section, Section::Set(set) if set.is_of_period())
}

/// The rows of a section.
fn ids_of(section: Section) -> Range<u64> {
    let first = section.number() * PARTS;
    first..first + PARTS
}

/// A shard's tables, and what is known of their size.
pub struct Store {
    storage: Storage,
    sql: SqlStorage,
    seal: Seal,
    has_tables: bool,
    journal_rows: u64,
    journal_bytes: u64,
    generation: u64,
    /// Rows of the journal that the generation counts.
    marked_rows: u64,
    /// When the snapshot was written, in Unix seconds; 0 where there is none.
    compacted_s: u64,
    incarnation: u64,
    has_accepted: bool,
    is_replay: bool,
}

/// What the tables of a shard hold.
#[derive(Default)]
pub struct Measures {
    /// Rows of the journal.
    pub journal_rows: u64,
    /// Bytes of the journal.
    pub journal_bytes: u64,
    /// Whether some of these rows have no mark yet.
    pub has_unmarked: bool,
    /// Counters of the snapshot.
    pub counters: u64,
    /// When the snapshot was written, in Unix seconds.
    pub compacted_s: Option<u64>,
}

impl Store {
    /// The store of this object. Writes nothing: an object that is only read leaves no tables behind.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn open(storage: Storage, seal: Seal) -> Result<Self> {
        let sql = storage.sql();
        let table = sql::value(&sql, "SELECT 1 FROM sqlite_master WHERE name = 'journal'", vec![])?;
        Ok(Self {
            storage,
            sql,
            seal,
            has_tables: table.is_some(),
            journal_rows: 0,
            journal_bytes: 0,
            generation: 0,
            marked_rows: 0,
            compacted_s: 0,
            incarnation: 0,
            has_accepted: false,
            is_replay: false,
        })
    }

    /// Whether the namespace is on a replay clock, as far as the shard has heard: then the time of the machine closes no period.
    pub const fn is_replay(&self) -> bool {
        self.is_replay
    }

    /// Notes whether it is.
    ///
    /// # Errors
    /// When storage cannot be written.
    pub fn set_replay(&mut self, is_replay: bool) -> Result<()> {
        if self.is_replay == is_replay {
            return Ok(());
        }
        self.create_tables()?;
        if is_replay {
            self.put_setting(REPLAY, 1)?;
        } else {
            write(&self.sql, "DELETE FROM setting WHERE name = ?", vec![REPLAY.into()])?;
        }
        self.is_replay = is_replay;
        Ok(())
    }

    /// The generation of what is stored; 0 where nothing is.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Appends effects: as one row, or where that would be too long as several, all or none of them.
    ///
    /// # Errors
    /// When nothing was written.
    pub fn append(&mut self, effects: &[Effect]) -> Result<()> {
        self.create_tables()?;
        let mut rows = Vec::new();
        self.seal_rows(effects, &mut rows)?;
        let (count, bytes) = (rows.len() as u64, rows.iter().map(Vec::len).sum::<usize>() as u64);
        let sql = &self.sql;
        let write_all =
            || rows.into_iter().try_for_each(|row| write(sql, "INSERT INTO journal(row) VALUES(?)", vec![row.into()]));
        if count == 1 {
            write_all()?;
        } else {
            sql::transaction(&self.storage, write_all)?;
        }
        self.journal_rows += count;
        self.journal_bytes += bytes;
        Ok(())
    }

    /// Seals effects as one row, or their halves as rows of their own where it is too long.
    fn seal_rows(&self, effects: &[Effect], rows: &mut Vec<Vec<u8>>) -> Result<()> {
        let row = journal::encode(effects);
        if row.len() > ROW_BYTES && effects.len() > 1 {
            drop(row);
            let (first, second) = effects.split_at(effects.len() / 2);
            self.seal_rows(first, rows)?;
            return self.seal_rows(second, rows);
        }
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| Error::from(error.to_string()))?;
        rows.push(self.seal.close(nonce, &row).ok_or_else(|| Error::from("a row cannot be sealed"))?);
        Ok(())
    }

    /// Rewrites the sections that changed and empties the journal; all or nothing. `mark` is the registry's.
    ///
    /// # Errors
    /// When storage is then as before.
    pub fn compact(&mut self, state: &mut Aggregator, mark: u64) -> Result<()> {
        if self.journal_rows == 0 {
            return Ok(());
        }
        self.rewrite(state, mark, || Ok(()))
    }

    /// Rewrites the sections that changed, empties the journal, and does what else belongs to that; all or nothing.
    fn rewrite(&mut self, state: &mut Aggregator, mark: u64, also: impl FnOnce() -> Result<()>) -> Result<()> {
        let now_s = clock::now_s();
        let rewrite = || {
            also()?;
            // First, so that the sections take its room, and not room of their own. As a whole: a row that is deleted is billed as
            // one that is written.
            write(&self.sql, "DROP TABLE journal", vec![])?;
            write(&self.sql, JOURNAL_TABLE, vec![])?;
            for section in state.changed() {
                let ids = ids_of(section);
                let encoded = snapshot::encode(state, section);
                // What a period's set was before is to be gone with it, once it closes.
                if encoded.is_none() || is_of_period(section) {
                    erase(&self.sql, "snapshot", &format!("id >= {} AND id < {}", ids.start, ids.end))?;
                }
                let as_row = if is_of_period(section) { aside::pack } else { <[u8]>::to_vec };
                if let Some(bytes) = encoded {
                    self.put_parts("snapshot", ids, &bytes, as_row)?;
                }
            }
            self.put_counts(&crate::core::state::counts::encode(state, self.generation + 1))?;
            self.sql.exec(SETTING_TABLE, None)?;
            write(&self.sql, "DELETE FROM setting WHERE name = 'marked_rows'", vec![])?;
            let memory_bytes = state.memory_bytes() as i64;
            let settings =
                vec![now_s.into(), (self.generation as i64 + 1).into(), (mark as i64).into(), memory_bytes.into()];
            let put = "INSERT OR REPLACE INTO setting(name, value)
                       VALUES('compacted_s', ?), ('generation', ?), ('marked', ?), ('memory_bytes', ?)";
            write(&self.sql, put, settings)
        };
        record::timed(Work::Compaction, || sql::transaction(&self.storage, rewrite))?;
        self.generation += 1;
        self.compacted_s = u64::try_from(now_s).unwrap_or(0);
        state.note_stored();
        (self.journal_rows, self.journal_bytes, self.marked_rows) = (0, 0, 0);
        Ok(())
    }

    /// Rows and bytes of the journal, counters of the snapshot, and when that was written, in Unix seconds; read from
    /// the tables alone.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn measure(sql: &SqlStorage) -> Result<Measures> {
        let number =
            |query: &str| -> Result<u64> { Ok(sql::value(sql, query, vec![])?.as_ref().map_or(0, sql::integer)) };
        if !has_table(sql, "journal")? {
            return Ok(Measures::default());
        }
        let (mut compacted_s, mut marked) = (None, 0);
        if has_table(sql, "setting")? {
            compacted_s = setting(sql, "compacted_s")?;
            marked = marked_rows(sql)?;
        }
        let journal_rows = number("SELECT count(*) FROM journal")?;
        Ok(Measures {
            journal_rows,
            has_unmarked: journal_rows > marked,
            journal_bytes: number("SELECT sum(length(row)) FROM journal")?,
            counters: number(&format!(
                "SELECT count(*) FROM snapshot WHERE id >= {PARTS} AND id < {} AND id % {PARTS} = 0",
                SetKey::Event(0).number() * PARTS
            ))?,
            compacted_s,
        })
    }

    /// Rows and bytes of the journal.
    pub const fn journal(&self) -> (u64, u64) {
        (self.journal_rows, self.journal_bytes)
    }

    /// Rows of the snapshot.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn snapshot_rows(&self) -> Result<u64> {
        if !self.has_tables {
            return Ok(0);
        }
        let count = sql::value(&self.sql, "SELECT count(*) FROM snapshot", vec![])?;
        Ok(count.as_ref().map_or(0, sql::integer))
    }

    /// Stores bytes as rows of a table, in place of those that have these ids.
    fn put_parts(&self, table: &str, ids: Range<u64>, bytes: &[u8], as_row: fn(&[u8]) -> Vec<u8>) -> Result<()> {
        let put = format!("INSERT OR REPLACE INTO {table}(id, row) VALUES(?, ?)");
        for (id, part) in ids.clone().zip(bytes.chunks(ROW_BYTES)) {
            write(&self.sql, &put, vec![(id as i64).into(), as_row(part).into()])?;
        }
        let unused = ids.start + bytes.len().div_ceil(ROW_BYTES) as u64;
        let bindings = vec![(unused as i64).into(), (ids.end as i64).into()];
        write(&self.sql, &format!("DELETE FROM {table} WHERE id >= ? AND id < ?"), bindings)
    }

    fn create_tables(&mut self) -> Result<()> {
        if !self.has_tables {
            let generation = self.generation + 1;
            sql::transaction(&self.storage, || {
                create_state_tables(&self.sql)?;
                self.put_generation(generation)?;
                // Every row is billed, and of most namespaces nothing is ever deleted.
                if self.incarnation > 0 { self.put_setting("incarnation", self.incarnation) } else { Ok(()) }
            })?;
            self.generation = generation;
            self.has_tables = true;
        }
        Ok(())
    }

    fn put_generation(&self, generation: u64) -> Result<()> {
        self.put_setting("generation", generation)
    }

    fn put_setting(&self, name: &str, value: u64) -> Result<()> {
        self.sql.exec(SETTING_TABLE, None)?;
        let put = "INSERT OR REPLACE INTO setting(name, value) VALUES(?, ?)";
        write(&self.sql, put, vec![name.into(), (value as i64).into()])
    }
}

const REPLAY: &str = "replay";
const SNAPSHOT_TABLE: &str = "CREATE TABLE snapshot(id INTEGER PRIMARY KEY, row BLOB NOT NULL)";
const JOURNAL_TABLE: &str = "CREATE TABLE journal(seq INTEGER PRIMARY KEY, row BLOB NOT NULL)";
const SETTING_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS setting(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID";

fn create_state_tables(sql: &SqlStorage) -> Result<()> {
    sql.exec(SNAPSHOT_TABLE, None)?;
    sql.exec(JOURNAL_TABLE, None).map(|_| ())
}

fn has_table(sql: &SqlStorage, name: &str) -> Result<bool> {
    Ok(sql::value(sql, "SELECT 1 FROM sqlite_master WHERE name = ?", vec![name.into()])?.is_some())
}

/// The rows of the journal that the generation counts. Those of another generation are what a version left that does not
/// know them, and has compacted.
fn marked_rows(sql: &SqlStorage) -> Result<u64> {
    let generation = setting(sql, "generation")?.unwrap_or(0);
    let marked = setting(sql, "marked_rows")?.filter(|marked| marked >> MARKED_ROWS_BITS == generation);
    Ok(marked.map_or(0, |marked| marked & ((1 << MARKED_ROWS_BITS) - 1)))
}

fn setting(sql: &SqlStorage, name: &str) -> Result<Option<u64>> {
    let value = sql::value(sql, "SELECT value FROM setting WHERE name = ?", vec![name.into()])?;
    Ok(value.as_ref().map(sql::integer).filter(|&value| value > 0))
}

/// Deletes rows, overwritten with zeros: `SQLite` leaves the bytes of deleted rows where they are.
fn erase(sql: &SqlStorage, table: &str, rows: &str) -> Result<()> {
    write(sql, &format!("UPDATE {table} SET row = zeroblob(length(row)) WHERE {rows}"), vec![])?;
    write(sql, &format!("DELETE FROM {table} WHERE {rows}"), vec![])
}

/// Runs a statement and counts the rows that it wrote.
fn write(sql: &SqlStorage, query: &str, bindings: Vec<SqlStorageValue>) -> Result<()> {
    let cursor = sql.exec(query, bindings)?;
    record::wrote(cursor.rows_written() as u64);
    Ok(())
}
