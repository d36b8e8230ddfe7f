//! The functions' metrics since the start, as CloudWatch aggregates them: the same lines of
//! embedded metric format, each metric under each set of dimensions that its line names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use otp::platform::metrics::Metrics;
use serde_json::{Value, json};

/// Upper bounds of the buckets of a histogram; one more bucket holds longer times.
const BUCKETS_UP_TO_SECONDS: [i64; 11] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];

/// The recorded metrics. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct RecordedMetrics(Arc<Mutex<BTreeMap<Series, Counts>>>);

/// One metric under one set of dimensions.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    dimensions: BTreeMap<String, String>,
    is_duration: bool,
}

/// How often each value was recorded. Durations are whole seconds, so there are few values.
type Counts = BTreeMap<i64, u64>;

impl RecordedMetrics {
    /// A sink for a function in this process.
    pub(crate) fn sink(&self) -> Metrics {
        let recorded = self.clone();
        Metrics::to_sink(move |line| {
            recorded.ingest(line);
        })
    }

    /// Records the metrics of a line of embedded metric format. Returns whether the line has
    /// nothing else.
    pub(crate) fn ingest(&self, line: &str) -> bool {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        for directive in elements(&line["_aws"]["CloudWatchMetrics"]) {
            for dimension_names in elements(&directive["Dimensions"]) {
                for metric in elements(&directive["Metrics"]) {
                    self.record(&line, dimension_names, metric);
                }
            }
        }
        !line["_aws"].is_null() && line["message"].is_null()
    }

    /// Records one metric of `line`, unless its value or a dimension is missing.
    fn record(&self, line: &Value, dimension_names: &Value, metric: &Value) {
        let dimensions = elements(dimension_names)
            .map(|name| {
                let name = name.as_str()?;
                Some((name.to_owned(), line[name].as_str()?.to_owned()))
            })
            .collect::<Option<_>>();
        let name = metric["Name"].as_str().unwrap_or_default();
        let (Some(dimensions), Some(value)) = (dimensions, line[name].as_i64()) else {
            return;
        };
        let series = Series {
            name: name.to_owned(),
            dimensions,
            is_duration: metric["Unit"] == "Seconds",
        };
        let mut recorded = self.lock();
        *recorded
            .entry(series)
            .or_default()
            .entry(value)
            .or_default() += 1;
    }

    /// All metrics: sums of counts, histograms of durations.
    pub(crate) fn to_json(&self) -> Value {
        let render = |(series, counts): (&Series, &Counts)| {
            let mut metric = if series.is_duration {
                histogram(counts)
            } else {
                json!({"sum": sum(counts)})
            };
            metric["name"] = json!(series.name);
            metric["dimensions"] = json!(series.dimensions);
            metric
        };
        self.lock().iter().map(render).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Series, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn sum(counts: &Counts) -> i64 {
    counts
        .iter()
        .map(|(value, count)| value.saturating_mul(i64::try_from(*count).unwrap_or(i64::MAX)))
        .sum()
}

fn histogram(counts: &Counts) -> Value {
    let bounds = BUCKETS_UP_TO_SECONDS.into_iter().map(Some).chain([None]);
    let mut from = i64::MIN;
    let buckets: Value = bounds
        .map(|up_to| {
            let within = counts.range(from..=up_to.unwrap_or(i64::MAX));
            from = up_to.map_or(i64::MAX, |up_to| up_to + 1);
            let count: u64 = within.map(|(_, count)| count).sum();
            json!({"up_to_seconds": up_to, "count": count})
        })
        .collect();
    json!({
        "count": counts.values().sum::<u64>(),
        "p50": percentile(counts, 50),
        "p90": percentile(counts, 90),
        "buckets": buckets,
    })
}

/// The smallest value that is not exceeded by `percent` of all.
fn percentile(counts: &Counts, percent: u64) -> Option<i64> {
    let rank = (counts.values().sum::<u64>() * percent).div_ceil(100);
    let mut seen = 0;
    counts.iter().find_map(|(value, count)| {
        seen += count;
        (seen >= rank).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp::domain::time::Timestamp;
    use otp::platform::metrics::Metric;

    #[test]
    fn duration_counts_in_the_first_bucket_that_fits() {
        let metrics = RecordedMetrics::default();
        for seconds in [0, 1, 2, 3, 5, 6, 1800, 1801, 90_000] {
            let report = Metric::Report {
                carrier: "sim-a",
                seconds,
            };
            metrics.sink().count(&report, Timestamp(1));
        }
        let all = metrics.to_json();
        let counts: Vec<_> = elements(&all[0]["buckets"])
            .filter_map(|bucket| bucket["count"].as_u64())
            .collect();
        assert_eq!(counts, [2, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(all[0]["count"], 9);
        assert_eq!(all[0]["p50"], 5);
        assert_eq!(all[0]["p90"], 90_000);
        assert_eq!(all[0]["dimensions"], json!({}));
        assert_eq!(all[1]["dimensions"], json!({"carrier": "sim-a"}));
    }

    #[test]
    fn line_without_metrics_or_dimensions_is_ignored() {
        let metrics = RecordedMetrics::default();
        let without_dimension = json!({
            "_aws": {"CloudWatchMetrics": [{"Dimensions": [["a"]], "Metrics": [{"Name": "Sends"}]}]},
            "Sends": 1,
        });
        for line in ["", "{", "7", "{}", &without_dimension.to_string()] {
            metrics.ingest(line);
        }
        assert_eq!(metrics.to_json(), json!([]));
    }
}
