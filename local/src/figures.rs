//! The figures at home: what CloudWatch makes of the functions' lines of metrics, since the start. It reads the very lines:
//! each metric by each of the sets of dimensions that its line names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use otp::platform::metrics::Metrics;
use serde_json::{Value, json};

/// The longest time that each column of a histogram takes in; one column more takes what is longer.
const BUCKETS_UP_TO_SECONDS: [i64; 11] = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];

/// The figures. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Figures(Arc<Mutex<BTreeMap<Series, Values>>>);

/// One metric by one set of dimensions.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: String,
    dimensions: BTreeMap<String, String>,
    is_time: bool,
}

/// Values, and how often each came. Times are whole seconds, so there are few.
type Values = BTreeMap<i64, u64>;

impl Figures {
    /// Where functions send their lines to.
    pub(crate) fn metrics(&self) -> Metrics {
        let figures = self.clone();
        Metrics::to_sink(move |line| {
            figures.take(line);
        })
    }

    /// Files a line of embedded metric format; `false` if it is none.
    pub(crate) fn take(&self, line: &str) -> bool {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        for directive in elements(&line["_aws"]["CloudWatchMetrics"]) {
            for (names, metric) in elements(&directive["Dimensions"]).flat_map(|names| {
                elements(&directive["Metrics"]).map(move |metric| (names, metric))
            }) {
                let name = metric["Name"].as_str().unwrap_or_default();
                let value_of = |dimension: &str| {
                    Some((dimension.to_owned(), line[dimension].as_str()?.to_owned()))
                };
                let dimensions = elements(names)
                    .map(|dimension| value_of(dimension.as_str()?))
                    .collect::<Option<_>>();
                let (Some(dimensions), Some(value)) = (dimensions, line[name].as_i64()) else {
                    continue;
                };
                let series = Series {
                    name: name.to_owned(),
                    dimensions,
                    is_time: metric["Unit"] == "Seconds",
                };
                *self
                    .filed()
                    .entry(series)
                    .or_default()
                    .entry(value)
                    .or_default() += 1;
            }
        }
        !line["_aws"].is_null()
    }

    /// All of them: sums of what is counted, histograms of times.
    pub(crate) fn all(&self) -> Value {
        let told = |(series, values): (&Series, &Values)| {
            let mut figure = if series.is_time {
                histogram(values)
            } else {
                json!({"sum": sum(values)})
            };
            figure["name"] = json!(series.name);
            figure["dimensions"] = json!(series.dimensions);
            figure
        };
        self.filed().iter().map(told).collect()
    }

    fn filed(&self) -> MutexGuard<'_, BTreeMap<Series, Values>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn elements(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn sum(values: &Values) -> i64 {
    values
        .iter()
        .map(|(value, times)| value.saturating_mul(i64::try_from(*times).unwrap_or(i64::MAX)))
        .sum()
}

fn histogram(values: &Values) -> Value {
    let ends = BUCKETS_UP_TO_SECONDS.into_iter().map(Some).chain([None]);
    let mut from = i64::MIN;
    let buckets: Value = ends
        .map(|up_to| {
            let within = values.range(from..=up_to.unwrap_or(i64::MAX));
            from = up_to.map_or(i64::MAX, |up_to| up_to + 1);
            json!({"up_to_seconds": up_to, "count": within.map(|(_, times)| times).sum::<u64>()})
        })
        .collect();
    json!({"count": values.values().sum::<u64>(), "p50": percentile(values, 50), "p90": percentile(values, 90), "buckets": buckets})
}

/// The smallest value that so many percent of all do not exceed.
fn percentile(values: &Values, percent: u64) -> Option<i64> {
    let wanted = (values.values().sum::<u64>() * percent).div_ceil(100);
    let mut passed = 0;
    values.iter().find_map(|(value, times)| {
        passed += times;
        (passed >= wanted).then_some(*value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use otp::domain::time::Timestamp;
    use otp::platform::metrics::Metric;

    #[test]
    fn a_time_is_in_the_first_column_that_it_fits() {
        let figures = Figures::default();
        for seconds in [0, 1, 2, 3, 5, 6, 1800, 1801, 90_000] {
            figures.metrics().count(
                &Metric::Report {
                    carrier: "sim-a",
                    seconds,
                },
                Timestamp(1),
            );
        }
        let all = figures.all();
        let counts: Vec<_> = elements(&all[0]["buckets"])
            .filter_map(|bucket| bucket["count"].as_u64())
            .collect();
        assert_eq!(counts, [2, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(
            (&all[0]["count"], &all[0]["p50"], &all[0]["p90"]),
            (&json!(9), &json!(5), &json!(90_000))
        );
        assert_eq!(
            (&all[0]["dimensions"], &all[1]["dimensions"]),
            (&json!({}), &json!({"carrier": "sim-a"}))
        );
    }

    #[test]
    fn what_is_no_line_of_metrics_counts_for_nothing() {
        let figures = Figures::default();
        for line in [
            "",
            "{",
            "7",
            "{}",
            r#"{"_aws":{"CloudWatchMetrics":[{"Dimensions":[["a"]],"Metrics":[{"Name":"Sends"}]}]},"Sends":1}"#,
        ] {
            figures.take(line);
        }
        assert_eq!(figures.all(), json!([]), "nor what lacks a dimension");
    }
}
