//! Logging: one JSON object a line on standard output in Lambda, readable lines on standard error
//! in the local server. The only file that names the log subscriber.
//!
//! Invariant: no code, no full phone number, no body and no header is passed to a log.

use std::{error::Error, fmt::Debug, iter};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, time::SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::clock::Clock;
use super::log_line::{self, Line};

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
    let mut texts: Vec<String> = chain.take(CAUSES_MAX).map(ToString::to_string).collect();
    // An error that only wraps another one has its text.
    texts.dedup();
    texts.join(": ").chars().take(CAUSE_CHARS_MAX).collect()
}

/// Starts logging. Further calls have no effect.
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
    let _ = match format {
        Format::Json => registry()
            .with(JsonLines(Clock::default()).with_filter(relevant))
            .try_init(),
        Format::Text => registry()
            .with(
                fmt::layer()
                    .with_timer(SystemTime)
                    .with_writer(std::io::stderr)
                    .with_target(false)
                    .compact()
                    .with_filter(relevant),
            )
            .try_init(),
    };
}

/// Writes each event as JSON, joined with what else belongs to the work of the task.
struct JsonLines(Clock);

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (metadata, at_millis) = (event.metadata(), self.0.now_millis());
        let mut line = match *metadata.level() {
            Level::ERROR => Line::of_problem("ERROR", metadata.target(), at_millis),
            Level::WARN => Line::of_problem("WARN", metadata.target(), at_millis),
            _ => Line::of_event(at_millis),
        };
        event.record(&mut Members(&mut line));
        log_line::put(line);
    }
}

/// Adds the fields of an event to a line.
struct Members<'l>(&'l mut Line);

impl Visit for Members<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.0.add_message(text),
            name => self.0.add(name, text),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.add(field.name(), value);
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::log_line::tests::lines_of;
    use super::*;

    #[test]
    fn causes_that_repeat_a_text_have_it_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{0}")]
        struct Chain(&'static str, #[source] Option<Box<Chain>>);
        let chain = |texts: [&'static str; 3]| {
            let texts = texts.into_iter().rev();
            texts.fold(None, |source, text| Some(Box::new(Chain(text, source))))
        };
        let causes = |texts| chain(texts).map(|error| causes(&*error));
        assert_eq!(causes(["a", "b", "b"]).as_deref(), Some("a: b"));
        assert_eq!(causes(["a", "b", "a"]).as_deref(), Some("a: b: a"));
    }

    #[tokio::test]
    async fn event_is_written_with_its_fields() {
        let subscriber = registry().with(JsonLines(Clock::default()));
        let _guard = tracing::subscriber::set_default(subscriber);
        let lines = lines_of(async {
            tracing::info!(
                app = "a",
                status = 201,
                is_new = true,
                absent = None::<&str>,
                receipt = ?Some("x"),
                "sent to {}",
                "one"
            );
            tracing::error!(error.kind = "k", "failed");
        });
        let mut lines = lines.await;
        for line in &mut lines {
            let timestamp = line["timestamp"].take();
            assert!(
                timestamp.as_str().is_some_and(|at| at.ends_with('Z')),
                "{timestamp}"
            );
        }
        let failed = json!({
            "timestamp": null, "level": "ERROR", "message": "failed", "error.kind": "k",
            "target": "otp::platform::logging::tests",
        });
        let sent = json!({
            "timestamp": null, "level": "INFO", "message": "sent to one", "app": "a",
            "status": 201, "is_new": true, "receipt": "Some(\"x\")",
        });
        assert_eq!(lines, [failed, sent]);
    }
}
