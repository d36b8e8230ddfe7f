//! One line of the log: a JSON object with the fields of an event and the metrics that belong to
//! it. The lines of one piece of work are joined, so that its outcome and its metrics are one line.
//!
//! Invariants: warnings and errors are lines of their own, written at once. A joined line says
//! what its parts say: parts with different values for one name, or with the same metric, are
//! separate lines.

use std::cell::RefCell;
use std::io::Write as _;
use std::pin::Pin;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use crate::domain::time::Timestamp;

/// What an event is, besides its fields.
struct Event {
    level: &'static str,
    at_millis: i64,
    /// The module; only of warnings and errors.
    target: Option<&'static str>,
}

/// A line, until it is written.
#[derive(Default)]
pub(super) struct Line {
    event: Option<Event>,
    messages: Vec<String>,
    members: Vec<(&'static str, Value)>,
    /// The names of the members that are metrics.
    metrics: Vec<&'static str>,
}

/// The member of an event's text.
const MESSAGE: &str = "message";

impl Line {
    /// Of an event without urgency.
    pub(super) fn of_event(at_millis: i64) -> Self {
        Self::of(Event {
            level: "INFO",
            at_millis,
            target: None,
        })
    }

    /// Of a warning or an error in the module `target`.
    pub(super) fn of_problem(level: &'static str, target: &'static str, at_millis: i64) -> Self {
        Self::of(Event {
            level,
            at_millis,
            target: Some(target),
        })
    }

    fn of(event: Event) -> Self {
        Self {
            event: Some(event),
            ..Self::default()
        }
    }

    /// Adds a member.
    pub(super) fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.members.push((name, value.into()));
    }

    /// Adds a member that is counted.
    pub(super) fn add_metric(&mut self, name: &'static str, value: i64) {
        self.metrics.push(name);
        self.add(name, value);
    }

    /// Adds a part of the event's text.
    pub(super) fn add_message(&mut self, text: String) {
        self.messages.push(text);
    }

    /// The line as JSON, without a line break.
    pub(super) fn to_json(&self) -> String {
        // Strings and numbers always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    fn is_problem(&self) -> bool {
        self.event.as_ref().is_some_and(|e| e.target.is_some())
    }

    fn value_of(&self, name: &str) -> Option<&Value> {
        let mut members = self.members.iter();
        members.find_map(|(own, value)| (*own == name).then_some(value))
    }

    /// Whether both are true in one line.
    fn agrees_with(&self, other: &Self) -> bool {
        let mut members = other.members.iter();
        members.all(|(name, value)| match self.value_of(name) {
            Some(own) => own == value && !self.metrics.contains(name),
            None => true,
        })
    }

    /// Adds what `other` says and this line does not.
    fn join(&mut self, other: Self) {
        self.event = other.event.or(self.event.take());
        self.messages.extend(other.messages);
        for (name, value) in other.members {
            if self.value_of(name).is_none() {
                self.members.push((name, value));
            }
        }
        self.metrics.extend(other.metrics);
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(event) = &self.event {
            map.serialize_entry("timestamp", &rfc3339(event.at_millis))?;
            map.serialize_entry("level", event.level)?;
            map.serialize_entry(MESSAGE, &self.messages.join("; "))?;
        }
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        if let Some(target) = self.event.as_ref().and_then(|event| event.target) {
            map.serialize_entry("target", target)?;
        }
        map.end()
    }
}

/// Such as `2026-11-21T20:00:00.123Z`.
fn rfc3339(millis: i64) -> String {
    let mut text = Timestamp(millis.div_euclid(1000)).to_string();
    text.truncate(text.len() - 1);
    format!("{text}.{:03}Z", millis.rem_euclid(1000))
}

tokio::task_local! {
    /// The line of the work that this task does.
    static HELD: Held;
}

/// A line to which more may be added. It is written at the end, however the work ends.
struct Held {
    line: RefCell<Option<Line>>,
    write: Box<dyn Fn(&str) + Send>,
}

impl Held {
    fn new(write: impl Fn(&str) + Send + 'static) -> Self {
        Self {
            line: RefCell::default(),
            write: Box::new(write),
        }
    }

    fn put(&self, line: Line) {
        if line.is_problem() {
            return (self.write)(&line.to_json());
        }
        let mut held = self.line.borrow_mut();
        match held.as_mut() {
            Some(held) if held.agrees_with(&line) => held.join(line),
            _ => {
                let earlier = held.replace(line);
                earlier
                    .iter()
                    .for_each(|line| (self.write)(&line.to_json()));
            }
        }
    }

    fn write(&self) {
        let line = self.line.take();
        line.iter().for_each(|line| (self.write)(&line.to_json()));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.write();
    }
}

/// Does `work`, such as a request or a record of a batch. Its events and metrics are written as one
/// line when it ends.
pub fn in_one_line<'w, T: 'w>(
    work: impl Future<Output = T> + Send + 'w,
) -> Pin<Box<dyn Future<Output = T> + Send + 'w>> {
    // Boxed first, so that it is moved once only: it may be large.
    let work: Pin<Box<dyn Future<Output = T> + Send + 'w>> = Box::pin(work);
    Box::pin(hold(Held::new(print), work))
}

async fn hold<T>(held: Held, work: impl Future<Output = T>) -> T {
    let written = async {
        let result = work.await;
        HELD.with(Held::write);
        result
    };
    HELD.scope(held, written).await
}

/// Adds `line` to that of the work which this task does; without such work it is written at once.
pub(super) fn put(line: Line) {
    let mut line = Some(line);
    let put = HELD.try_with(|held| line.take().into_iter().for_each(|line| held.put(line)));
    if put.is_err() {
        line.iter().for_each(|line| print(&line.to_json()));
    }
}

/// Writes to standard output, which CloudWatch reads. One write for each line, or Lambda would
/// split it. A failed write is ignored: logs must not fail a request.
fn print(line: &str) {
    let line = format!("{line}\n");
    drop(std::io::stdout().lock().write_all(line.as_bytes()));
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use serde_json::json;

    use super::*;

    /// The lines that `work` writes.
    pub(in crate::platform) async fn lines_of(work: impl Future<Output = ()>) -> Vec<Value> {
        let lines = Arc::new(Mutex::new(vec![]));
        let written = lines.clone();
        let write = move |line: &str| {
            let line = serde_json::from_str(line).expect("JSON");
            written
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        };
        hold(Held::new(write), work).await;
        lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn event(message: &str, members: &[(&'static str, &str)]) -> Line {
        let mut line = Line::of_event(1_795_291_200_123);
        line.add_message(message.to_owned());
        for (name, value) in members {
            line.add(name, *value);
        }
        line
    }

    fn counted(metric: &'static str, dimension: &'static str, value: &str) -> Line {
        let mut line = Line::default();
        line.add_metric(metric, 1);
        line.add(dimension, value);
        line
    }

    #[tokio::test]
    async fn outcome_and_metrics_are_one_line() {
        let lines = lines_of(async {
            put(counted("Sends", "country", "FR"));
            put(event("called", &[("app", "a"), ("carrier", "c")]));
            put(counted("Reports", "carrier", "c"));
            put(event("completed", &[("app", "a")]));
        });
        let expected = json!({
            "timestamp": "2026-11-21T20:00:00.123Z", "level": "INFO", "message": "called; completed",
            "Sends": 1, "country": "FR", "app": "a", "carrier": "c", "Reports": 1,
        });
        assert_eq!(lines.await, [expected]);
    }

    #[tokio::test]
    async fn different_values_of_a_name_are_separate_lines() {
        let lines = lines_of(async {
            put(event("called", &[("carrier", "a")]));
            put(counted("Reports", "carrier", "a"));
            put(event("called", &[("carrier", "b")]));
            put(counted("Reports", "carrier", "b"));
        });
        let lines: Vec<_> = lines
            .await
            .iter()
            .map(|line| (line["carrier"].clone(), line["Reports"].clone()))
            .collect();
        assert_eq!(lines, [(json!("a"), json!(1)), (json!("b"), json!(1))]);
    }

    #[tokio::test]
    async fn metric_counted_twice_is_two_lines() {
        let lines = lines_of(async {
            put(counted("Sends", "country", "FR"));
            put(counted("Sends", "country", "FR"));
            put(event("completed", &[]));
        });
        let lines = lines.await;
        let sends: Vec<_> = lines.iter().map(|line| line["Sends"].clone()).collect();
        assert_eq!(sends, [1, 1]);
        assert_eq!(
            (&lines[0]["message"], &lines[1]["message"]),
            (&json!(null), &json!("completed"))
        );
    }

    #[tokio::test]
    async fn problem_is_a_line_of_its_own() {
        let lines = lines_of(async {
            put(counted("Sends", "country", "FR"));
            let mut problem = Line::of_problem("ERROR", "otp::x", 0);
            problem.add_message("failed".to_owned());
            put(problem);
            put(event("completed", &[]));
        });
        let lines = lines.await;
        let problem = json!({
            "timestamp": "1970-01-01T00:00:00.000Z", "level": "ERROR", "message": "failed",
            "target": "otp::x",
        });
        assert_eq!(lines[0], problem);
        assert_eq!((lines.len(), &lines[1]["Sends"]), (2, &json!(1)));
    }

    #[tokio::test]
    async fn line_of_cancelled_work_is_written() {
        let written = Arc::new(Mutex::new(0));
        let counted = written.clone();
        let held = Held::new(move |_| {
            *counted.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        });
        let endless = hold(held, async {
            put(event("called", &[]));
            std::future::pending::<()>().await;
        });
        drop(tokio::time::timeout(std::time::Duration::ZERO, endless).await);
        assert_eq!(*written.lock().unwrap_or_else(PoisonError::into_inner), 1);
    }
}
