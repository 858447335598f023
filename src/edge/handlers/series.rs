//! /v0/series.

use crate::api::code::Code;
use crate::core::answers::gate::Gated;
use crate::core::answers::series::{Calendar, EventSeries, EverySeries, KeptSeries, Series};
use crate::core::order::sorted;
use crate::core::periods::day::Day;
use crate::core::periods::period::{Kept, Period, Unit, Units};
use crate::core::requests::{
    DEFAULT_NAMESPACE, NewSeries, SeriesQuery, Whose, namespace_of, parse_new_series, parse_series,
};
use crate::core::settings::limits::{SERIES_EVENTS, TIME_FINGERPRINTS};
use crate::core::state::series_report::SeriesReport;
use crate::edge::gateway::ask::{ask_registry, ask_shards};
use crate::edge::gateway::keys::keys;
use crate::edge::gateway::namespace::{self, Namespace};
use crate::edge::gateway::reports;
use crate::edge::host::clock;
use crate::edge::http::body::read_json;
use crate::edge::http::call::Call;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::registry::{PutSeries, SeriesPut};
use crate::messages::shard::{Adopt, SeriesOf};

/// The periods of a range, and those before it.
struct Ranges {
    asked: (Period, Period),
    previous: Option<(Period, Period)>,
}

impl Ranges {
    fn of(asked: &SeriesQuery<'_>) -> Self {
        let (from, to) = (asked.from, asked.to);
        let periods = list((from, to)).count();
        let previous = asked.is_compared.then(|| (from.before(periods), from.before(1)));
        Self { asked: (from, to), previous }
    }

    /// The range that has both.
    fn all(&self) -> (Period, Period) {
        (self.previous.map_or(self.asked.0, |(from, _)| from), self.asked.1)
    }
}

fn list((from, to): (Period, Period)) -> impl Iterator<Item = Period> + Clone {
    from.until(to.last_day())
}

/// GET: the users of an event, of every event or of anybody by day, week or month.
///
/// # Errors
/// When there is no such namespace or event, or a shard cannot be read: never a part of the numbers.
pub async fn read(call: Call<'_>) -> Result<Reply, ApiError> {
    let name = namespace_of(&call.query, &call.config.request)?;
    let keys = keys(call.env, call.config).await?;
    let namespace = namespace::look_up(call.env, &keys, name).await?;
    let today = namespace.as_ref().map_or_else(clock::today, |namespace| namespace.today());
    let asked = parse_series(&call.query, &call.config.request, today)?;
    let ranges = Ranges::of(&asked);
    let Some(namespace) = namespace else {
        return of_nobody(&call, &asked, &ranges);
    };
    let calendar = calendar(&call, &namespace);
    match asked.whose {
        Whose::Anybody if !call.config.has_series() => Reply::json(&without_series(&calendar, None, &asked)),
        Whose::Anybody => {
            let gated = reports::series(call.env, call.config, &namespace, SeriesOf::Anybody, ranges.all()).await?;
            Reply::json(&one(&calendar, &gated, None, None, &ranges))
        }
        Whose::Event(name) => {
            let event = number(&namespace, name).ok_or_else(unknown_event)?;
            let kept = namespace.kept(event, call.config);
            if !kept.shows(asked.from.unit(), today) {
                return Reply::json(&without_series(&calendar, Some(name), &asked));
            }
            let of = SeriesOf::Event(event);
            let gated = reports::series(call.env, call.config, &namespace, of, ranges.all()).await?;
            let calendar = calendar.begun(kept.begun(asked.from.unit()));
            Reply::json(&one(&calendar, &gated, Some(name), Some(event), &ranges))
        }
        Whose::Events => {
            let gated = reports::series(call.env, call.config, &namespace, SeriesOf::Events, ranges.all()).await?;
            Reply::json(&every(&call, &calendar, &gated, &namespace, &ranges))
        }
    }
}

/// POST: changes the units that an event has series of, from the next day on.
///
/// # Errors
/// When the body is malformed, there is no such namespace or event, as many events as may have series have some, or the registry
/// or a shard cannot be reached.
pub async fn put(call: Call<'_>) -> Result<Reply, ApiError> {
    let body = read_json(&call.request, call.config).await?;
    let (asked, _lease) = body.parse(async |body| parse_new_series(body, &call.config.request), |_| 0).await?;
    let NewSeries { namespace, event, units } = asked;
    if units != Units::NONE && !call.config.has_series() {
        return Err(ApiError::limit(Code::SeriesFull, "series are switched off", TIME_FINGERPRINTS.name, 0));
    }
    let question = PutSeries { namespace, event, units: units.bits() };
    let (is_new, kept) = match ask_registry(call.env, &question).await? {
        SeriesPut::Done { is_new, series, shards, incarnation } => {
            ask_shards(call.env, &question.namespace, shards, &Adopt { incarnation }, |()| ()).await?;
            (is_new, Kept::from(series))
        }
        SeriesPut::NoNamespace => return Err(ApiError::no_namespace()),
        SeriesPut::NoEvent => return Err(unknown_event()),
        SeriesPut::Full => {
            let what = "as many events as may have series have some";
            return Err(ApiError::limit(Code::SeriesFull, what, SERIES_EVENTS.name, call.config.series_events_max));
        }
    };
    let units = kept.units.iter().map(Unit::name).collect();
    let reply = Reply::json(&KeptSeries { event: &question.event, units, from: kept.since.map(Day::date_text) })?;
    Ok(if is_new { reply.with_status(201) } else { reply })
}

fn calendar(call: &Call<'_>, namespace: &Namespace) -> Calendar {
    Calendar {
        today: namespace.today(),
        lateness_days: call.config.lateness_days.into(),
        since: namespace.since.and_then(|since| Day::of_number(since.day.into())),
        has_earlier: namespace.since.is_some_and(|since| since.has_earlier),
    }
}

/// The answer of a namespace that does not exist; `default` always does to those who look.
fn of_nobody(call: &Call<'_>, asked: &SeriesQuery<'_>, ranges: &Ranges) -> Result<Reply, ApiError> {
    if asked.namespace != DEFAULT_NAMESPACE {
        return Err(ApiError::no_namespace());
    }
    let today = clock::today();
    let calendar =
        Calendar { today, lateness_days: call.config.lateness_days.into(), since: Some(today), has_earlier: false };
    let gated = Gated::new(SeriesReport::default(), reports::gate(call.config, None));
    match asked.whose {
        Whose::Anybody => Reply::json(&one(&calendar, &gated, None, None, ranges)),
        Whose::Event(_) => Err(unknown_event()),
        Whose::Events => {
            let (unit, since) = (asked.from.unit().name(), calendar.since_text());
            Reply::json(&EverySeries { unit, since, series: Vec::new() })
        }
    }
}

fn one<'a>(
    calendar: &Calendar,
    gated: &Gated<SeriesReport>,
    name: Option<&'a str>,
    event: Option<u32>,
    ranges: &Ranges,
) -> Series<'a> {
    Series {
        event: name,
        unit: ranges.asked.0.unit().name(),
        since: calendar.since_text(),
        series: None,
        points: calendar.points(gated, event, list(ranges.asked)),
        previous: ranges.previous.and_then(|range| calendar.previous(gated, event, list(range))),
    }
}

/// The answer of an event, or of anybody, that has no series of the unit.
fn without_series<'a>(calendar: &Calendar, event: Option<&'a str>, asked: &SeriesQuery<'_>) -> Series<'a> {
    let (unit, since) = (asked.from.unit().name(), calendar.since_text());
    Series { event, unit, since, series: Some(false), points: Vec::new(), previous: None }
}

fn every<'a>(
    call: &Call<'_>,
    calendar: &Calendar,
    gated: &Gated<SeriesReport>,
    namespace: &'a Namespace,
    ranges: &Ranges,
) -> EverySeries<'a> {
    let unit = ranges.asked.0.unit();
    let events = (0_u32..).zip(&namespace.names);
    let has_unit = |event| namespace.kept(event, call.config).shows(unit, calendar.today);
    let events = events.filter(|&(event, _)| namespace.has_event(event) && has_unit(event));
    let events = sorted(events.collect(), |(_, a), (_, b)| a.cmp(b));
    let of_event = |(event, name): (u32, &'a String)| {
        let calendar = calendar.begun(namespace.kept(event, call.config).begun(unit));
        let points = calendar.points(gated, Some(event), list(ranges.asked));
        let previous = ranges.previous.and_then(|range| calendar.previous(gated, Some(event), list(range)));
        EventSeries { event: name, points, previous }
    };
    let series = events.into_iter().map(of_event).collect();
    EverySeries { unit: unit.name(), since: calendar.since_text(), series }
}

fn number(namespace: &Namespace, name: &str) -> Option<u32> {
    (0..).zip(&namespace.names).find(|(_, known)| *known == name && !name.is_empty()).map(|(event, _)| event)
}

fn unknown_event() -> ApiError {
    ApiError::new(Code::NoEvent, "there is no event of this name in the namespace")
}
