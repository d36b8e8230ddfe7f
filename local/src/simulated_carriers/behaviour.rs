//! How a simulated carrier behaves, as `POST /local/carriers/{name}` sets it.

use serde::{Deserialize, Serialize};

/// The statuses that a simulated carrier can report.
const REPORT_STATUSES: [&str; 6] = [
    "queued",
    "sent",
    "delivered",
    "undelivered",
    "rejected",
    "expired",
];
/// The value of `report` for a carrier that reports nothing by itself.
const NO_REPORT: &str = "none";

/// What happens to a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Accepted and delivered to the phone.
    #[default]
    Ok,
    /// Rejected permanently.
    Reject,
    /// 429, with `retry_after` if it is set.
    Throttle,
    /// 500.
    Error,
    /// Connections are refused.
    Down,
    /// Delivered to the phone, but the response never arrives.
    Hang,
    /// Accepted, but not delivered to the phone.
    Lose,
}

/// The body of `POST /local/carriers/{name}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    pub(crate) mode: Mode,
    /// `Retry-After` of mode `throttle`, in seconds.
    #[serde(default)]
    pub(super) retry_after: Option<u32>,
    /// Delay before the response.
    #[serde(default)]
    pub(super) delay_ms: Option<u32>,
    #[serde(default)]
    report: Option<String>,
}

impl Behaviour {
    /// Of `mode`, without delay and reports.
    pub(super) fn of_mode(mode: Mode) -> Self {
        Self {
            mode,
            ..Self::default()
        }
    }

    /// Whether `report` has an allowed value.
    pub(crate) fn is_valid(&self) -> bool {
        self.report_status().is_none_or(is_report_status)
    }

    /// The status that the carrier reports by itself.
    pub(super) fn report_status(&self) -> Option<&str> {
        self.report.as_deref().filter(|status| *status != NO_REPORT)
    }
}

/// Whether a simulated carrier can report `status`.
pub(crate) fn is_report_status(status: &str) -> bool {
    REPORT_STATUSES.contains(&status)
}
