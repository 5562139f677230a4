//! How long messages took.

use std::time::Duration;

use serde_json::{Value, json};

/// The most samples that are kept; later ones are left out, and the report shows how many there
/// are.
const MOST: usize = 4_000_000;

/// The time from sending to receiving each measured message.
#[derive(Debug, Default)]
pub struct Latency {
    nanoseconds: Vec<u64>,
}

impl Latency {
    pub fn add(&mut self, sample: Duration) {
        if self.nanoseconds.len() < MOST {
            self.nanoseconds.push(sample.as_nanos() as u64);
        }
    }

    /// The quantiles in microseconds.
    pub fn report(mut self) -> Value {
        self.nanoseconds.sort_unstable();
        let quantile = |share| self.quantile(share).map(|nanoseconds| nanoseconds as f64 / 1e3);
        json!({
            "samples": self.nanoseconds.len(),
            "p50_us": quantile(0.5),
            "p99_us": quantile(0.99),
            "p99_9_us": quantile(0.999),
            "max_us": quantile(1.0),
        })
    }

    /// The smallest sample that at least `share` of the sorted samples do not exceed.
    fn quantile(&self, share: f64) -> Option<u64> {
        let rank = (share * self.nanoseconds.len() as f64).ceil() as usize;
        self.nanoseconds.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut latency = Latency::default();
        (1..=1_000).for_each(|micros| latency.add(Duration::from_micros(micros)));
        let report = latency.report();
        assert_eq!(report["p50_us"], 500.0);
        assert_eq!(report["p99_us"], 990.0);
        assert_eq!(report["max_us"], 1_000.0);
        assert_eq!(report["p99_9_us"], 999.0);
    }

    #[test]
    fn no_samples_have_no_quantiles() {
        assert_eq!(Latency::default().report()["p50_us"], Value::Null);
    }
}
