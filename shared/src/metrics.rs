//! Metrics: what happened, counted, each in a line of embedded metric format: CloudWatch reads it from the log, the local
//! server from the function's hand.
//! Dimensions are closed sets or names of carriers and countries: never a number, an id or an address.

use std::io::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::timestamp::Timestamp;

/// Where CloudWatch files them.
const NAMESPACE: &str = "lambda-otp";
/// The dimension of what there is none of: an e-mail address's country, the carrier of a message that nobody took.
const NONE: &str = "-";

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
        /// ISO 3166 alpha-2 of the number.
        country: Option<&'a str>,
        /// Since it was opened.
        seconds: i64,
    },
    /// A delivery came to a state.
    Delivery {
        /// The carrier that has it; none, if nobody took it.
        carrier: Option<&'a str>,
        /// ISO 3166 alpha-2 of the number.
        country: Option<&'a str>,
        /// The state.
        status: &'a str,
    },
    /// A carrier reported a first message as delivered.
    Report {
        /// Its name.
        carrier: &'a str,
        /// Since the verification was opened.
        seconds: i64,
    },
}

/// Where a function's lines go. Clones share it.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn(&str) + Send + Sync>);

impl Metrics {
    /// To CloudWatch, which reads standard output.
    #[must_use]
    pub fn to_stdout() -> Self {
        // The log takes one write a line; where nobody reads, nothing is to be done about it.
        Self::to(|line| drop(std::io::stdout().lock().write_all(format!("{line}\n").as_bytes())))
    }

    /// To `take`, line by line.
    #[must_use]
    pub fn to(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Counts `metric`.
    pub fn count(&self, metric: &Metric<'_>, now: Timestamp) {
        (self.0)(&serde_json::to_string(&embedded(metric, now)).unwrap_or_default());
    }
}

/// The line of embedded metric format, as the CloudWatch user guide specifies it.
fn embedded(metric: &Metric<'_>, now: Timestamp) -> Value {
    const COUNT: &str = "Count";
    // Each time stands in its line as it was: CloudWatch makes percentiles and histograms of the values themselves.
    const SECONDS: &str = "Seconds";
    let directive = |dimensions: &[&[&str]], metrics: &[(&str, &str)]| {
        let metrics: Value = metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
        json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics})
    };
    let (directives, mut line) = match metric {
        // A send counts as an approval of 0, so that the share of approvals has a value where there are none.
        Metric::Send { country } => (
            json!([directive(&[&[], &["country"]], &[("Sends", COUNT), ("Approvals", COUNT)])]),
            json!({"Sends": 1, "Approvals": 0, "country": country.unwrap_or(NONE)}),
        ),
        Metric::Refusal { limit } => (json!([directive(&[&["limit"]], &[("Refusals", COUNT)])]), json!({"Refusals": 1, "limit": limit})),
        Metric::Check => (json!([directive(&[&[]], &[("Checks", COUNT)])]), json!({"Checks": 1})),
        Metric::Approval { country, seconds } => (
            json!([
                directive(&[&[], &["country"]], &[("Approvals", COUNT)]),
                directive(&[&[]], &[("Checks", COUNT), ("SendToApprovalSeconds", SECONDS)]),
            ]),
            json!({"Approvals": 1, "Checks": 1, "SendToApprovalSeconds": seconds, "country": country.unwrap_or(NONE)}),
        ),
        Metric::Delivery { carrier, country, status } => (
            json!([directive(&[&["status"], &["carrier", "country", "status"]], &[("Deliveries", COUNT)])]),
            json!({"Deliveries": 1, "carrier": carrier.unwrap_or(NONE), "country": country.unwrap_or(NONE), "status": status}),
        ),
        Metric::Report { carrier, seconds } => (
            json!([directive(&[&[], &["carrier"]], &[("SendToReportSeconds", SECONDS)])]),
            json!({"SendToReportSeconds": seconds, "carrier": carrier}),
        ),
    };
    line["_aws"] = json!({"Timestamp": now.0.saturating_mul(1000), "CloudWatchMetrics": directives});
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_metrics_dimensions_and_values() {
        let line = embedded(&Metric::Delivery { carrier: Some("sim-a"), country: Some("FR"), status: "sent" }, Timestamp(1_795_291_200));
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
    fn every_metric_has_a_value_under_its_name_and_every_dimension_too() {
        for metric in [
            Metric::Send { country: None },
            Metric::Refusal { limit: "cooldown" },
            Metric::Check,
            Metric::Approval { country: Some("FR"), seconds: 7 },
            Metric::Delivery { carrier: None, country: None, status: "failed" },
            Metric::Report { carrier: "sim-a", seconds: 3 },
        ] {
            let line = embedded(&metric, Timestamp(1));
            let directives = line["_aws"]["CloudWatchMetrics"].as_array().cloned().unwrap_or_default();
            let names =
                |list: &str| directives.iter().flat_map(|directive| directive[list].as_array().cloned().unwrap_or_default()).collect::<Vec<_>>();
            assert!(!names("Metrics").is_empty());
            assert!(names("Metrics").iter().all(|m| line[m["Name"].as_str().unwrap_or_default()].is_i64()), "{line}");
            let mut dimensions = names("Dimensions").into_iter().flat_map(|set| set.as_array().cloned().unwrap_or_default());
            assert!(dimensions.all(|name| line[name.as_str().unwrap_or_default()].is_string()), "{line}");
        }
    }

    #[test]
    fn an_approval_counts_by_country_and_its_check_does_not() {
        let line = embedded(&Metric::Approval { country: Some("FR"), seconds: 7 }, Timestamp(1));
        let of = |at: usize, list: &str| line["_aws"]["CloudWatchMetrics"][at][list].clone();
        assert_eq!((of(0, "Dimensions"), &of(0, "Metrics")[0]["Name"]), (json!([[], ["country"]]), &json!("Approvals")));
        assert_eq!((of(1, "Dimensions"), &of(1, "Metrics")[0]["Name"]), (json!([[]]), &json!("Checks")));
    }
}
