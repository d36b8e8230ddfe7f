//! Logs: one JSON object a line in Lambda, readable lines at home. The only file that names the log subscriber.
//! Must never be handed a code, a full number, a body or a header.

use std::{error::Error, iter};

use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, time::SystemTime};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Who reads the logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// CloudWatch Logs.
    Lambda,
    /// A person in front of a terminal.
    Person,
}

/// Most errors behind an error that are told.
const CAUSES_MAX: usize = 12;
/// Longest cause, in characters: a line that a person still reads.
const CAUSE_CHARS_MAX: usize = 500;

/// What `error` and the errors behind it say of themselves, the outermost first. Never what they print for debugging: the SDK's
/// errors hold the answer that they are about, and that may hold an item.
pub fn causes(error: &dyn Error) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    let said: Vec<String> = chain.take(CAUSES_MAX).map(ToString::to_string).collect();
    said.join(": ").chars().take(CAUSE_CHARS_MAX).collect()
}

/// Starts logging; a second call changes nothing.
pub fn init(reader: Reader) {
    quiet_panics();
    // Spans are in no line, and the libraries would open a dozen of them a call. The embedded engine warns about each refused
    // condition, which is how the store works.
    let ours = filter_fn(|callsite| {
        callsite.is_event()
            && *callsite.level() <= Level::INFO
            && !callsite.target().starts_with("dynoxide")
    });
    let lines = fmt::layer()
        .with_timer(SystemTime)
        .with_writer(std::io::stderr);
    let _ = match reader {
        Reader::Lambda => registry()
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(false)
                    .with_span_list(false)
                    .with_filter(ours),
            )
            .try_init(),
        Reader::Person => registry()
            .with(lines.with_target(false).compact().with_filter(ours))
            .try_init(),
    };
}

/// A panic says where it happened, never what it held: a payload may be made of input.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(
            error.kind = "panic",
            error.place = place,
            "a function panicked"
        );
    }));
}
