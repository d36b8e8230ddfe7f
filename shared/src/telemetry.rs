//! Logs: one JSON object a line in Lambda, readable lines at home. The only file that names the log subscriber.
//! Must never be handed a code, a full number, a body or a header.

use tracing_subscriber::fmt::time::SystemTime;

/// Who reads the logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// CloudWatch Logs.
    Lambda,
    /// A person in front of a terminal.
    Person,
}

/// Starts logging; a second call changes nothing.
pub fn init(reader: Reader) {
    quiet_panics();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_timer(SystemTime).with_writer(std::io::stderr);
    let _ = match reader {
        Reader::Lambda => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        Reader::Person => lines.with_target(false).compact().try_init(),
    };
}

/// A panic says where it happened, never what it held: a payload may be made of input.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(error.kind = "panic", error.place = place, "a function panicked");
    }));
}
