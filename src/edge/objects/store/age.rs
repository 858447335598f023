//! How old what is stored is, measured by the registry's mark.

use worker::Result;

use super::{REPLAY, Store, create_state_tables, has_table, marked_rows, setting, write};
use crate::edge::host::sql;
use crate::messages::registry::Marks;

impl Store {
    /// Compares what is stored with what the registry knows. Where one of them is older than it was, it is refused, or with
    /// `accept_older` taken as it is: that is stored at once, so that it holds from then on. Answers what was taken.
    ///
    /// # Errors
    /// When storage cannot be read, is older than the registry, or the registry older than it.
    pub fn check_age(&mut self, marks: Marks, accept_older: bool) -> Result<Option<String>> {
        let mark = marks.generation;
        let mut marked = 0;
        if self.has_tables && has_table(&self.sql, "setting")? {
            self.generation = setting(&self.sql, "generation")?.unwrap_or(0);
            marked = setting(&self.sql, "marked")?.unwrap_or(0);
            self.compacted_s = setting(&self.sql, "compacted_s")?.unwrap_or(0);
            self.marked_rows = marked_rows(&self.sql)?;
            self.incarnation = setting(&self.sql, "incarnation")?.unwrap_or(0);
            self.has_accepted = setting(&self.sql, "accepted")?.is_some();
            self.is_replay = setting(&self.sql, REPLAY)?.is_some();
        }
        let generation = self.generation;
        let older = if generation < mark {
            format!("it is of generation {generation}, and generation {mark} was acknowledged")
        } else if marked > mark {
            format!("the registry is older than it: {mark}, and {marked} was acknowledged")
        } else if self.incarnation > marks.incarnation && !self.has_accepted {
            let (known, heard) = (marks.incarnation, self.incarnation);
            format!("the registry is older than it: of incarnation {known}, and {heard} was acknowledged")
        } else {
            return Ok(None);
        };
        if !accept_older {
            return Err(format!("age: {older}").into());
        }
        self.put_age(generation.max(mark), marked.min(mark))?;
        Ok(Some(older))
    }

    /// The last deletion is forgotten: the registry may have given lesser numbers meanwhile, and all that it asks for has yet to
    /// be done.
    fn put_age(&mut self, generation: u64, marked: u64) -> Result<()> {
        sql::transaction(&self.storage, || {
            if !self.has_tables {
                create_state_tables(&self.sql)?;
            }
            self.put_generation(generation)?;
            let put = "INSERT OR REPLACE INTO setting(name, value) VALUES('marked', ?), ('accepted', 1)";
            write(&self.sql, put, vec![(marked as i64).into()])?;
            write(&self.sql, "DELETE FROM setting WHERE name = 'deleted'", vec![])
        })?;
        self.has_tables = true;
        self.has_accepted = true;
        self.generation = generation;
        Ok(())
    }

    /// Whether older storage was accepted, and the namespace has not got a new incarnation for it yet.
    pub const fn has_accepted(&self) -> bool {
        self.has_accepted
    }

    /// Notes the incarnation that the namespace has got for what was accepted.
    ///
    /// # Errors
    /// When storage cannot be written.
    pub fn renew(&mut self, incarnation: u64) -> Result<()> {
        self.adopt(incarnation)?;
        write(&self.sql, "DELETE FROM setting WHERE name = 'accepted'", vec![])?;
        self.has_accepted = false;
        Ok(())
    }
}
