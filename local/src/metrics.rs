//! The functions' metrics since the start, as CloudWatch aggregates them: the same lines, read by
//! the metric filters of the template.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use otp::platform::metrics::Metrics;
use serde_json::{Value, json};

use crate::template::{MetricFilter, MetricFilters};

/// Upper bounds of the buckets of a histogram; one more bucket holds longer times.
const BUCKETS_UP_TO_SECONDS: [i64; 11] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];

/// The recorded metrics. Clones share them.
#[derive(Clone)]
pub(crate) struct RecordedMetrics {
    filters: Arc<MetricFilters>,
    recorded: Arc<Mutex<BTreeMap<Series, Counts>>>,
}

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
    /// None yet, to be read by `filters`.
    pub(crate) fn new(filters: MetricFilters) -> Self {
        Self {
            filters: Arc::new(filters),
            recorded: Arc::default(),
        }
    }

    /// A sink for a function in this process, by its name.
    pub(crate) fn sink(&self, function: &'static str) -> Metrics {
        let recorded = self.clone();
        Metrics::to_sink(move |line| {
            recorded.ingest(function, line);
        })
    }

    /// Records the metrics of a line of a function. Returns whether the line has nothing else.
    pub(crate) fn ingest(&self, function: &str, line: &str) -> bool {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        let filters = self.filters.get(function).into_iter().flatten();
        let recorded = filters.filter(|filter| self.record(&line, filter)).count();
        recorded > 0 && line["message"].is_null()
    }

    /// Records one metric of `line`. Returns whether it has the value and the dimensions.
    fn record(&self, line: &Value, filter: &MetricFilter) -> bool {
        let dimensions = filter.dimensions.iter();
        let dimensions = dimensions
            .map(|name| Some((name.clone(), line[name].as_str()?.to_owned())))
            .collect::<Option<_>>();
        let value = line[&filter.metric].as_i64().filter(|value| *value >= 0);
        let (Some(dimensions), Some(value)) = (dimensions, value) else {
            return false;
        };
        let series = Series {
            name: filter.metric.clone(),
            dimensions,
            is_duration: filter.unit == "Seconds",
        };
        let mut recorded = self.lock();
        *recorded
            .entry(series)
            .or_default()
            .entry(value)
            .or_default() += 1;
        true
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
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    use crate::template::Template;
    use otp::platform::metrics::Metric;

    fn metrics() -> RecordedMetrics {
        let template = Template::read().unwrap_or_else(|error| panic!("{error}"));
        RecordedMetrics::new(template.metric_filters)
    }

    #[test]
    fn duration_counts_in_the_first_bucket_that_fits() {
        let metrics = metrics();
        let sink = metrics.sink("delivery-callback");
        for seconds in [0, 1, 2, 3, 5, 6, 1800, 1801, 90_000] {
            let carrier = "sim-a";
            sink.count(&Metric::Report { carrier, seconds });
        }
        let all = metrics.to_json();
        let buckets = all[0]["buckets"].as_array().into_iter().flatten();
        let counts: Vec<_> = buckets
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
    fn costs_page_lists_the_number_of_custom_metrics() {
        let metrics = metrics();
        let sink = |function| metrics.sink(function);
        let (send, verify) = (sink("send"), sink("verify"));
        let (worker, callback) = (sink("carrier-worker"), sink("delivery-callback"));
        let countries: Vec<String> = (0..50).map(|n| format!("C{n}")).collect();
        for country in countries.iter().map(|country| Some(country.as_str())) {
            send.count(&Metric::Send { country });
            let seconds = 9;
            verify.count(&Metric::Approval { country, seconds });
            for carrier in ["a", "b", "c"] {
                callback.count(&Metric::Report { carrier, seconds });
                for status in ["sent", "delivered", "undelivered", "rejected"] {
                    let carrier = Some(carrier);
                    worker.count(&Metric::Delivery {
                        carrier,
                        country,
                        status,
                    });
                }
            }
        }
        for limit in 0..8 {
            let limit = &limit.to_string();
            send.count(&Metric::Refusal { limit });
        }
        let count = metrics.lock().len();
        println!("50 countries and 3 carriers: {count} metrics");
        let page = include_str!("../../docs/costs.md");
        assert!(page.contains(&format!("| 50, 3 | {count} |")), "{count}");
        assert!(count <= 150, "{count}");
    }

    #[test]
    fn line_without_metrics_or_dimensions_is_ignored() {
        let metrics = metrics();
        let unknown = json!({"Else": 1, "country": "FR"}).to_string();
        let without_dimension = json!({"Refusals": 1}).to_string();
        let text = json!({"Sends": "1", "country": "FR"}).to_string();
        for line in ["", "{", "7", "{}", &unknown, &without_dimension, &text] {
            assert!(!metrics.ingest("send", line), "{line}");
        }
        let of_another_function = json!({"FactorChecks": 1}).to_string();
        assert!(!metrics.ingest("send", &of_another_function));
        assert_eq!(metrics.to_json(), json!([]));
    }

    #[test]
    fn line_with_more_than_metrics_is_recorded_and_printed() {
        let metrics = metrics();
        let counted = json!({"Checks": 1});
        let with_outcome = json!({"Checks": 1, "message": "request completed"});
        assert!(metrics.ingest("verify", &counted.to_string()));
        assert!(!metrics.ingest("verify", &with_outcome.to_string()));
        let checks = json!([{"name": "Checks", "dimensions": {}, "sum": 2}]);
        assert_eq!(metrics.to_json(), checks);
    }
}
