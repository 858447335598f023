//! A goal record: what the users of a goal had done before it.

use litemap::LiteMap;

use super::combination::Combination;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::settings::limits::EVENTS_PER_NAMESPACE;

/// Users per combination of prior events, and per single prior event.
///
/// Invariant: the counts of all combinations and [`Self::other`] add up to the users who completed the goal since it
/// became one. The number of combinations is bounded by what [`Self::bucket`] lets in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GoalRecord {
    combinations: LiteMap<Combination, u64>,
    other: u64,
    single: Vec<u32>,
    memory_bytes: usize,
}

/// Where a completion counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// Under its combination.
    Listed,
    /// In `other`, because the list of combinations is full.
    Other,
}

impl GoalRecord {
    /// Bytes that the record takes in memory.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.memory_bytes
    }

    /// Where a completion with this combination counts, if at most `combinations_max` are kept apart.
    #[must_use]
    pub fn bucket(&self, combination: &Combination, combinations_max: u64) -> Bucket {
        if self.combinations.contains_key(combination) || (self.combinations.len() as u64) < combinations_max {
            Bucket::Listed
        } else {
            Bucket::Other
        }
    }

    /// Bytes by which [`Self::add`] of the same would grow the record.
    #[must_use]
    pub fn growth_bytes(&self, combination: &Combination, bucket: Bucket) -> usize {
        let is_new = bucket == Bucket::Listed && !self.combinations.contains_key(combination);
        let entry = if is_new { combination.memory_bytes() } else { 0 };
        entry + single_bytes(combination).saturating_sub(self.single.len() * size_of::<u32>())
    }

    /// Counts one user's first completion.
    pub fn add(&mut self, combination: &Combination, bucket: Bucket) {
        self.memory_bytes += self.growth_bytes(combination, bucket);
        if self.single.len() * size_of::<u32>() < single_bytes(combination) {
            self.single.resize(single_bytes(combination) / size_of::<u32>(), 0);
        }
        for event in combination.events() {
            if let Some(count) = self.single.get_mut(event as usize) {
                *count += 1;
            }
        }
        match bucket {
            Bucket::Listed => *self.combinations.entry(combination.clone()).or_default() += 1,
            Bucket::Other => self.other += 1,
        }
    }

    /// Takes back an [`Self::add`] of the same.
    pub fn undo(&mut self, combination: &Combination, bucket: Bucket) {
        for event in combination.events() {
            if let Some(count) = self.single.get_mut(event as usize) {
                *count = count.saturating_sub(1);
            }
        }
        let used = self.single.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        self.memory_bytes -= (self.single.len() - used) * size_of::<u32>();
        self.single.truncate(used);
        match bucket {
            Bucket::Other => self.other = self.other.saturating_sub(1),
            Bucket::Listed => {
                if let Some(count) = self.combinations.get_mut(combination) {
                    *count -= 1;
                    if *count == 0 {
                        self.combinations.remove(combination);
                        self.memory_bytes -= combination.memory_bytes();
                    }
                }
            }
        }
    }

    /// Adds the counts of users who are none of this record's. At most `combinations_max` combinations are kept apart.
    pub fn merge(
        &mut self,
        combinations: impl Iterator<Item = (Combination, u64)>,
        other: u64,
        single: impl Iterator<Item = (u32, u64)>,
        combinations_max: u64,
    ) {
        for (combination, count) in combinations {
            match self.bucket(&combination, combinations_max) {
                Bucket::Listed => *self.combinations.entry(combination).or_default() += count,
                Bucket::Other => self.other += count,
            }
        }
        self.other += other;
        for (event, count) in single {
            let at = event as usize;
            self.single.resize(self.single.len().max(at + 1), 0);
            if let Some(mine) = self.single.get_mut(at) {
                *mine = mine.saturating_add(count as u32);
            }
        }
        let entries = self.combinations.keys().map(Combination::memory_bytes).sum::<usize>();
        self.memory_bytes = entries + self.single.len() * size_of::<u32>();
    }

    /// Forgets a prior event: combinations that differ in nothing else become one.
    pub fn forget(&mut self, event: u32) {
        let combinations = std::mem::take(&mut self.combinations).into_tuple_vec();
        for (combination, count) in combinations {
            *self.combinations.entry(combination.without(event)).or_default() += count;
        }
        if let Some(count) = self.single.get_mut(event as usize) {
            *count = 0;
        }
        let used = self.single.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        self.single.truncate(used);
        let entries = self.combinations.keys().map(Combination::memory_bytes).sum::<usize>();
        self.memory_bytes = entries + self.single.len() * size_of::<u32>();
    }

    /// Users who completed the goal since it became one.
    #[must_use]
    pub fn completions(&self) -> u64 {
        self.combinations.values().sum::<u64>() + self.other
    }

    /// Users per combination.
    #[must_use]
    pub const fn combinations(&self) -> &LiteMap<Combination, u64> {
        &self.combinations
    }

    /// Users whose combination is not kept apart.
    #[must_use]
    pub const fn other(&self) -> u64 {
        self.other
    }

    /// Users per prior event, by event number, ascending; events without users left out.
    pub fn single(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        (0..).zip(&self.single).filter(|&(_, &count)| count > 0).map(|(event, &count)| (event, u64::from(count)))
    }

    /// Appends the encoding: number of combinations, each with its count; `other`; number of single counts, each as
    /// event and count. All integers LEB128, ascending.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.combinations.len() as u64);
        for (combination, &count) in &self.combinations {
            combination.encode(out);
            put_varint(out, count);
        }
        put_varint(out, self.other);
        put_varint(out, self.single().count() as u64);
        for (event, count) in self.single() {
            put_varint(out, u64::from(event));
            put_varint(out, count);
        }
    }

    /// Reads an encoded record.
    ///
    /// # Errors
    /// [`Corrupt`] when it is cut short, out of order or out of range.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let mut record = Self::default();
        record.decode_counts(reader).within("goal record")?;
        record.memory_bytes += record.single.len() * size_of::<u32>();
        Ok(record)
    }

    fn decode_counts(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        for nth in 0..reader.varint().within("number of combinations")? {
            self.decode_combination(reader).within_nth("combination", nth)?;
        }
        self.other = reader.varint().within("other")?;
        for nth in 0..reader.varint().within("number of single counts")? {
            self.decode_single(reader).within_nth("single count", nth)?;
        }
        Ok(())
    }

    /// Reads one combination, which must come behind those that are there.
    fn decode_combination(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let combination = Combination::decode(reader)?;
        let count = reader.varint().within("count")?;
        if self.combinations.last().is_some_and(|(last, _)| *last >= combination) {
            return Err(Corrupt::new(Defect::Order).within("bitmap"));
        }
        if count == 0 {
            return Err(Corrupt::new(Defect::Range).within("count"));
        }
        self.memory_bytes += combination.memory_bytes();
        self.combinations.insert(combination, count);
        Ok(())
    }

    /// Reads the count of one prior event, which must come behind those that are there.
    fn decode_single(&mut self, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let event = reader.varint_below(EVENTS_PER_NAMESPACE.max).within("event")? as usize;
        let count = reader.varint_below(u64::from(u32::MAX) + 1).within("count")? as u32;
        if event < self.single.len() {
            return Err(Corrupt::new(Defect::Order).within("event"));
        }
        if count == 0 {
            return Err(Corrupt::new(Defect::Range).within("count"));
        }
        self.single.resize(event, 0);
        self.single.push(count);
        Ok(())
    }
}

/// Bytes of the single counts up to the highest event of a combination.
fn single_bytes(combination: &Combination) -> usize {
    combination.events().last().map_or(0, |last| (last as usize + 1) * size_of::<u32>())
}
