//! A shard's state in memory, beside the store that it was read from.

use super::alarm::closing_ms;
use super::failure::{Outcome, storage};
use super::store::Store;
use crate::core::identity::UnlinkKey;
use crate::core::periods::day::Day;
use crate::core::settings::limits::JOURNAL_BYTES_SMALL;
use crate::core::state::aggregator::{Aggregator, Group};
use crate::core::state::definitions::Definition;
use crate::core::state::effect::Effect;
use crate::core::state::error::Refusal;
use crate::core::state::set_key::SetKey;
use crate::core::state::shard_limits::TimeLimits;
use crate::core::state::snapshot;
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::record;
use crate::messages::Failure;
use crate::messages::shard::{Apply, Inspection};

/// A state and its store.
pub struct Loaded {
    pub state: Aggregator,
    pub store: Store,
}

impl Loaded {
    /// Applies and journals batches of one namespace, each all or nothing, after periods whose time is over have closed, and
    /// compacts where the journal has grown long. Answers what became of each.
    pub fn apply<'a>(
        &mut self,
        batches: impl Iterator<Item = &'a Apply>,
        config: &Config,
        mark: u64,
    ) -> Outcome<Vec<Outcome<()>>> {
        let (mut outcomes, mut journalled) = (Vec::new(), Vec::new());
        let (mut accepted, mut repeated) = (0, 0);
        let (mut group, mut finishing) = (Group::default(), None);
        for batch in batches {
            if batch.incarnation < self.store.incarnation() {
                outcomes.push(Err(Failure::OtherIncarnation));
                continue;
            }
            self.store.adopt(batch.incarnation).map_err(|error| storage(&error))?;
            let (unlink, limits) = (UnlinkKey::from_bytes(batch.unlink), batch.shard_limits());
            self.store.set_replay(batch.is_replay).map_err(|error| storage(&error))?;
            let today = batch.day();
            journalled.extend(self.state.close_periods(today, limits.time));
            let definitions = Definition::decode_all(&batch.definitions);
            let definitions = definitions.map_err(|corrupt| storage(&corrupt.to_string().into()))?;
            journalled.extend(self.state.define(&definitions));
            let effects = match self.state.apply_in_group(batch.read(), &unlink, &limits, today, &mut group) {
                Ok(effects) => effects,
                Err(refusal) => {
                    outcomes.push(Err(refused(refusal, config)));
                    continue;
                }
            };
            outcomes.push(Ok(()));
            if batch.fault.fails_journal() && !effects.is_empty() {
                return Err(storage(&"injected".into()));
            }
            let is_first = |effect: &&Effect| matches!(effect, Effect::Insert { set: SetKey::Event(_), .. });
            let firsts = effects.iter().filter(is_first).count();
            accepted += firsts;
            repeated += batch.operations.records() - firsts;
            journalled.extend(effects);
            finishing = Some((unlink, limits));
        }
        if let Some((unlink, limits)) = finishing {
            journalled.extend(self.state.finish_group(group, &unlink, &limits));
        }
        if !journalled.is_empty() {
            self.store.append(&journalled).map_err(|error| storage(&error))?;
        }
        // Gone before a compaction, which takes memory of its own.
        drop(journalled);
        let applied = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        record::applied(applied as u64, accepted as u64, repeated as u64);
        let (rows, bytes) = self.store.journal();
        if rows >= config.journal_rows_max || bytes >= self.journal_bytes_max(config) {
            self.store.compact(&mut self.state, mark).map_err(|error| storage(&error))?;
        }
        Ok(outcomes)
    }

    /// Closes the periods whose time is over on a day, and journals that.
    pub fn close_periods(&mut self, today: Day, time: TimeLimits) -> Outcome<()> {
        match self.state.close_periods(today, time) {
            Some(closed) => self.store.append(&[closed]).map_err(|error| storage(&error)),
            None => Ok(()),
        }
    }

    /// When the shard of this id has something to do without being asked, in Unix milliseconds; `None` where it has not.
    pub fn due_ms(&self, id: &str, config: &Config) -> Option<u64> {
        let soon_ms = clock::now_ms() + u64::try_from(config.compaction_delay_ms).unwrap_or(0);
        let write_ms = self.store.needs_alarm(&self.state).then_some(soon_ms);
        [write_ms, self.later_ms(id, config).map(|later_ms| later_ms.max(soon_ms))].into_iter().flatten().min()
    }

    /// When it has, where all rows have their mark: once the journal is old, or a period closes.
    pub fn later_ms(&self, id: &str, config: &Config) -> Option<u64> {
        [self.store.old_ms(&self.state), self.closing_ms(id, config)].into_iter().flatten().min()
    }

    /// When the next period closes, in Unix milliseconds; on a replay clock none does by itself.
    fn closing_ms(&self, id: &str, config: &Config) -> Option<u64> {
        let day = self.state.closes_on(config.time().into()).filter(|_| !self.store.is_replay());
        day.map(|day| closing_ms(id, day))
    }

    /// Bytes of journal at which it is compacted at once.
    fn journal_bytes_max(&self, config: &Config) -> u64 {
        if config.is_journal_set {
            return config.journal_bytes_max;
        }
        config.journal_bytes_max.min((self.state.memory_bytes() as u64).max(JOURNAL_BYTES_SMALL))
    }

    pub fn inspect(&self) -> Outcome<Inspection> {
        let (journal_rows, journal_bytes) = self.store.journal();
        let snapshot_rows = self.store.snapshot_rows().map_err(|error| storage(&error))?;
        let digest = crate::core::format::bytes::checksum(&snapshot::encode_all(&self.state).concat());
        let memory_bytes = self.state.memory_bytes() as u64;
        Ok(Inspection { journal_rows, journal_bytes, snapshot_rows, memory_bytes, digest })
    }
}

fn refused(refusal: Refusal, config: &Config) -> Failure {
    let limit = match refusal {
        Refusal::Users => config.users_per_event_max,
        Refusal::Memory | Refusal::Tag => config.shard_memory_bytes_max,
        Refusal::CounterSize { users_max } => users_max,
    };
    Failure::Refused { refusal: refusal.into(), limit }
}
