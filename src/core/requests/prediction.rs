//! The queries of GET /v0/predictions and GET /v0/nudges.

use std::collections::BTreeSet;

use super::{BadRequest, Fault, Query, check_name, namespace_of};
use crate::core::identity::{Keys, UserKey};
use crate::core::settings::limits::RequestLimits;

/// What GET /v0/predictions is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionQuery<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// What is known of the user in question.
    pub given: Given<'a>,
}

/// What predictions are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given<'a> {
    /// Nothing: what each event alone predicts is the question.
    Nothing,
    /// The names of events, at least one, each once.
    Events(BTreeSet<&'a str>),
    /// Everything that this user has done.
    User(UserKey),
}

/// What GET /v0/nudges is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NudgeQuery<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The goal.
    pub goal: &'a str,
    /// The user.
    pub user: UserKey,
    /// The user's raw id, for nothing but to be repeated in the answer.
    pub user_id: &'a str,
}

/// Reads the query of GET /v0/predictions.
///
/// # Errors
/// [`BadRequest`] naming the parameter that is wrong.
///
/// # Example
/// ```
/// use kimball_edge::core::identity::Keys;
/// use kimball_edge::core::requests::{Given, Query, parse_prediction};
/// use kimball_edge::core::settings::limits::RequestLimits;
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let query = Query::parse("event=Login&event=Sign+up&event=Login").unwrap();
/// let asked = parse_prediction(&query, &Keys::new(&[0; 32]), &limits).unwrap();
/// assert_eq!(asked.given, Given::Events(["Login", "Sign up"].into()));
/// ```
pub fn parse_prediction<'a>(
    query: &'a Query,
    keys: &Keys,
    limits: &RequestLimits,
) -> Result<PredictionQuery<'a>, BadRequest> {
    let namespace = namespace_of(query, limits)?;
    let events = query.all("event").map(|event| name(event, limits, "event")).collect::<Result<BTreeSet<_>, _>>()?;
    let user_id = user_id(query, limits)?;
    let given = match (events.is_empty(), user_id) {
        (true, None) => Given::Nothing,
        (false, None) => Given::Events(events),
        (true, Some(user_id)) => Given::User(keys.user(namespace, user_id)),
        (false, Some(_)) => {
            return Err(BadRequest::Parameter {
                parameter: "user_id",
                fault: Fault::Invalid("must not come together with `event`"),
            });
        }
    };
    Ok(PredictionQuery { namespace, given })
}

/// Reads the query of GET /v0/nudges.
///
/// # Errors
/// [`BadRequest`] naming the parameter that is absent or wrong.
pub fn parse_nudge<'a>(query: &'a Query, keys: &Keys, limits: &RequestLimits) -> Result<NudgeQuery<'a>, BadRequest> {
    let missing = |parameter| BadRequest::Parameter { parameter, fault: Fault::Missing };
    let namespace = namespace_of(query, limits)?;
    let goal = name(query.get("goal")?.ok_or_else(|| missing("goal"))?, limits, "goal")?;
    let user_id = user_id(query, limits)?.ok_or_else(|| missing("user_id"))?;
    Ok(NudgeQuery { namespace, goal, user: keys.user(namespace, user_id), user_id })
}

fn name<'a>(text: &'a str, limits: &RequestLimits, parameter: &'static str) -> Result<&'a str, BadRequest> {
    check_name(text, limits.name_bytes).map_err(|fault| BadRequest::Parameter { parameter, fault })
}

fn user_id<'a>(query: &'a Query, limits: &RequestLimits) -> Result<Option<&'a str>, BadRequest> {
    let fault = match query.get("user_id")? {
        None => return Ok(None),
        Some("") => Fault::Invalid("must not be empty"),
        Some(text) if text.len() as u64 > limits.name_bytes => Fault::TooLong { limit: limits.name_bytes },
        Some(text) => return Ok(Some(text)),
    };
    Err(BadRequest::Parameter { parameter: "user_id", fault })
}
