//! A retention grid: of those who did `start` for the first time in a period, how many did `returning` in each of the periods
//! behind it.
//!
//! | part | form |
//! |---|---|
//! | start, return | LEB128 each, numbers of events |
//! | unit | 1 byte: 0 day, 1 week, 2 month |
//! | periods | 1 byte |

use serde::{Deserialize, Serialize};

use super::Asked;
use crate::core::format::bytes::{Reader, put_varint};
use crate::core::format::corrupt::{Corrupt, Defect, Within};
use crate::core::periods::period::{Period, Unit};
use crate::core::settings::limits::RETENTION_PERIODS;
use crate::core::state::set_key::read_event;

/// What a grid asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The event whose first occurrence ever puts a user into a cohort.
    pub start: u32,
    /// The event that is returned for.
    pub returning: u32,
    /// What cohorts and returns are counted by.
    pub unit: Unit,
    /// How many periods behind its own a cohort is looked at.
    pub periods: u8,
}

/// The same as the registry stores it, with names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionSpec {
    /// The event whose first occurrence ever puts a user into a cohort.
    pub start: String,
    /// The event that is returned for.
    pub r#return: String,
    /// `day`, `week` or `month`.
    pub unit: String,
    /// How many periods behind its own a cohort is looked at.
    pub periods: u8,
}

impl RetentionSpec {
    /// The same with the numbers of its events, in the order of their names. `None` where it is no grid.
    #[must_use]
    pub fn with(&self, events: &[u32]) -> Option<Retention> {
        let &[start, returning] = events else { return None };
        let periods = Some(self.periods).filter(|periods| (1..=RETENTION_PERIODS).contains(periods))?;
        Some(Retention { start, returning, unit: Unit::of_name(&self.unit)?, periods })
    }
}

impl Retention {
    /// The last period in which users of a cohort can return.
    #[must_use]
    pub fn last_of(&self, cohort: Period) -> Period {
        cohort.after(self.periods.into())
    }
}

impl Asked for Retention {
    fn events(&self) -> impl Iterator<Item = u32> {
        [self.start, self.returning].into_iter()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.start));
        put_varint(out, u64::from(self.returning));
        out.extend_from_slice(&[self.unit.index() as u8, self.periods]);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let (start, returning) = (read_event(reader)?, read_event(reader)?);
        let range = || Corrupt::new(Defect::Range);
        let unit = reader.u8().within("unit")?;
        let unit = Unit::ALL.get(usize::from(unit)).copied().ok_or_else(|| range().within("unit"))?;
        let periods = reader.u8().within("periods")?;
        if !(1..=RETENTION_PERIODS).contains(&periods) {
            return Err(range().within("periods"));
        }
        Ok(Self { start, returning, unit, periods })
    }
}
