//! What bodies may hold; the bounds of lengths are added from `core::limits`. These types describe; `core::request` reads, and a test sends every example of this document.
#![allow(dead_code, reason = "nothing makes a value of a type that only describes")]
#![allow(clippy::struct_field_names, reason = "the names are those of the API")]

use serde::Serialize;
use utoipa::ToSchema;

use crate::core::answers::prediction::{EventPredictions, GoalPredictions};
use crate::core::answers::retention::{Lapsed, RetentionGrid, Retentions};
use crate::core::answers::series::{EverySeries, Series};

/// A name: any printable text with a visible character, of at most 256 bytes of UTF-8.
#[derive(Serialize, ToSchema)]
pub struct Name(String);

/// The name of a property of a user: any printable text, of at most 256 bytes of UTF-8.
#[derive(Serialize, ToSchema)]
pub struct PropertyName(String);

/// A date and time of RFC 3339.
#[derive(Serialize, ToSchema)]
pub struct Time(String);

/// A whole number of 64 bits, signed or not.
#[derive(Serialize, ToSchema)]
pub struct WholeNumber(i128);

/// A user id that is a string, of at most 256 bytes of UTF-8.
#[derive(Serialize, ToSchema)]
pub struct UserText(String);

/// A user id: a string, or an integer, which means its decimal string.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum UserId {
    Text(UserText),
    Number(WholeNumber),
}

/// What tells an event from others, of 1 to 256 bytes of UTF-8.
#[derive(Serialize, ToSchema)]
pub struct EventId(String);

/// What a sender keeps of its events: first occurrences of weeks, of days, or whatever a funnel can depend on.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kept {
    Week,
    Day,
    Order,
}

/// Something that a user did.
#[derive(Serialize, ToSchema)]
pub struct Event {
    /// What was done. Any printable text of at most 256 bytes of UTF-8.
    pub event_name: Name,
    /// Who did it.
    pub user_id: UserId,
    /// Where it counts; `default` where absent.
    pub namespace: Option<Name>,
    /// True makes the event a goal first. Needs an admin token, or `INGEST_MAY_ADD_GOALS=true`.
    pub ensure_goal: Option<bool>,
    /// Added to the event's sum if this is the user's first occurrence of it.
    #[schema(minimum = -1e300, maximum = 1e300)]
    pub value: Option<f64>,
    /// Chooses the day that it counts in, and its week and month; now where absent.
    pub datetime: Option<Time>,
    /// Tells it from others when it is sent again: 1 to 256 bytes.
    pub id: Option<EventId>,
}

/// Events in their order, at most 10,000 of them.
#[derive(Serialize, ToSchema)]
pub struct EventBatch {
    /// A goal later in the list sees the events before it.
    pub events: EventList,
    /// What the sender keeps of its events.
    pub kept: Option<Kept>,
}

/// Events in their order.
#[derive(Serialize, ToSchema)]
pub struct EventList(Vec<Event>);

/// One event, an object with `events`, or a bare list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum NewEvents {
    One(Event),
    Batch(EventBatch),
    List(EventList),
}

/// An event that is to be a goal.
#[derive(Serialize, ToSchema)]
pub struct NewGoal {
    /// The event. It need not exist yet.
    pub goal_name: Name,
    /// Its namespace; `default` where absent.
    pub namespace: Option<Name>,
}

/// A namespace that is to be there, and its settings.
#[derive(Serialize, ToSchema)]
pub struct NewNamespace {
    /// Its name.
    pub namespace: Name,
    /// The least users of a group of which answers show the number; where absent, it stays as it is.
    #[schema(minimum = 0, maximum = 1000)]
    pub group_users_min: Option<u64>,
    /// Its number of shards, where it is made and is to have another than `SHARDS`.
    #[schema(minimum = 1, maximum = 64)]
    pub shards: Option<u32>,
    /// `replay` before the first event, to load history; `live` ends that.
    pub clock: Option<Clock>,
}

/// What a namespace takes for the present day.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    Live,
    Replay,
}

/// A feature flag: on where `boolean` is true, else where a condition matches, else for the share of users that its
/// rollout has reached.
#[derive(Serialize, ToSchema)]
pub struct FeatureSpec {
    /// Its name. Any printable text of at most 256 bytes of UTF-8.
    pub name: Name,
    /// On for everybody, if true.
    pub boolean: Option<bool>,
    /// When the rollout starts. Needs `rollout_end`; now where only that is given.
    pub rollout_start: Option<Time>,
    /// When the rollout has reached everybody. Not before its start.
    pub rollout_end: Option<Time>,
    /// Any one of these switches the flag on.
    pub user: Option<Conditions>,
}

/// A feature flag as it is answered.
#[derive(Serialize, ToSchema)]
pub struct ShownFeatureSpec {
    /// Its name.
    pub name: String,
    /// On for everybody, if true.
    pub boolean: bool,
    /// When the rollout starts; absent where there is none.
    #[schema(nullable = false)]
    pub rollout_start: Option<Time>,
    /// When the rollout has reached everybody; absent where there is none.
    #[schema(nullable = false)]
    pub rollout_end: Option<Time>,
    /// Any one of these switches the flag on; empty where there are none.
    pub user: Conditions,
    /// Where the end of a running rollout was changed: what it goes on from.
    pub rollout_reached: Option<RolloutReached>,
}

/// How far a rollout had come when its end was changed.
#[derive(Serialize, ToSchema)]
pub struct RolloutReached {
    /// When that was.
    pub at: Time,
    /// The share of users who had the flag then.
    #[schema(minimum = 0.0, maximum = 1.0)]
    pub share: f64,
}

/// Conditions, any of which is enough.
#[derive(Serialize, ToSchema)]
pub struct Conditions(Vec<Condition>);

/// A condition on a property of a user.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Condition {
    Equals(EqualsCondition),
    In(InCondition),
}

/// The property has this value.
#[derive(Serialize, ToSchema)]
pub struct EqualsCondition {
    /// The name of the property.
    pub property: PropertyName,
    #[schema(inline)]
    pub comparator: Equals,
    /// What it must be.
    #[schema(inline)]
    pub value: PropertyValue,
}

/// The property has one of these values.
#[derive(Serialize, ToSchema)]
pub struct InCondition {
    /// The name of the property.
    pub property: PropertyName,
    #[schema(inline)]
    pub comparator: In,
    /// What it may be, all of one type.
    #[schema(inline)]
    pub value: PropertyValues,
}

#[derive(Serialize, ToSchema)]
pub enum Equals {
    #[schema(rename = "=")]
    Equals,
}

#[derive(Serialize, ToSchema)]
pub enum In {
    #[schema(rename = "in")]
    In,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PropertyValue {
    Text(PropertyText),
    Number(WholeNumber),
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PropertyValues {
    Texts(PropertyTexts),
    Numbers(PropertyNumbers),
}

/// A text of at most 256 bytes of UTF-8.
#[derive(Serialize, ToSchema)]
pub struct PropertyText(String);

/// Texts, any of which fits.
#[derive(Serialize, ToSchema)]
pub struct PropertyTexts(Vec<PropertyText>);

/// Whole numbers, any of which fits.
#[derive(Serialize, ToSchema)]
pub struct PropertyNumbers(Vec<WholeNumber>);

/// All flags.
#[derive(Serialize, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct FeatureSpecs {
    /// Ascending by name. Times are whole seconds of UTC.
    pub feature_specs: Vec<ShownFeatureSpec>,
}

/// The series that an event is to have.
#[derive(Serialize, ToSchema)]
pub struct NewSeries {
    /// The event.
    pub event: Name,
    /// Its namespace; `default` where absent.
    pub namespace: Option<Name>,
    /// What to count by.
    pub units: Vec<SeriesUnit>,
}

/// What a series counts by.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeriesUnit {
    Day,
    Week,
    Month,
}

/// A retention grid that is to be made.
#[derive(Serialize, ToSchema)]
pub struct NewRetention {
    /// Its name.
    pub name: Name,
    /// Its namespace; `default` where absent.
    pub namespace: Option<Name>,
    /// The event whose first occurrence ever puts a user into a cohort.
    pub start: Name,
    /// The event that is returned for; it may be the same.
    pub r#return: Name,
    /// What cohorts and returns are counted by.
    pub unit: SeriesUnit,
    /// How many periods behind its own a cohort is looked at.
    #[schema(minimum = 1, maximum = 31)]
    pub periods: u8,
}

/// The answer to GET /v0/retention: all grids, one, or who of it has not been seen for some time.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum AnyRetention {
    All(Retentions),
    One(RetentionGrid),
    Lapsed(Lapsed),
}

/// The answer to GET /v0/series: of one event or of anybody, or of every event.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum AnySeries {
    One(Series<'static>),
    Every(EverySeries<'static>),
}

/// Per goal what single events say of it, or what several events, or a user's, say together.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Predictions {
    Single(EventPredictions<'static>),
    Together(GoalPredictions<'static>),
}
