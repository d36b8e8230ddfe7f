//! The log lines of the functions that run on the thread of a test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// One log line.
#[derive(Clone, Debug)]
pub struct LogLine {
    pub level: Level,
    /// The fields, as text.
    pub fields: BTreeMap<String, String>,
}

impl LogLine {
    /// The text of a field; empty without it.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

thread_local! {
    /// The lines of this thread, while it captures them.
    static CAPTURED: RefCell<Option<Vec<LogLine>>> = const { RefCell::new(None) };
}

/// Captures what is logged on this thread until it is dropped. A test with a runtime of one thread
/// captures the functions that run in its process; functions that run as processes log elsewhere.
pub struct LogCapture;

impl LogCapture {
    pub fn start() -> Self {
        // One subscriber for all threads: with one for each thread, `tracing` may remember that a
        // line is of interest to none of them.
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            tracing::subscriber::set_global_default(Capturing).expect("no other subscriber");
        });
        CAPTURED.set(Some(vec![]));
        Self
    }

    /// The lines since the last call.
    pub fn take(&self) -> Vec<LogLine> {
        CAPTURED.replace(Some(vec![])).unwrap_or_default()
    }
}

impl Drop for LogCapture {
    fn drop(&mut self) {
        CAPTURED.set(None);
    }
}

struct Capturing;

impl Subscriber for Capturing {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::INFO
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        CAPTURED.with_borrow_mut(|captured| {
            let Some(lines) = captured else { return };
            let mut line = LogLine {
                level: *event.metadata().level(),
                fields: BTreeMap::new(),
            };
            event.record(&mut line);
            lines.push(line);
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for LogLine {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields
            .insert(field.name().to_owned(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields
            .insert(field.name().to_owned(), value.to_owned());
    }
}
