//! Metrics as text (Prometheus text format 0.0.4), bounded.
//!
//! Every sample becomes text at once: the crate's own form of one takes several times the memory, and an answer may
//! have a hundred thousand.

use std::cell::Cell;
use std::rc::Rc;

use prometheus::TextEncoder;
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType, Summary};

use crate::api::code::Code;
use crate::core::settings::limits::METRICS_BYTES;
use crate::edge::http::error::ApiError;
use crate::edge::http::response::Reply;
use crate::messages::shard::Durations;

/// The names and values of a sample's labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text of families of metrics, in their order. Those without samples are left out.
pub struct Families {
    text: String,
    /// Of this and all that began beside it.
    bytes: Rc<Cell<u64>>,
    bytes_max: u64,
}

impl Families {
    /// No families yet, and at most so many bytes of them.
    pub fn new(bytes_max: u64) -> Self {
        Self { text: String::new(), bytes: Rc::default(), bytes_max }
    }

    /// Further families, written at the same time and held to the same limit together.
    pub fn beside(&self) -> Self {
        Self { text: String::new(), bytes: Rc::clone(&self.bytes), bytes_max: self.bytes_max }
    }

    /// Begins a family of gauges.
    pub fn gauges(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::GAUGE)
    }

    /// Begins a family of counters.
    pub fn counters(&mut self, name: &str, help: &str) -> Family<'_> {
        self.family(name, help, MetricType::COUNTER)
    }

    /// Adds a summary without quantiles, its sum in units of `unit_ms` milliseconds.
    ///
    /// # Errors
    /// As [`Family::sample`].
    pub fn summary(&mut self, name: &str, help: &str, durations: Durations, unit_ms: f64) -> Result<(), ApiError> {
        let mut summary = Summary::default();
        summary.set_sample_count(durations.count);
        summary.set_sample_sum(durations.sum_ms as f64 / unit_ms);
        let mut metric = Metric::default();
        metric.set_summary(summary);
        self.family(name, help, MetricType::SUMMARY).write(metric)
    }

    fn family(&mut self, name: &str, help: &str, r#type: MetricType) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(r#type);
        Family { metrics: family, families: self, r#type, has_head: false }
    }

    /// Adds the families of another that began beside this one.
    pub fn append(&mut self, other: &Self) {
        self.text.push_str(&other.text);
    }

    /// The answer.
    pub fn reply(self) -> Reply {
        Reply::metrics(self.text)
    }
}

/// One family that samples are added to.
pub struct Family<'a> {
    metrics: MetricFamily,
    families: &'a mut Families,
    r#type: MetricType,
    has_head: bool,
}

impl Family<'_> {
    /// Adds a sample.
    ///
    /// # Errors
    /// [`Code::MetricsTooLarge`] when all samples together take more than the limit.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) -> Result<(), ApiError> {
        let mut metric = Metric::default();
        metric.set_label(labels.iter().map(|&(name, value)| label(name, value)).collect());
        if self.r#type == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.write(metric)
    }

    fn write(&mut self, metric: Metric) -> Result<(), ApiError> {
        self.metrics.set_metric(vec![metric]);
        let mut text = String::new();
        TextEncoder::new()
            .encode_utf8(std::slice::from_ref(&self.metrics), &mut text)
            .map_err(|error| ApiError::storage(&worker::Error::from(error.to_string())))?;
        // The encoder writes `# HELP` and `# TYPE` each time; a family has them once.
        let is_head = |line: &&str| line.starts_with('#');
        let head_bytes = text.split_inclusive('\n').take_while(is_head).map(str::len).sum();
        let text = if self.has_head { text.split_at(head_bytes).1 } else { &text };
        self.has_head = true;
        let Families { text: all, bytes, bytes_max } = &mut *self.families;
        bytes.set(bytes.get() + text.len() as u64);
        if bytes.get() > *bytes_max {
            let what = "there are too many metrics for one answer; ask for one namespace by ?namespace=";
            return Err(ApiError::limit(Code::MetricsTooLarge, what, METRICS_BYTES.name, *bytes_max));
        }
        all.push_str(text);
        Ok(())
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
