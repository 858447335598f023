//! Deletions: what a shard stores of them, and the rows that go.
//!
//! `setting` has `incarnation`, the greatest that the shard has heard of, and `deleted`, the number of the last deletion that
//! it has carried out.
//!
//! The write-ahead log keeps its copies of erased rows until it is overwritten, and backups keep theirs.

use worker::Result;

use super::{Store, erase, has_table, setting, write};
use crate::core::state::aggregator::Aggregator;
use crate::messages::registry::Deleted;

impl Store {
    /// The incarnation of the namespace that this shard has heard of; 0 where it has of none.
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Notes an incarnation, if it is later. Without tables, whatever makes them stores it.
    ///
    /// # Errors
    /// When storage cannot be written.
    pub fn adopt(&mut self, incarnation: u64) -> Result<()> {
        if incarnation <= self.incarnation {
            return Ok(());
        }
        self.incarnation = incarnation;
        if self.has_tables { self.put_setting("incarnation", incarnation) } else { Ok(()) }
    }

    /// Carries a deletion out on the state and its tables, unless that was done; all or nothing. `mark` is the registry's.
    ///
    /// # Errors
    /// When storage is then as before, and the state is of no use.
    pub fn delete(&mut self, state: &mut Aggregator, number: u64, what: Deleted, mark: u64) -> Result<()> {
        let has_settings = self.has_tables && has_table(&self.sql, "setting")?;
        let is_done = has_settings && setting(&self.sql, "deleted")?.is_some_and(|deleted| deleted >= number);
        if is_done {
            return Ok(());
        }
        self.incarnation = self.incarnation.max(number);
        self.create_tables()?;
        let incarnation = self.incarnation;
        match what {
            Deleted::Namespace => *state = Aggregator::default(),
            Deleted::Event(event) => state.delete_event(event),
            Deleted::Goal(event) => state.delete_goal(event),
            Deleted::Definition(number) => state.delete_definition(number),
        }
        let sql = self.sql.clone();
        self.rewrite(state, mark, || {
            erase(&sql, "journal", "TRUE")?;
            if what == Deleted::Namespace {
                erase(&sql, "snapshot", "TRUE")?;
            }
            let put = "INSERT OR REPLACE INTO setting(name, value) VALUES('incarnation', ?), ('deleted', ?)";
            write(&sql, put, vec![(incarnation as i64).into(), (number as i64).into()])
        })
    }
}
