//! Metrics: what is counted, in CloudWatch's embedded metric format (EMF). CloudWatch reads it from
//! the lines of the log, the local server through a callback.
//!
//! Invariant: dimensions are closed sets, carrier names and countries, never a phone number, an id
//! or an address.

use std::sync::Arc;

use super::log_line::{self, Directive, Line, Unit};
use crate::domain::time::Timestamp;

/// CloudWatch's namespace of all metrics.
const NAMESPACE: &str = "lambda-otp";
/// A dimension that has no value: the country of an e-mail address, the carrier of a message that
/// no carrier accepted.
const NO_VALUE: &str = "-";

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

/// Counts metrics. Clones count together.
#[derive(Clone)]
pub struct Metrics(Sink);

#[derive(Clone)]
enum Sink {
    Log,
    Callback(Arc<dyn Fn(&str) + Send + Sync>),
}

impl Metrics {
    /// Adds them to the log, from which CloudWatch reads them: to the line of the work in which
    /// they are counted, see [`in_one_line`](super::log_line::in_one_line).
    #[must_use]
    pub const fn to_log() -> Self {
        Self(Sink::Log)
    }

    /// Passes each metric as a line of its own, without a line break, to `sink`.
    #[must_use]
    pub fn to_sink(sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self(Sink::Callback(Arc::new(sink)))
    }

    /// Counts `metric` at the time `now`.
    pub fn count(&self, metric: &Metric<'_>, now: Timestamp) {
        let line = line_of(metric, now);
        match &self.0 {
            Sink::Log => log_line::put(line),
            Sink::Callback(sink) => sink(&line.to_json()),
        }
    }
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

/// The members of `metric`, and which of them are metrics.
///
/// The times are not aggregated here: CloudWatch computes percentiles from single values.
fn line_of(metric: &Metric<'_>, now: Timestamp) -> Line {
    let mut line = Line::of_metrics(directives_of(metric), now);
    match *metric {
        Metric::Send { country } => {
            line.add("Sends", 1);
            // Also an approval of 0, so that the approval rate has a value where nothing was
            // approved.
            line.add("Approvals", 0);
            line.add("country", country.unwrap_or(NO_VALUE));
        }
        Metric::Refusal { limit } => {
            line.add("Refusals", 1);
            line.add("limit", limit);
        }
        Metric::Check => line.add("Checks", 1),
        Metric::Approval { country, seconds } => {
            line.add("Approvals", 1);
            line.add("Checks", 1);
            line.add("SendToApprovalSeconds", seconds);
            line.add("country", country.unwrap_or(NO_VALUE));
        }
        Metric::Delivery {
            carrier,
            country,
            status,
        } => {
            line.add("Deliveries", 1);
            line.add("carrier", carrier.unwrap_or(NO_VALUE));
            line.add("country", country.unwrap_or(NO_VALUE));
            line.add("status", status);
        }
        Metric::Report { carrier, seconds } => {
            line.add("SendToReportSeconds", seconds);
            line.add("carrier", carrier);
        }
        Metric::Factor(event) => add_factor(&mut line, event),
        Metric::Decision { decision, rule } => {
            line.add("Decisions", 1);
            line.add("decision", decision);
            line.add("rule", rule);
        }
    }
    line
}

const fn directives_of(metric: &Metric<'_>) -> &'static [Directive] {
    match metric {
        Metric::Send { .. } => SEND,
        Metric::Refusal { .. } => REFUSAL,
        Metric::Check => CHECK,
        Metric::Approval { .. } => APPROVAL,
        Metric::Delivery { .. } => DELIVERY,
        Metric::Report { .. } => REPORT,
        Metric::Factor(FactorEvent::Checked) => FACTOR_CHECK,
        Metric::Factor(FactorEvent::Accepted) => FACTOR_APPROVAL,
        Metric::Factor(FactorEvent::LockedOut) => FACTOR_LOCKOUT,
        Metric::Decision { .. } => DECISION,
    }
}

fn add_factor(line: &mut Line, event: FactorEvent) {
    match event {
        FactorEvent::Checked => line.add("FactorChecks", 1),
        FactorEvent::Accepted => {
            line.add("FactorChecks", 1);
            line.add("FactorApprovals", 1);
        }
        FactorEvent::LockedOut => line.add("FactorLockouts", 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line_of(metric: &Metric<'_>, now: Timestamp) -> Value {
        serde_json::from_str(&super::line_of(metric, now).to_json()).expect("JSON")
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
