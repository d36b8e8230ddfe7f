//! Metrics: what is counted. Metric filters in `template.yaml` read it from the lines of the log,
//! with the units and dimensions; the local server reads it through a callback, with these filters.
//!
//! Invariant: dimensions are closed sets, carrier names and countries, never a phone number, an id
//! or an address.
//! Invariant: a line with a metric has all its dimensions, so that no filter counts it without one.

use std::sync::Arc;

use super::log_line::{self, Line};

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
    /// Adds them to the log, from which metric filters read them: to the line of the work in which
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

    /// Counts `metric`.
    pub fn count(&self, metric: &Metric<'_>) {
        let line = line_of(metric);
        match &self.0 {
            Sink::Log => log_line::put(line),
            Sink::Callback(sink) => sink(&line.to_json()),
        }
    }
}

/// The members of `metric`, and which of them are metrics.
///
/// The times are not aggregated here: CloudWatch computes percentiles from single values.
fn line_of(metric: &Metric<'_>) -> Line {
    let mut line = Line::default();
    match *metric {
        Metric::Send { country } => {
            line.add_metric("Sends", 1);
            // Also an approval of 0, so that the approval rate has a value where nothing was
            // approved.
            line.add_metric("Approvals", 0);
            line.add("country", country.unwrap_or(NO_VALUE));
        }
        Metric::Refusal { limit } => {
            line.add_metric("Refusals", 1);
            line.add("limit", limit);
        }
        Metric::Check => line.add_metric("Checks", 1),
        Metric::Approval { country, seconds } => {
            line.add_metric("Approvals", 1);
            line.add_metric("Checks", 1);
            line.add_metric("SendToApprovalSeconds", seconds);
            line.add("country", country.unwrap_or(NO_VALUE));
        }
        Metric::Delivery {
            carrier,
            country,
            status,
        } => {
            line.add_metric("Deliveries", 1);
            line.add("carrier", carrier.unwrap_or(NO_VALUE));
            line.add("country", country.unwrap_or(NO_VALUE));
            line.add("status", status);
        }
        Metric::Report { carrier, seconds } => {
            line.add_metric("SendToReportSeconds", seconds);
            line.add("carrier", carrier);
        }
        Metric::Factor(event) => add_factor(&mut line, event),
        Metric::Decision { decision, rule } => {
            line.add_metric("Decisions", 1);
            line.add("decision", decision);
            line.add("rule", rule);
        }
    }
    line
}

fn add_factor(line: &mut Line, event: FactorEvent) {
    match event {
        FactorEvent::Checked => line.add_metric("FactorChecks", 1),
        FactorEvent::Accepted => {
            line.add_metric("FactorChecks", 1);
            line.add_metric("FactorApprovals", 1);
        }
        FactorEvent::LockedOut => line.add_metric("FactorLockouts", 1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line_of(metric: &Metric<'_>) -> Value {
        serde_json::from_str(&super::line_of(metric).to_json()).expect("JSON")
    }

    #[test]
    fn line_has_values_and_dimensions() {
        let delivery = Metric::Delivery {
            carrier: Some("sim-a"),
            country: None,
            status: "sent",
        };
        let approval = Metric::Approval {
            country: Some("FR"),
            seconds: 7,
        };
        for (metric, expected) in [
            (
                Metric::Send { country: None },
                json!({"Sends": 1, "Approvals": 0, "country": "-"}),
            ),
            (
                delivery,
                json!({"Deliveries": 1, "carrier": "sim-a", "country": "-", "status": "sent"}),
            ),
            (
                approval,
                json!({"Approvals": 1, "Checks": 1, "SendToApprovalSeconds": 7, "country": "FR"}),
            ),
        ] {
            assert_eq!(line_of(&metric), expected);
        }
    }
}
