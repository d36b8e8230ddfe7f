//! Metrics: what happened, counted. One line of embedded metric format in Lambda, figures for the page at home.
//! Dimensions are closed sets or names of carriers and countries: never a number, an id or an address.

use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::timestamp::Timestamp;

/// Where CloudWatch files them.
const NAMESPACE: &str = "lambda-otp";
/// The dimension of an e-mail address's country.
const NO_COUNTRY: &str = "-";

/// Something worth counting.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Metric<'a> {
    /// A send or resend was accepted.
    Send {
        /// ISO 3166 alpha-2 of the number.
        country: Option<&'a str>,
    },
    /// A limit refused a send.
    Refusal {
        /// Its name.
        limit: &'a str,
    },
    /// A code was presented.
    Check,
    /// A verification was approved.
    Approval {
        /// Since it was opened.
        seconds: i64,
    },
    /// A delivery came to a state.
    Delivery {
        /// The carrier that has it.
        carrier: &'a str,
        /// ISO 3166 alpha-2 of the number.
        country: Option<&'a str>,
        /// The state.
        status: &'a str,
    },
    /// A carrier reported on a first message.
    Report {
        /// Its name.
        carrier: &'a str,
        /// Since the verification was opened.
        seconds: i64,
    },
}

type Sink = Box<dyn Fn(&Metric<'_>, Timestamp) + Send + Sync>;

static SINK: OnceLock<Sink> = OnceLock::new();

/// Where metrics go, for the whole process; a second call changes nothing. Without it they go nowhere.
pub fn init(sink: impl Fn(&Metric<'_>, Timestamp) + Send + Sync + 'static) {
    // The first one stays: a process has one reader of its metrics.
    let _ = SINK.set(Box::new(sink));
}

/// To CloudWatch, by standard output.
pub fn init_lambda() {
    init(|metric, now| println!("{}", embedded(metric, now)));
}

/// Counts `metric`.
pub fn count(metric: &Metric<'_>, now: Timestamp) {
    if let Some(sink) = SINK.get() {
        sink(metric, now);
    }
}

/// The line of embedded metric format, as the CloudWatch user guide specifies it.
fn embedded(metric: &Metric<'_>, now: Timestamp) -> Value {
    const COUNT: &str = "Count";
    const SECONDS: &str = "Seconds";
    let line = |dimensions: Value, metrics: &[(&str, &str, i64)], values: Value| {
        let mut line = values;
        let listed: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
        for (name, _, value) in metrics {
            line[*name] = json!(value);
        }
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": listed});
        line["_aws"] = json!({"Timestamp": now.0.saturating_mul(1000), "CloudWatchMetrics": [directive]});
        line
    };
    match metric {
        // A send counts as an approval of 0, so that the share of approvals has a value where there are none.
        Metric::Send { country } => {
            line(json!([[], ["country"]]), &[("Sends", COUNT, 1), ("Approvals", COUNT, 0)], json!({"country": country.unwrap_or(NO_COUNTRY)}))
        }
        Metric::Refusal { limit } => line(json!([["limit"]]), &[("Refusals", COUNT, 1)], json!({"limit": limit})),
        Metric::Check => line(json!([[]]), &[("Checks", COUNT, 1)], json!({})),
        Metric::Approval { seconds } => {
            line(json!([[]]), &[("Checks", COUNT, 1), ("Approvals", COUNT, 1), ("SendToApprovalSeconds", SECONDS, *seconds)], json!({}))
        }
        Metric::Delivery { carrier, country, status } => line(
            json!([["status"], ["carrier", "country", "status"]]),
            &[("Deliveries", COUNT, 1)],
            json!({"carrier": carrier, "country": country.unwrap_or(NO_COUNTRY), "status": status}),
        ),
        Metric::Report { carrier, seconds } => {
            line(json!([[], ["carrier"]]), &[("SendToReportSeconds", SECONDS, *seconds)], json!({"carrier": carrier}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_metrics_dimensions_and_values() {
        let line = embedded(&Metric::Delivery { carrier: "sim-a", country: Some("FR"), status: "sent" }, Timestamp(1_795_291_200));
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_795_291_200_000_i64);
        assert_eq!(directive["Namespace"], "lambda-otp");
        for set in directive["Dimensions"].as_array().into_iter().flatten() {
            assert!(set.as_array().is_some_and(|names| names.iter().all(|name| line[name.as_str().unwrap_or_default()].is_string())));
        }
        assert_eq!(
            (&line["Deliveries"], &line["carrier"], &line["country"], &line["status"]),
            (&json!(1), &json!("sim-a"), &json!("FR"), &json!("sent"))
        );
    }

    #[test]
    fn every_metric_has_a_value_under_its_name() {
        for metric in [
            Metric::Send { country: None },
            Metric::Refusal { limit: "cooldown" },
            Metric::Check,
            Metric::Approval { seconds: 7 },
            Metric::Report { carrier: "sim-a", seconds: 3 },
        ] {
            let line = embedded(&metric, Timestamp(1));
            let names = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().cloned().unwrap_or_default();
            assert!(!names.is_empty());
            assert!(names.iter().all(|m| line[m["Name"].as_str().unwrap_or_default()].is_i64()), "{line}");
        }
    }
}
