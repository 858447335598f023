//! The query of GET /v0/series, and the body of POST /v0/series.

use super::scalar::{Object, Scalar};
use super::{BadRequest, DEFAULT_NAMESPACE, Fault, Query, check_name, name, namespace_of, required, text};
use crate::core::periods::day::Day;
use crate::core::periods::period::{Period, Unit, Units};
use crate::core::settings::limits::{RequestLimits, SERIES_POINTS, SERIES_POINTS_SHOWN};

/// What GET /v0/series is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesQuery<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// Whose series.
    pub whose: Whose<'a>,
    /// The first period.
    pub from: Period,
    /// The last one, of the same unit.
    pub to: Period,
    /// Whether as many periods before them are asked for too.
    pub is_compared: bool,
}

/// Whose series is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    /// Of anybody.
    Anybody,
    /// Of the event of this name.
    Event(&'a str),
    /// Of every event.
    Events,
}

/// Reads the query of GET /v0/series on a day: without a range, of the last 30 days, 12 weeks or 12 months.
///
/// # Errors
/// [`BadRequest`] naming the parameter that is wrong.
///
/// # Example
/// ```
/// use kimball_edge::core::periods::day::Day;
/// use kimball_edge::core::requests::{Query, Whose, parse_series};
/// use kimball_edge::core::settings::limits::RequestLimits;
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let (query, today) = (Query::parse("event=Login&unit=week").unwrap(), Day::parse("2026-11-27").unwrap());
/// let asked = parse_series(&query, &limits, today).unwrap();
/// assert_eq!(asked.whose, Whose::Event("Login"));
/// assert_eq!([asked.from, asked.to].map(|week| week.to_string()), ["2026-W37", "2026-W48"]);
/// ```
pub fn parse_series<'a>(query: &'a Query, limits: &RequestLimits, today: Day) -> Result<SeriesQuery<'a>, BadRequest> {
    let namespace = namespace_of(query, limits)?;
    let whose = match query.get("event")? {
        None => Whose::Anybody,
        Some("*") => Whose::Events,
        Some(name) => {
            let name = check_name(name, limits.name_bytes);
            Whose::Event(name.map_err(|fault| BadRequest::Parameter { parameter: "event", fault })?)
        }
    };
    let unit = match query.get("unit")? {
        None => Unit::Day,
        Some(name) => Unit::of_name(name).ok_or_else(|| wrong("unit", "must be day, week or month"))?,
    };
    let is_compared = match query.get("compare")? {
        None => false,
        Some("previous") => true,
        Some(_) => return Err(wrong("compare", "must be previous")),
    };
    let from = day(query, "from")?;
    let to = Period::of(unit, day(query, "to")?.unwrap_or_else(|| from.map_or(today, |from| today.max(from))));
    let shown = SERIES_POINTS_SHOWN.get(unit.index()).copied().unwrap_or(1);
    let from = from.map_or_else(|| to.before(shown - 1), |from| Period::of(unit, from));
    if from > to {
        return Err(wrong("from", "must not be after to"));
    }
    let most = SERIES_POINTS.get(unit.index()).copied().unwrap_or(1);
    if from < to.before(most - 1) {
        return Err(wrong("from", "must be at most 400 days, 260 weeks or 120 months before to"));
    }
    Ok(SeriesQuery { namespace, whose, from, to, is_compared })
}

/// The series that an event is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSeries {
    /// The namespace.
    pub namespace: String,
    /// The event.
    pub event: String,
    /// Its units.
    pub units: Units,
}

/// Reads the body of POST /v0/series.
///
/// # Errors
/// [`BadRequest`] for the first thing that is wrong.
///
/// # Example
/// ```
/// use kimball_edge::core::{periods::period::Units, requests::parse_new_series, settings::limits::RequestLimits};
/// let limits = RequestLimits { body_bytes: 1000, batch_events: 10, batch_namespaces: 9, name_bytes: 256 };
/// let parsed = parse_new_series(br#"{"event": "Login", "units": ["day", "month"]}"#, &limits).unwrap();
/// assert_eq!((parsed.namespace.as_str(), parsed.units.bits()), ("default", 5));
/// assert!(parse_new_series(br#"{"event": "Login", "units": ["hour"]}"#, &limits).is_err());
/// ```
pub fn parse_new_series(body: &[u8], limits: &RequestLimits) -> Result<NewSeries, BadRequest> {
    let body = text(body)?;
    let object = Object::<3>::parse(body, ["event", "namespace", "units"])?;
    let [event, namespace, units] = &object.values;
    let event = required(name(event, limits, None, "event")?, None, "event")?.to_owned();
    let namespace = name(namespace, limits, None, "namespace")?.unwrap_or(DEFAULT_NAMESPACE).to_owned();
    let refused = |fault| BadRequest::Field { index: None, field: "units", fault };
    if *units == Scalar::Absent {
        return Err(refused(Fault::Missing));
    }
    let must = "must be a list of day, week and month";
    let list: UnitList = serde_json::from_str(body).map_err(|_| refused(Fault::Invalid(must)))?;
    let named = list.units.iter().map(|name| Unit::of_name(name).map(|unit| 1 << unit.index()));
    let bits: Option<Vec<u8>> = named.collect();
    let bits = bits.ok_or_else(|| refused(Fault::Invalid(must)))?.into_iter().fold(0, |bits, bit| bits | bit);
    Ok(NewSeries { namespace, event, units: Units::of_bits(bits) })
}

#[derive(serde::Deserialize)]
struct UnitList<'a> {
    #[serde(borrow)]
    units: Vec<std::borrow::Cow<'a, str>>,
}

fn day(query: &Query, parameter: &'static str) -> Result<Option<Day>, BadRequest> {
    let Some(text) = query.get(parameter)? else {
        return Ok(None);
    };
    Day::parse(text).map(Some).ok_or_else(|| wrong(parameter, "must be a day, as in 2026-11-28"))
}

fn wrong(parameter: &'static str, must: &'static str) -> BadRequest {
    BadRequest::Parameter { parameter, fault: Fault::Invalid(must) }
}
