//! The server of the law: what the Worker, its registry and its shards do with a batch, on exact clocks.

use kimball_edge::core::identity::Keys;
use kimball_edge::core::periods::day::Day;
use kimball_edge::core::requests::parse_events;
use kimball_edge::core::settings::limits::RequestLimits;
use kimball_edge::core::state::aggregator::{Aggregator, Operation};
use kimball_edge::core::state::shard_limits::{ShardLimits, Sizing};
use kimball_edge::core::state::snapshot;
use serde_json::Value;

/// The events are of five weeks around the turn of a year.
pub const FIRST_S: i64 = 1_608_000_000;
pub const SECONDS: i64 = 5 * 7 * 86_400;
const REQUEST: RequestLimits =
    RequestLimits { body_bytes: 1 << 24, batch_events: 10_000, batch_namespaces: 9, name_bytes: 256 };

/// What the Worker, its registry and its shards do with a batch, in the order in which they do it.
pub struct Server {
    keys: Keys,
    shards: u32,
    pub now_s: i64,
    pub namespaces: Vec<Space>,
}

#[derive(Default)]
pub struct Space {
    pub name: String,
    pub names: Vec<String>,
    goals: Vec<u32>,
    pub states: Vec<Aggregator>,
}

impl Server {
    /// One at the middle of the events' weeks.
    pub fn new(shards: u32) -> Self {
        Self { keys: Keys::new(&[3; 32]), shards, now_s: FIRST_S + SECONDS / 2, namespaces: Vec::new() }
    }

    /// Answers whether an event was of a later week than is taken.
    pub fn post(&mut self, body: &Value) -> bool {
        let batch = parse_events(body.to_string().as_bytes(), &self.keys, &REQUEST).unwrap();
        for part in &batch.namespaces {
            let at = self.namespaces.iter().position(|space| space.name == part.namespace).unwrap_or_else(|| {
                let states = vec![Aggregator::default(); self.shards as usize];
                self.namespaces.push(Space { name: part.namespace.clone(), states, ..Space::default() });
                self.namespaces.len() - 1
            });
            let space = &mut self.namespaces[at];
            for name in &part.names {
                if !space.names.contains(name) {
                    space.names.push(name.clone());
                }
            }
            let unlink = self.keys.unlink(&space.name);
            let number = |name: u32| {
                let name = &part.names[name as usize];
                space.names.iter().position(|known| known == name).unwrap() as u32
            };
            let mut operations = vec![Vec::new(); self.shards as usize];
            for item in &part.items {
                let event = number(item.name);
                let name = &space.names[event as usize];
                let tag = unlink.tag(name);
                if item.ensure_goal && !space.goals.contains(&event) {
                    space.goals.push(event);
                    for shard in &mut operations {
                        shard.push(Operation::Goal { event, tag });
                    }
                }
                let week = item.day.map(Day::week).filter(|_| name.starts_with("weekly"));
                let record = Operation::Record { event, tag, user: item.user, value: item.value, week, time: None };
                operations[item.user.shard(self.shards) as usize].push(record);
            }
            let small = space.names.iter().position(|name| name == "small");
            let sizing = Sizing { users_max: 1_000, false_positive_rate: 1e-9 };
            let limits = ShardLimits {
                combinations_per_goal: 5,
                weeks_per_event: 2,
                sizings: small.map(|event| (event as u32, sizing)).into_iter().collect(),
                ..ShardLimits::NONE
            };
            for (state, operations) in space.states.iter_mut().zip(&operations) {
                state.apply(operations, &unlink, &limits, Day::of_unix_s(self.now_s)).unwrap();
            }
        }
        let latest = Some(Day::of_unix_s(self.now_s).latest_week());
        batch.namespaces.iter().flat_map(|part| &part.items).any(|item| item.day.map(Day::week) > latest)
    }

    /// Everything that it would store, in the clear.
    pub fn state(&self) -> Vec<Stored> {
        let stored = |space: &Space| Stored {
            name: space.name.clone(),
            names: space.names.clone(),
            goals: space.goals.clone(),
            shards: space.states.iter().map(|state| snapshot::encode_all(state).concat()).collect(),
        };
        self.namespaces.iter().map(stored).collect()
    }
}

/// What is stored of a namespace.
#[derive(Debug, PartialEq)]
pub struct Stored {
    name: String,
    names: Vec<String>,
    goals: Vec<u32>,
    shards: Vec<Vec<u8>>,
}
