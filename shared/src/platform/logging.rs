//! Logging: one JSON object a line in Lambda, readable lines in the local server. The only file
//! that names the log subscriber.
//!
//! Invariant: no code, no full phone number, no body and no header is passed to a log.

use std::{error::Error, iter};

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, time::SystemTime};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How a log line is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// One JSON object a line, for CloudWatch Logs.
    Json,
    /// Text, for a terminal.
    Text,
}

/// Most errors of a chain in one line.
const CAUSES_MAX: usize = 12;
/// Longest text of a chain, in characters.
const CAUSE_CHARS_MAX: usize = 500;

/// `error` and its chain of sources, the outermost first, separated by `: `; at most 12 errors and
/// 500 characters.
///
/// Uses `Display`, never `Debug`: the SDK's errors contain the response, which may contain an item.
pub fn causes(error: &dyn Error) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = chain.take(CAUSES_MAX).map(ToString::to_string).collect();
    texts.join(": ").chars().take(CAUSE_CHARS_MAX).collect()
}

/// Starts logging to standard error. Further calls have no effect.
pub fn init(format: Format) {
    log_panics();
    // Spans appear in no line, and the libraries would open a dozen of them for each call. The
    // embedded DynamoDB engine warns about each failed condition, which is an ordinary outcome for
    // the store.
    let relevant = filter_fn(|callsite| {
        callsite.is_event()
            && *callsite.level() <= Level::INFO
            && !callsite.target().starts_with("dynoxide")
    });
    let lines = fmt::layer()
        .with_timer(SystemTime)
        .with_writer(std::io::stderr);
    let _ = match format {
        Format::Json => registry()
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_filter(relevant),
            )
            .try_init(),
        Format::Text => registry()
            .with(lines.with_target(false).compact().with_filter(relevant))
            .try_init(),
    };
}

/// Logs where a panic happened, but not its message, which may contain input.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(error.kind = "panic", error.place = place, "a task panicked");
    }));
}
