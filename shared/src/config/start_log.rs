//! The log lines of a start.

use crate::platform::environment::{LAMBDA_BYTES_MAX, own_lambda_bytes};

/// Logs the warnings, how much of Lambda's space for variables is used, and which version of the
/// configuration document is in force: 0 for none, nothing if it could not be read.
pub(super) fn log_start(function: &str, warnings: &[String], config_version: Option<u64>) {
    for warning in warnings {
        tracing::warn!(function, "{warning}");
    }
    tracing::info!(
        function,
        variables.bytes = own_lambda_bytes(),
        variables.bytes_max = LAMBDA_BYTES_MAX,
        config.version = config_version,
        "starting"
    );
}
