//! What each operation costs at the wire, compared with `wire_counts.txt`: calls to the table and
//! the queue, capacity units, and bytes of the bodies of these calls.
//!
//! A count that grows by more than 5 % fails: change the code, or that file in the same commit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::capacity::consumed_by;
use crate::support::{ProxiedService, TO, assert_status};

const EXPECTED: &str = include_str!("wire_counts.txt");
/// Most that a count may be of the expected one.
const MULTIPLE_MAX: f64 = 1.05;
/// The columns of the file after the operation.
const COLUMNS: [&str; 5] = [
    "calls",
    "write units",
    "read units",
    "bytes out",
    "bytes in",
];

type Counts = [f64; COLUMNS.len()];

/// Counts operations of a service whose dispatches are kept from the queue.
struct Counting {
    proxied: ProxiedService,
    counted: Vec<(&'static str, Counts)>,
}

impl Counting {
    async fn start() -> Self {
        let variables = [("OTP_COOLDOWN_SECONDS", "0"), ("OTP_SENDS_PER_HOUR", "100")];
        let proxied = ProxiedService::start(&variables).await;
        proxied.keep_dispatches();
        Self {
            proxied,
            counted: vec![],
        }
    }

    /// Counts what was done since the last time. Returns the dispatches.
    fn count(&mut self, operation: &'static str) -> Vec<String> {
        let (table, queue) = (
            self.proxied.table.take_calls(),
            self.proxied.queue.take_calls(),
        );
        let all = || table.iter().chain(&queue);
        let consumed = consumed_by(&table);
        let number = |count: usize| f64::from(u32::try_from(count).expect("few"));
        self.counted.push((
            operation,
            [
                number(all().count()),
                consumed.write_units,
                consumed.read_units,
                number(all().map(|call| call.bytes_out).sum()),
                number(all().map(|call| call.bytes_in).sum()),
            ],
        ));
        let dispatches = queue.iter().map(|call| &call.body["MessageBody"]);
        dispatches
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }

    async fn send(&self, body: Value, key: &str) -> String {
        self.proxied.service.send_with_key(body, key).await.id()
    }
}

/// Each operation on one recipient, from the first send to a report about a cancelled verification.
async fn count_operations() -> Vec<(&'static str, Counts)> {
    let mut counting = Counting::start().await;
    let full = json!({"to": TO, "client_ip": "192.0.2.1"});
    counting.proxied.service.send(TO).await;
    counting.count("send, new");
    counting.proxied.service.send(TO).await;
    counting.count("send, known");
    let id = counting.send(full.clone(), "a").await;
    let dispatches = counting.count("send, key and client_ip");
    counting.proxied.enqueue(&dispatches[0]).await;
    counting.proxied.service.settle().await;
    counting.count("worker");
    assert_eq!(counting.send(full, "a").await, id);
    counting.count("send, repeated with its key");
    let service = &counting.proxied.service;
    let message = service.messages(TO).await.remove(0);
    let right = service.code(TO).await;
    let wrong = service.wrong_code(TO).await;
    assert_status(&service.show(&id).await, 200);
    counting.count("get");
    let service = &counting.proxied.service;
    assert_eq!(service.report(&message, "delivered").await, 200);
    counting.count("report");
    let service = &counting.proxied.service;
    let checked = service.check(&id, &wrong).await;
    assert_eq!(checked.body["reason"], "wrong_code");
    counting.count("check, wrong");
    let service = &counting.proxied.service;
    assert!(service.check(&id, &right).await.is_valid());
    counting.count("check, right");
    let service = &counting.proxied.service;
    let id = service.send(TO).await.id();
    counting.proxied.forget_calls();
    assert_status(&counting.proxied.service.resend(&id).await, 200);
    counting.count("resend");
    assert_status(&counting.proxied.service.cancel(&id).await, 200);
    counting.count("cancel");
    counting.counted
}

/// The lines of the file: operation and counts, separated by ` | `.
fn expected() -> BTreeMap<&'static str, Counts> {
    let lines = EXPECTED.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &'static str| {
        let mut parts = line.split(" | ");
        let operation = parts.next().expect("an operation");
        let counts: Vec<f64> = parts.map(|part| part.parse().expect("a number")).collect();
        (
            operation,
            counts.try_into().expect("a number for each column"),
        )
    };
    lines.map(parse).collect()
}

#[tokio::test]
async fn operations_cost_no_more_than_listed() {
    let (expected, counted) = (expected(), count_operations().await);
    let (mut problems, mut table) = (vec![], String::new());
    for (operation, counts) in &counted {
        let listed = expected.get(operation).copied().unwrap_or_default();
        let texts = counts.map(|count| count.to_string());
        let _ = writeln!(table, "{operation} | {}", texts.join(" | "));
        for ((count, most), column) in counts.iter().zip(listed).zip(COLUMNS) {
            if *count > most * MULTIPLE_MAX {
                problems.push(format!("{operation}: {column} {count}, listed {most}"));
            }
        }
    }
    assert!(
        problems.is_empty(),
        "{problems:#?}\nthe counts now:\n{table}"
    );
    assert_eq!(counted.len(), expected.len(), "the counts now:\n{table}");
}
