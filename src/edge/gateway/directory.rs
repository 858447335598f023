//! The directory: names of namespaces and events to shard counts and numbers.
//!
//! Events need the numbers of their own names only, and what an isolate has once learnt of them stays true: a name never
//! changes its meaning. So they are cached, and only what is missing is asked of the registry.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use worker::Env;

use super::ask::{ask, ask_registry, shard_name};
use super::definitions::encoded;
use super::deletions;
use super::namespace::{kept_of, today_of};
use crate::core::identity::{Keys, NameHash, UnlinkKey};
use crate::core::periods::day::Day;
use crate::core::requests::DEFAULT_NAMESPACE;
use crate::core::settings::limits::{EVENTS_PER_TURN, NAME_CACHE_BYTES, REFUSAL_CACHE_MS};
use crate::edge::host::clock;
use crate::edge::host::config::Config;
use crate::edge::host::wire::encode;
use crate::edge::http::error::ApiError;
use crate::messages::Failure;
use crate::messages::definitions::DefinitionRecord;
use crate::messages::operations::Series;
use crate::messages::registry::{
    EventRecord, ListGoals, NameRefusal, NamesReply, REGISTRY_NAME, Register, Registered, Registrant, Registration,
    Replay,
};

/// Where the events of a namespace go.
pub struct Target {
    /// The namespace's name.
    pub name: String,
    /// Its number of shards.
    pub shards: u32,
    /// The incarnation that the numbers of its events are of.
    pub incarnation: u64,
    /// The key of its fingerprints.
    pub unlink: UnlinkKey,
    /// Its replay clock, if it is on one: then it is not cached, for the clock goes on with every batch.
    pub replay: Option<Replay>,
    /// Its definitions, as batches bring them to shards.
    pub definitions: Vec<u8>,
    known: RefCell<Known>,
}

/// What an isolate knows of a namespace's events.
struct Known {
    events: HashMap<String, Event, NameHash>,
    total: u64,
    refusing: Option<Refusing>,
}

impl Known {
    fn new(keys: &Keys) -> Self {
        Self { events: HashMap::with_hasher(keys.name_hash()), total: 0, refusing: None }
    }
}

/// How an event is named in messages to shards, and what is to be known of it to count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub number: u32,
    /// Its tag.
    pub tag: u64,
    /// Whether every shard knows it as a goal.
    pub is_goal: bool,
    /// The position of its setting in `COUNTERS`.
    pub setting: Option<usize>,
    /// The series that it has.
    pub series: Series,
}

/// A refusal of new names, repeated for a while without asking.
#[derive(Debug, Clone, Copy)]
struct Refusing {
    refusal: NameRefusal,
    since_ms: u64,
}

impl Refusing {
    fn now(refusal: NameRefusal) -> Self {
        Self { refusal, since_ms: clock::now_ms() }
    }

    fn is_fresh(&self) -> bool {
        clock::now_ms().abs_diff(self.since_ms) < REFUSAL_CACHE_MS
    }
}

/// What the names of one namespace of a batch are.
pub struct Resolved {
    /// The namespace, if it exists.
    pub target: Option<Rc<Target>>,
    /// Its events, in the order asked for.
    pub events: Vec<Result<Event, NameRefusal>>,
}

impl Resolved {
    /// Those of a namespace on a replay clock, of which nothing is cached.
    fn of_replay(
        asked: &Registration,
        (shards, incarnation, replay): (u32, u64, Replay),
        definitions: &[DefinitionRecord],
        records: Vec<Result<EventRecord, NameRefusal>>,
        config: &Config,
        keys: &Keys,
    ) -> Self {
        let (name, unlink) = (asked.namespace.clone(), keys.unlink(&asked.namespace));
        let (replay, definitions, known) = (Some(replay), encoded(definitions), RefCell::new(Known::new(keys)));
        let target = Rc::new(Target { name, shards, incarnation, unlink, replay, definitions, known });
        let events = asked.names.iter().zip(records);
        let events = events.map(|(name, record)| record.map(|record| target.learn(name, record, config).0)).collect();
        Self { target: Some(target), events }
    }
}

/// Namespaces in two generations: those used since the last change of generations, and those used before. Where the
/// first takes half of the room, the second is dropped. So what is in use stays, whatever else is asked for.
#[derive(Default)]
struct Cache {
    used: BTreeMap<String, Rc<Target>>,
    idle: BTreeMap<String, Rc<Target>>,
    used_bytes: usize,
    total: u64,
    refusing: Option<Refusing>,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// What an entry costs beside its name.
const ENTRY_BYTES: usize = 128;

impl Target {
    /// The present day of its batches.
    pub fn today(&self) -> Day {
        today_of(self.replay)
    }

    /// The name of the object that holds a shard.
    pub fn shard_name(&self, index: u32) -> String {
        shard_name(&self.name, index)
    }

    /// What is known of an event, if that can be told without asking: it is known, or new names are being refused and
    /// all others are known. Only refusals of ingest tokens are repeated so.
    fn answer(&self, name: &str, registrant: Registrant) -> Option<Result<Event, NameRefusal>> {
        let known = self.known.borrow();
        if let Some(&event) = known.events.get(name) {
            return Some(Ok(event));
        }
        let is_complete = known.events.len() as u64 == known.total;
        let refusing = known.refusing.filter(|refusing| is_complete && refusing.is_fresh())?;
        (registrant == Registrant::Ingest).then_some(Err(refusing.refusal))
    }

    /// Takes in what the registry says of an event; answers by how many bytes that grew.
    fn learn(&self, name: &str, record: EventRecord, config: &Config) -> (Event, usize) {
        let EventRecord { event: number, is_goal, series } = record;
        let mut known = self.known.borrow_mut();
        if let Some(former) = known.events.get_mut(name) {
            former.is_goal |= is_goal;
            return (*former, 0);
        }
        let (setting, series) = (config.counters.index_of(name), kept_of(number, series, config).into());
        let event = Event { number, tag: self.unlink.tag(name), is_goal, setting, series };
        known.events.insert(name.to_owned(), event);
        (event, ENTRY_BYTES + name.len())
    }

    fn refuse(&self, total: u64, refusal: Option<NameRefusal>) {
        let mut known = self.known.borrow_mut();
        known.total = total;
        known.refusing = refusal.map(Refusing::now);
    }
}

impl Cache {
    fn get(&mut self, namespace: &str) -> Option<Rc<Target>> {
        if let Some(target) = self.used.get(namespace) {
            return Some(Rc::clone(target));
        }
        let target = self.idle.remove(namespace)?;
        let names: usize = target.known.borrow().events.keys().map(|name| ENTRY_BYTES + name.len()).sum();
        self.put(Rc::clone(&target), ENTRY_BYTES + namespace.len() + target.definitions.len() + names);
        Some(target)
    }

    fn forget(&mut self, namespace: &str) {
        self.used.remove(namespace);
        self.idle.remove(namespace);
    }

    fn put(&mut self, target: Rc<Target>, bytes: usize) {
        self.grow(bytes);
        self.used.insert(target.name.clone(), target);
    }

    fn grow(&mut self, bytes: usize) {
        if self.used_bytes + bytes > NAME_CACHE_BYTES / 2 {
            self.idle = std::mem::take(&mut self.used);
            self.used_bytes = 0;
        }
        self.used_bytes += bytes;
    }

    /// The namespace as it is cached from now on.
    fn get_or_put(
        &mut self,
        namespace: &str,
        (shards, incarnation): (u32, u64),
        definitions: &[DefinitionRecord],
        keys: &Keys,
    ) -> Rc<Target> {
        // What is known of another incarnation is out of date.
        self.get(namespace).filter(|target| target.incarnation == incarnation).unwrap_or_else(|| {
            let (name, unlink) = (namespace.to_owned(), keys.unlink(namespace));
            let (definitions, known) = (encoded(definitions), RefCell::new(Known::new(keys)));
            let bytes = ENTRY_BYTES + namespace.len() + definitions.len();
            let target = Rc::new(Target { name, shards, incarnation, unlink, replay: None, definitions, known });
            self.put(Rc::clone(&target), bytes);
            target
        })
    }

    /// As [`Target::answer`], for a namespace that is not cached.
    fn refusal(&self, registrant: Registrant) -> Option<NameRefusal> {
        let is_complete = (self.used.len() + self.idle.len()) as u64 == self.total;
        let refusing = self.refusing.filter(|refusing| is_complete && refusing.is_fresh())?;
        (registrant == Registrant::Ingest).then_some(refusing.refusal)
    }

    /// What is known of the names of a namespace without asking; those that are not are left out, with their positions.
    fn resolve(&mut self, namespace: &str, names: &[String], registrant: Registrant) -> (Resolved, Vec<usize>) {
        let target = self.get(namespace);
        let (mut events, mut missing) = (Vec::with_capacity(names.len()), Vec::new());
        let may_be_refused = target.is_none() && namespace != DEFAULT_NAMESPACE;
        let refusal = if may_be_refused { self.refusal(registrant).map(Err) } else { None };
        for (position, name) in names.iter().enumerate() {
            let answer = target.as_ref().map_or(refusal, |target| target.answer(name, registrant));
            if answer.is_none() {
                missing.push(position);
            }
            // What is missing is refused until the registry has answered.
            events.push(answer.unwrap_or(Err(NameRefusal::EventUnknown)));
        }
        (Resolved { target, events }, missing)
    }

    /// Notes that there is no room for a new name of a namespace, or for the namespace.
    fn note_full(&mut self, namespace: Option<&str>, refusal: NameRefusal, names_total: u64, total: u64) {
        self.total = total;
        if refusal == NameRefusal::NamespacesFull {
            self.refusing = Some(Refusing::now(refusal));
        } else if let Some(target) = namespace.and_then(|namespace| self.get(namespace)) {
            target.refuse(names_total, Some(refusal));
        }
    }

    /// Takes in what the registry says of the missing names of a namespace.
    fn learn(&mut self, asked: &Registration, reply: NamesReply, config: &Config, keys: &Keys) -> Resolved {
        let (shards, incarnation, names_total, definitions, records) = match reply {
            NamesReply::Known { shards, incarnation, replay: Some(clock), definitions, events, .. } => {
                self.forget(&asked.namespace);
                return Resolved::of_replay(asked, (shards, incarnation, clock), &definitions, events, config, keys);
            }
            NamesReply::Known { shards, incarnation, names_total, definitions, events, .. } => {
                (shards, incarnation, names_total, definitions, events)
            }
            NamesReply::Refused(refusal @ NameRefusal::Replay) => {
                return Resolved { target: None, events: vec![Err(refusal); asked.names.len()] };
            }
            NamesReply::Refused(refusal) => {
                self.refusing = Some(Refusing::now(refusal));
                return Resolved { target: None, events: vec![Err(refusal); asked.names.len()] };
            }
        };
        let target = self.get_or_put(&asked.namespace, (shards, incarnation), &definitions, keys);
        let (mut refused, mut grown) = (None, 0);
        let events = asked.names.iter().zip(records).map(|(name, record)| {
            let learnt = record.map(|record| target.learn(name, record, config));
            refused = learnt.err().or(refused);
            learnt.map(|(event, bytes)| {
                grown += bytes;
                event
            })
        });
        let events = events.collect();
        self.grow(grown);
        // Where that changed generations, it is used again.
        self.get(&target.name);
        target.refuse(names_total, refused);
        Resolved { target: Some(target), events }
    }
}

/// Names of a namespace that are asked for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The names, each once.
    pub names: &'a [String],
    /// The numbers of the first and the last day that the events say, if they say one.
    pub days: Option<(u32, u32)>,
}

/// The events that these names stand for, in the order asked for. Those that are new are registered, as far as the
/// registrant may.
///
/// # Errors
/// When there is no room for a name, and then nothing was registered; or the registry cannot be reached.
pub async fn resolve(
    env: &Env,
    config: &Config,
    keys: &Keys,
    wanted: &[Wanted<'_>],
    registrant: Registrant,
) -> Result<Vec<Resolved>, ApiError> {
    let (mut resolved, mut asked, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut turn = Turn::default();
    for (place, &Wanted { namespace, names, days }) in wanted.iter().enumerate() {
        turn.take(names.len()).await;
        let (found, missing) = CACHE.with_borrow_mut(|cache| cache.resolve(namespace, names, registrant));
        refuse_full(&found, config)?;
        resolved.push(found);
        if !missing.is_empty() {
            let names = missing.iter().filter_map(|&position| names.get(position).cloned()).collect();
            asked.push(Registration { namespace: namespace.to_owned(), days, names });
            places.push((place, missing));
        }
    }
    if asked.is_empty() {
        return Ok(resolved);
    }
    let question = Register { registrations: asked.clone(), registrant };
    let (replies, total) = match ask_registry(env, &question).await? {
        Registered::Names { names, namespaces_total } => {
            deletions::finish_before(env, &names).await?;
            (names, namespaces_total)
        }
        Registered::Full { refusal, at, names_total, namespaces_total } => {
            let namespace = asked.get(at as usize).map(|asked| asked.namespace.as_str());
            CACHE.with_borrow_mut(|cache| cache.note_full(namespace, refusal, names_total, namespaces_total));
            return Err(full(refusal, config));
        }
    };
    CACHE.with_borrow_mut(|cache| cache.total = total);
    for ((asked, reply), (place, missing)) in asked.iter().zip(replies).zip(places) {
        turn.take(missing.len()).await;
        let learnt = CACHE.with_borrow_mut(|cache| cache.learn(asked, reply, config, keys));
        let Some(found) = resolved.get_mut(place) else {
            continue;
        };
        found.target = learnt.target;
        for (position, event) in missing.into_iter().zip(learnt.events) {
            if let Some(slot) = found.events.get_mut(position) {
                *slot = event;
            }
        }
    }
    Ok(resolved)
}

fn full(refusal: NameRefusal, config: &Config) -> ApiError {
    ApiError::full(refusal, config.namespaces_max, config.events_per_namespace_max)
}

fn refuse_full(resolved: &Resolved, config: &Config) -> Result<(), ApiError> {
    match resolved.events.iter().find_map(|event| event.err().filter(|refusal| refusal.is_full())) {
        Some(refusal) => Err(full(refusal, config)),
        None => Ok(()),
    }
}

/// Lets others in every [`EVENTS_PER_TURN`] names.
#[derive(Default)]
struct Turn {
    names: u64,
}

impl Turn {
    /// Begins to work on so many names.
    async fn take(&mut self, names: usize) {
        if self.names > EVENTS_PER_TURN {
            clock::let_others_in().await;
            self.names = 0;
        }
        self.names += names as u64;
    }
}

/// What became of something that was sent with numbers of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was carried out.
    Done,
    /// Something of the namespace was deleted meanwhile: the numbers have to be asked for again. What was carried out already
    /// changes nothing when it comes again.
    OtherIncarnation,
}

/// Forgets what the isolate knows of a namespace, for it is of another incarnation.
pub fn forget(namespace: &str) {
    CACHE.with_borrow_mut(|cache| cache.forget(namespace));
}

/// Lists goals that every shard knows of.
///
/// # Errors
/// When the registry cannot be reached.
pub async fn list_goals(env: &Env, target: &Target, events: Vec<u32>) -> Result<Sent, ApiError> {
    let (namespace, incarnation) = (target.name.clone(), target.incarnation);
    let question = encode(&ListGoals { namespace, incarnation, events: events.clone() });
    match ask::<ListGoals>(env, REGISTRY_NAME, question).await? {
        Ok(()) => {}
        Err(Failure::OtherIncarnation) => return Ok(Sent::OtherIncarnation),
        Err(failure) => return Err(failure.into()),
    }
    let listed: BTreeSet<u32> = events.into_iter().collect();
    for event in target.known.borrow_mut().events.values_mut() {
        event.is_goal |= listed.contains(&event.number);
    }
    Ok(Sent::Done)
}
