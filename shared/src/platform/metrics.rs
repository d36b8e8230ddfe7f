//! Metrics: each event is one line in CloudWatch's embedded metric format (EMF). CloudWatch reads
//! the lines from the log, the local server through a callback.
//!
//! Invariant: dimensions are closed sets, carrier names and countries, never a phone number, an id
//! or an address.

use std::io::Write as _;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::time::Timestamp;

/// CloudWatch's namespace of all metrics.
const NAMESPACE: &str = "lambda-otp";
/// A dimension that has no value: the country of an e-mail address, the carrier of a message that
/// no carrier accepted.
const NO_VALUE: Option<&str> = Some("-");

/// An event that is counted.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Metric<'a> {
    /// A send or resend was accepted.
    Send {
        /// ISO 3166 alpha-2 of the number.
        country: Option<&'a str>,
    },
    /// A limit rejected a send.
    Refusal {
        /// The limit's name.
        limit: &'a str,
    },
    /// A code was checked.
    Check,
    /// A verification was approved.
    Approval {
        /// ISO 3166 alpha-2 of the number.
        country: Option<&'a str>,
        /// From the first send to the approval.
        seconds: i64,
    },
    /// The status of a delivery changed.
    Delivery {
        /// The carrier that accepted the message, if one did.
        carrier: Option<&'a str>,
        /// ISO 3166 alpha-2 of the number: a value of the line, not a dimension.
        country: Option<&'a str>,
        /// The new status.
        status: &'a str,
    },
    /// A carrier reported the first message of a verification as delivered.
    Report {
        /// The carrier's name.
        carrier: &'a str,
        /// From the first send to the report.
        seconds: i64,
    },
    /// A check of a factor.
    Factor(FactorEvent),
    /// A decision was made.
    Decision {
        /// `allow`, `challenge` or `deny`.
        decision: &'a str,
        /// The name of the rule that decided.
        rule: &'a str,
    },
}

/// What happened to a check of a factor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FactorEvent {
    /// A code was compared, and not accepted.
    Checked,
    /// A code was accepted.
    Accepted,
    /// It was rejected, because the budget of wrong codes is used up.
    LockedOut,
}

/// Writes metrics to a sink. Clones share the sink.
#[derive(Clone)]
pub struct Metrics(Arc<dyn Fn(&str) + Send + Sync>);

impl Metrics {
    /// Writes to standard output, which CloudWatch reads.
    #[must_use]
    pub fn to_stdout() -> Self {
        // One write for each line, or Lambda would split it. A failed write is ignored: metrics
        // must not fail a request.
        Self::to_sink(|line| {
            drop(
                std::io::stdout()
                    .lock()
                    .write_all(format!("{line}\n").as_bytes()),
            )
        })
    }

    /// Passes each line, without a line break, to `sink`.
    #[must_use]
    pub fn to_sink(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Writes `metric` with the time `now`.
    pub fn count(&self, metric: &Metric<'_>, now: Timestamp) {
        (self.0)(&embedded(metric, now));
    }
}

/// A line of EMF, as the CloudWatch user guide specifies it: values, and directives that say which
/// of them are metrics and dimensions. A struct is serialized faster than a `serde_json::Value`,
/// and each request writes a line.
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
    #[serde(rename = "FactorChecks", skip_serializing_if = "Option::is_none")]
    factor_checks: Option<u8>,
    #[serde(rename = "FactorApprovals", skip_serializing_if = "Option::is_none")]
    factor_approvals: Option<u8>,
    #[serde(rename = "FactorLockouts", skip_serializing_if = "Option::is_none")]
    factor_lockouts: Option<u8>,
    #[serde(rename = "Decisions", skip_serializing_if = "Option::is_none")]
    decisions: Option<u8>,
    // The times are not aggregated here: CloudWatch computes percentiles and histograms from single
    // values.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
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
// By carrier and by status, but not by country: CloudWatch charges for each combination, so a
// country would multiply the bill. `Sends` and `Approvals` have it.
const DELIVERY: &[Directive] = &[directive(
    &[&["status"], &["carrier", "status"]],
    &[count("Deliveries")],
)];
const REPORT: &[Directive] = &[directive(
    &[&[], &["carrier"]],
    &[seconds("SendToReportSeconds")],
)];

const FACTOR_CHECK: &[Directive] = &[directive(&[&[]], &[count("FactorChecks")])];
const FACTOR_APPROVAL: &[Directive] = &[directive(
    &[&[]],
    &[count("FactorChecks"), count("FactorApprovals")],
)];
const FACTOR_LOCKOUT: &[Directive] = &[directive(&[&[]], &[count("FactorLockouts")])];
const DECISION: &[Directive] = &[directive(
    &[&["decision"], &["decision", "rule"]],
    &[count("Decisions")],
)];

/// `metric` as one line of JSON.
fn embedded(metric: &Metric<'_>, now: Timestamp) -> String {
    let (directives, line) = directives_and_values(metric);
    let aws = Metadata {
        timestamp: now.0.saturating_mul(1000),
        cloud_watch_metrics: directives,
    };
    // Strings and integers always serialize.
    serde_json::to_string(&Line { aws, ..line }).unwrap_or_default()
}

fn directives_and_values<'a>(metric: &Metric<'a>) -> (&'static [Directive], Line<'a>) {
    let mut line = Line::default();
    let directives = match *metric {
        Metric::Send { country } => {
            line.sends = Some(1);
            // Also an approval of 0, so that the approval rate has a value where nothing was
            // approved.
            line.approvals = Some(0);
            line.country = country.or(NO_VALUE);
            SEND
        }
        Metric::Refusal { limit } => {
            line.refusals = Some(1);
            line.limit = Some(limit);
            REFUSAL
        }
        Metric::Check => {
            line.checks = Some(1);
            CHECK
        }
        Metric::Approval { country, seconds } => {
            line.approvals = Some(1);
            line.checks = Some(1);
            line.send_to_approval_seconds = Some(seconds);
            line.country = country.or(NO_VALUE);
            APPROVAL
        }
        Metric::Delivery {
            carrier,
            country,
            status,
        } => {
            line.deliveries = Some(1);
            line.carrier = carrier.or(NO_VALUE);
            line.country = country.or(NO_VALUE);
            line.status = Some(status);
            DELIVERY
        }
        Metric::Report { carrier, seconds } => {
            line.send_to_report_seconds = Some(seconds);
            line.carrier = Some(carrier);
            REPORT
        }
        Metric::Factor(event) => of_factor(event, &mut line),
        Metric::Decision { decision, rule } => {
            line.decisions = Some(1);
            line.decision = Some(decision);
            line.rule = Some(rule);
            DECISION
        }
    };
    (directives, line)
}

fn of_factor(event: FactorEvent, line: &mut Line<'_>) -> &'static [Directive] {
    match event {
        FactorEvent::Checked => {
            line.factor_checks = Some(1);
            FACTOR_CHECK
        }
        FactorEvent::Accepted => {
            line.factor_checks = Some(1);
            line.factor_approvals = Some(1);
            FACTOR_APPROVAL
        }
        FactorEvent::LockedOut => {
            line.factor_lockouts = Some(1);
            FACTOR_LOCKOUT
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line_of(metric: &Metric<'_>, now: Timestamp) -> Value {
        serde_json::from_str(&embedded(metric, now)).expect("JSON")
    }

    #[test]
    fn a_line_has_directives_and_values() {
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
    fn metrics_and_dimensions_have_values() {
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
            Metric::Factor(FactorEvent::Checked),
            Metric::Factor(FactorEvent::Accepted),
            Metric::Factor(FactorEvent::LockedOut),
            Metric::Decision {
                decision: "allow",
                rule: "rest",
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
    fn approvals_have_a_country_and_checks_do_not() {
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
