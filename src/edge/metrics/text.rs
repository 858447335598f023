//! Metrics as text (Prometheus text format 0.0.4), bounded.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType, Summary};
use prometheus::{Encoder, TextEncoder};

use super::record::Durations;
use crate::api::code::Code;
use crate::core::limits::METRICS_BYTES;
use crate::edge::error::ApiError;
use crate::edge::response::Reply;

/// The names and values of a sample's labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Families of metrics, in their order.
pub struct Families {
    list: Vec<MetricFamily>,
    bytes: u64,
    bytes_max: u64,
}

/// About what a sample takes beside its labels.
const SAMPLE_BYTES: u64 = 64;

impl Families {
    /// No families yet, and at most so many bytes of them, about.
    pub const fn new(bytes_max: u64) -> Self {
        Self { list: Vec::new(), bytes: 0, bytes_max }
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
    pub fn summary(&mut self, name: &str, help: &str, durations: Durations, unit_ms: f64) {
        let mut summary = Summary::default();
        summary.set_sample_count(durations.count);
        summary.set_sample_sum(durations.sum_ms as f64 / unit_ms);
        let mut metric = Metric::default();
        metric.set_summary(summary);
        self.family(name, help, MetricType::SUMMARY).metrics.set_metric(vec![metric]);
    }

    fn family(&mut self, name: &str, help: &str, r#type: MetricType) -> Family<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(r#type);
        Family { metrics: family, families: self, r#type }
    }

    /// Adds the families of another.
    pub fn append(&mut self, mut other: Self) {
        self.list.append(&mut other.list);
        self.bytes += other.bytes;
    }

    /// The answer. Families without samples are left out.
    ///
    /// # Errors
    /// When it would have too many bytes.
    pub fn reply(self) -> Result<Reply, ApiError> {
        let families: Vec<MetricFamily> =
            self.list.into_iter().filter(|family| !family.get_metric().is_empty()).collect();
        let mut text = Vec::new();
        TextEncoder::new()
            .encode(&families, &mut text)
            .map_err(|error| ApiError::storage(&worker::Error::from(error.to_string())))?;
        Ok(Reply::metrics(text))
    }
}

/// One family that samples are added to. It takes its place among the others when it is dropped.
pub struct Family<'a> {
    metrics: MetricFamily,
    families: &'a mut Families,
    r#type: MetricType,
}

impl Drop for Family<'_> {
    fn drop(&mut self) {
        self.families.list.push(std::mem::take(&mut self.metrics));
    }
}

impl Family<'_> {
    /// Adds a sample.
    ///
    /// # Errors
    /// [`Code::MetricsTooLarge`] when all samples together would take more than the limit.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) -> Result<(), ApiError> {
        let label_bytes: usize = labels.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.families.bytes += SAMPLE_BYTES + label_bytes as u64;
        let bytes_max = self.families.bytes_max;
        if self.families.bytes > bytes_max {
            let what = "there are too many metrics for one answer; ask for one namespace by ?namespace=";
            return Err(ApiError::limit(Code::MetricsTooLarge, what, METRICS_BYTES.name, bytes_max));
        }
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
        self.metrics.mut_metric().push(metric);
        Ok(())
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
