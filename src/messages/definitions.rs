//! Questions about definitions, to the registry and to shards.

use serde::{Deserialize, Serialize};

use super::question;
use super::registry::{NameRefusal, REGISTRY};
use super::shard::{SHARD, Time};
use crate::core::periods::day::Day;
use crate::core::periods::period::Period;
use crate::core::state::all_series::Missed;
use crate::core::state::grid_report::{CohortReport, GridReport};

/// A definition as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionRecord {
    /// Its number in the namespace.
    pub number: u32,
    /// The number of its kind, as [`crate::core::state::definitions::Kind::number`].
    pub kind: u8,
    /// Its name, unique within the kind.
    pub name: String,
    /// The number of the first day that counts; 0 where every day does.
    pub since: u32,
    /// What it asks: JSON.
    pub spec: String,
    /// The numbers of the events that it names, in the order of their names.
    pub events: Vec<u32>,
}

/// Makes a definition. Its events are registered, on behalf of an admin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutDefinition {
    /// The namespace, which is made where there is none.
    pub namespace: String,
    /// [`DefinitionRecord::kind`].
    pub kind: u8,
    /// Its name.
    pub name: String,
    /// What it asks: JSON, the same for the same question.
    pub spec: String,
    /// The names of its events, in their order.
    pub events: Vec<String>,
    /// How many definitions of its kind the namespace may have.
    pub max: u64,
}
question!(23, PutDefinition => DefinitionPut, REGISTRY);

/// The answer to [`PutDefinition`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefinitionPut {
    /// It is there. Every shard is to be told of the incarnation.
    Done {
        /// Whether it was made now.
        is_new: bool,
        /// It.
        definition: DefinitionRecord,
        /// The namespace's number of shards.
        shards: u32,
        /// Its incarnation, which has risen if it was made now.
        incarnation: u64,
    },
    /// There is another one of this name.
    Exists,
    /// There are as many of its kind as may be.
    Full,
    /// The namespace has had as many definitions as it can have.
    NumbersFull,
    /// There is no room for the name of an event, or for the namespace.
    NamesFull(NameRefusal),
}

/// Asks for a retention grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetGrid {
    /// The number of the present day: cohorts whose time is over close first.
    pub today: u32,
    /// What periods are held to.
    pub time: Time,
    /// The number of its definition.
    pub definition: u32,
}
question!(14, GetGrid => GridNumbers, SHARD);

/// The answer to [`GetGrid`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GridNumbers {
    /// Those in which somebody is, ascending.
    pub cohorts: Vec<CohortNumbers>,
    /// The stored numbers of the periods of which returns are missing.
    pub over: Vec<u32>,
    /// The numbers of the first and the last day of which something is missing, if it is.
    pub missed: Vec<(u32, u32)>,
}

/// The numbers of a cohort.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CohortNumbers {
    /// The stored number of its period.
    pub period: u32,
    /// Users by how many periods behind it they were seen last, from 0.
    pub seen: Vec<u64>,
    /// Users who returned in each of the periods behind it.
    pub returned: Vec<u64>,
    /// Whether something of it is missing.
    pub is_over: bool,
}

impl From<GridReport> for GridNumbers {
    fn from(GridReport { cohorts, over, missed }: GridReport) -> Self {
        let numbers = |(period, CohortReport { seen, returned, is_over }): (Period, CohortReport)| CohortNumbers {
            period: period.code(),
            seen,
            returned,
            is_over,
        };
        Self {
            cohorts: cohorts.into_iter().map(numbers).collect(),
            over: over.into_iter().map(Period::code).collect(),
            missed: missed.into_iter().map(|missed| (missed.from.number(), missed.to.number())).collect(),
        }
    }
}

impl From<GridNumbers> for GridReport {
    /// Numbers of no period or day are left out: no shard sends any.
    fn from(GridNumbers { cohorts, over, missed }: GridNumbers) -> Self {
        let report = |CohortNumbers { period, seen, returned, is_over }| {
            Some((Period::of_code(period)?, CohortReport { seen, returned, is_over }))
        };
        let day = |number: u32| Day::of_number(number.into());
        Self {
            cohorts: cohorts.into_iter().filter_map(report).collect(),
            over: over.into_iter().filter_map(Period::of_code).collect(),
            missed: missed
                .into_iter()
                .filter_map(|(from, to)| Some(Missed { from: day(from)?, to: day(to)? }))
                .collect(),
        }
    }
}
