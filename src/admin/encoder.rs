//! Encoding metrics whose values come from elsewhere.

use std::fmt::{self, Display};
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use townhall::DurationHistogram;

/// Encodes one metric after another.
pub struct Encoder<'e>(pub DescriptorEncoder<'e>);

impl Encoder<'_> {
    pub fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    /// A counter. Its name gets the suffix `_total`.
    pub fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    /// A counter for each value of a label.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        counts: impl IntoIterator<Item = (impl Display, u64)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in counts {
            let labels = [(label, value.to_string())];
            let mut encoder = encoder.encode_family(&labels)?;
            encoder.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    /// A histogram of durations, in seconds.
    pub fn histogram(&mut self, name: &str, help: &str, times: &DurationHistogram) -> fmt::Result {
        let seconds = |time: Duration| time.as_secs_f64();
        let ranges = times.ranges();
        let ranges = ranges.map(|(bound, count)| (bound.map_or(f64::INFINITY, seconds), count));
        let ranges: Vec<_> = ranges.collect();
        let sum = seconds(times.total());
        let count = ranges.iter().map(|(_, count)| count).sum();
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        encoder.encode_histogram::<NoLabelSet>(sum, count, &ranges, None)
    }
}
