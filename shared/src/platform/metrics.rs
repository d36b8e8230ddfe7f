//! Metrics: what happened, counted, each in a line of embedded metric format: CloudWatch reads it from the log, the local
//! server from the function's hand.
//! Dimensions are closed sets or names of carriers and countries: never a number, an id or an address.

use std::io::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::time::Timestamp;

/// Where CloudWatch files them.
const NAMESPACE: &str = "lambda-otp";
/// The dimension of what there is none of: an e-mail address's country, the carrier of a message that nobody took.
const NONE: Option<&str> = Some("-");

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
        Self::to(|line| {
            drop(
                std::io::stdout()
                    .lock()
                    .write_all(format!("{line}\n").as_bytes()),
            )
        })
    }

    /// To `take`, line by line.
    #[must_use]
    pub fn to(take: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    /// Counts `metric`.
    pub fn count(&self, metric: &Metric<'_>, now: Timestamp) {
        (self.0)(&embedded(metric, now));
    }
}

/// A line of embedded metric format, as the CloudWatch user guide specifies it: what counts, and the directives that say so.
/// A struct rather than a document, for a line is written with each call.
#[derive(Serialize, Default)]
struct Line<'a> {
    #[serde(rename = "_aws")]
    aws: Metadata,
    #[serde(rename = "Sends", skip_serializing_if = "Option::is_none")]
    sends: Option<u8>,
    #[serde(rename = "Refusals", skip_serializing_if = "Option::is_none")]
    refusals: Option<u8>,
    #[serde(rename = "Checks", skip_serializing_if = "Option::is_none")]
    checks: Option<u8>,
    #[serde(rename = "Approvals", skip_serializing_if = "Option::is_none")]
    approvals: Option<u8>,
    #[serde(rename = "Deliveries", skip_serializing_if = "Option::is_none")]
    deliveries: Option<u8>,
    // Each time stands in its line as it was: CloudWatch makes percentiles and histograms of the values themselves.
    #[serde(
        rename = "SendToApprovalSeconds",
        skip_serializing_if = "Option::is_none"
    )]
    send_to_approval_seconds: Option<i64>,
    #[serde(
        rename = "SendToReportSeconds",
        skip_serializing_if = "Option::is_none"
    )]
    send_to_report_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    carrier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a str>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: i64,
    cloud_watch_metrics: &'static [Directive],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: &'static [&'static [&'static str]],
    metrics: &'static [Unit],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Unit {
    name: &'static str,
    unit: &'static str,
}

const fn count(name: &'static str) -> Unit {
    Unit {
        name,
        unit: "Count",
    }
}

const fn seconds(name: &'static str) -> Unit {
    Unit {
        name,
        unit: "Seconds",
    }
}

const fn directive(
    dimensions: &'static [&'static [&'static str]],
    metrics: &'static [Unit],
) -> Directive {
    Directive {
        namespace: NAMESPACE,
        dimensions,
        metrics,
    }
}

const SEND: &[Directive] = &[directive(
    &[&[], &["country"]],
    &[count("Sends"), count("Approvals")],
)];
const REFUSAL: &[Directive] = &[directive(&[&["limit"]], &[count("Refusals")])];
const CHECK: &[Directive] = &[directive(&[&[]], &[count("Checks")])];
const APPROVAL: &[Directive] = &[
    directive(&[&[], &["country"]], &[count("Approvals")]),
    directive(&[&[]], &[count("Checks"), seconds("SendToApprovalSeconds")]),
];
const DELIVERY: &[Directive] = &[directive(
    &[&["status"], &["carrier", "country", "status"]],
    &[count("Deliveries")],
)];
const REPORT: &[Directive] = &[directive(
    &[&[], &["carrier"]],
    &[seconds("SendToReportSeconds")],
)];

fn embedded(metric: &Metric<'_>, now: Timestamp) -> String {
    let (directives, line) = match *metric {
        // A send counts as an approval of 0, so that the share of approvals has a value where there are none.
        Metric::Send { country } => (
            SEND,
            Line {
                sends: Some(1),
                approvals: Some(0),
                country: country.or(NONE),
                ..Line::default()
            },
        ),
        Metric::Refusal { limit } => (
            REFUSAL,
            Line {
                refusals: Some(1),
                limit: Some(limit),
                ..Line::default()
            },
        ),
        Metric::Check => (
            CHECK,
            Line {
                checks: Some(1),
                ..Line::default()
            },
        ),
        Metric::Approval { country, seconds } => {
            let line = Line {
                approvals: Some(1),
                checks: Some(1),
                send_to_approval_seconds: Some(seconds),
                ..Line::default()
            };
            (
                APPROVAL,
                Line {
                    country: country.or(NONE),
                    ..line
                },
            )
        }
        Metric::Delivery {
            carrier,
            country,
            status,
        } => {
            let line = Line {
                deliveries: Some(1),
                carrier: carrier.or(NONE),
                country: country.or(NONE),
                ..Line::default()
            };
            (
                DELIVERY,
                Line {
                    status: Some(status),
                    ..line
                },
            )
        }
        Metric::Report { carrier, seconds } => (
            REPORT,
            Line {
                send_to_report_seconds: Some(seconds),
                carrier: Some(carrier),
                ..Line::default()
            },
        ),
    };
    let aws = Metadata {
        timestamp: now.0.saturating_mul(1000),
        cloud_watch_metrics: directives,
    };
    // Texts and numbers: nothing in it can fail to be JSON.
    serde_json::to_string(&Line { aws, ..line }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line_of(metric: &Metric<'_>, now: Timestamp) -> Value {
        serde_json::from_str(&embedded(metric, now)).expect("JSON")
    }

    #[test]
    fn a_line_names_its_metrics_dimensions_and_values() {
        let line = line_of(
            &Metric::Delivery {
                carrier: Some("sim-a"),
                country: Some("FR"),
                status: "sent",
            },
            Timestamp(1_795_291_200),
        );
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line["_aws"]["Timestamp"], 1_795_291_200_000_i64);
        assert_eq!(directive["Namespace"], "lambda-otp");
        for set in directive["Dimensions"].as_array().into_iter().flatten() {
            assert!(set.as_array().is_some_and(|names| {
                names
                    .iter()
                    .all(|name| line[name.as_str().unwrap_or_default()].is_string())
            }));
        }
        assert_eq!(
            (
                &line["Deliveries"],
                &line["carrier"],
                &line["country"],
                &line["status"]
            ),
            (&json!(1), &json!("sim-a"), &json!("FR"), &json!("sent"))
        );
    }

    #[test]
    fn every_metric_has_a_value_under_its_name_and_every_dimension_too() {
        for metric in [
            Metric::Send { country: None },
            Metric::Refusal { limit: "cooldown" },
            Metric::Check,
            Metric::Approval {
                country: Some("FR"),
                seconds: 7,
            },
            Metric::Delivery {
                carrier: None,
                country: None,
                status: "failed",
            },
            Metric::Report {
                carrier: "sim-a",
                seconds: 3,
            },
        ] {
            let line = line_of(&metric, Timestamp(1));
            let directives = line["_aws"]["CloudWatchMetrics"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let names = |list: &str| {
                directives
                    .iter()
                    .flat_map(|directive| directive[list].as_array().cloned().unwrap_or_default())
                    .collect::<Vec<_>>()
            };
            assert!(!names("Metrics").is_empty());
            assert!(
                names("Metrics")
                    .iter()
                    .all(|m| line[m["Name"].as_str().unwrap_or_default()].is_i64()),
                "{line}"
            );
            let mut dimensions = names("Dimensions")
                .into_iter()
                .flat_map(|set| set.as_array().cloned().unwrap_or_default());
            assert!(
                dimensions.all(|name| line[name.as_str().unwrap_or_default()].is_string()),
                "{line}"
            );
        }
    }

    #[test]
    fn an_approval_counts_by_country_and_its_check_does_not() {
        let line = line_of(
            &Metric::Approval {
                country: Some("FR"),
                seconds: 7,
            },
            Timestamp(1),
        );
        let of = |at: usize, list: &str| line["_aws"]["CloudWatchMetrics"][at][list].clone();
        assert_eq!(
            (of(0, "Dimensions"), &of(0, "Metrics")[0]["Name"]),
            (json!([[], ["country"]]), &json!("Approvals"))
        );
        assert_eq!(
            (of(1, "Dimensions"), &of(1, "Metrics")[0]["Name"]),
            (json!([[]]), &json!("Checks"))
        );
    }
}
