//! What each operation costs at the wire, compared with `wire_counts.txt`: calls to the table and
//! the queue, capacity units, and bytes of the bodies of these calls.
//!
//! And how many of these calls a request makes one after the other.
//!
//! A count that grows by more than 5 % fails: change the code, or that file in the same commit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::capacity::{consumed_by, without_late_reads};
use crate::support::{Fault, ProxiedService, TO, TestResponse, assert_status};

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
            without_late_reads(self.proxied.table.take_calls()),
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
    count_tenth_login(&mut counting).await;
    counting.counted
}

/// The check of a recipient with ten logins on one day, each with a key, a reference and a subject.
async fn count_tenth_login(counting: &mut Counting) {
    const SUBJECT: &str = "user-48151623";
    let to = "+12025550144";
    let mut id = String::new();
    for n in 0..10 {
        let reference = format!("3f2504e0-4f89-41d3-9a0c-{n:07}");
        let body = json!({"to": to, "client_ip": "192.0.2.1", "reference": reference,
            "subject": SUBJECT});
        counting.proxied.forget_calls();
        id = counting.send(body, &format!("login {n}")).await;
        let dispatches = counting.proxied.take_dispatches();
        counting.proxied.enqueue(&dispatches[0]).await;
        counting.proxied.service.settle().await;
    }
    let service = &counting.proxied.service;
    let code = service.wrong_code(to).await;
    counting.proxied.forget_calls();
    let body = json!({"code": code, "subject": SUBJECT});
    let checked = counting.proxied.service.check_body(&id, body).await;
    assert_eq!(checked.body["reason"], "wrong_code");
    counting.count("check, tenth login of a day");
}

/// Lets `request` make its calls to the table in groups of these sizes: each group waits until all
/// of its calls have arrived.
async fn respond_in_groups(
    proxied: &ProxiedService,
    groups: &[usize],
    request: impl Future<Output = TestResponse> + Send + 'static,
) {
    proxied.forget_calls();
    proxied.table.break_all(Fault::HoldRequest);
    let request = tokio::spawn(request);
    let mut calls = 0;
    for group in groups {
        calls += group;
        proxied.table.wait_for_held_calls(calls).await;
        proxied.table.release_held();
    }
    let response = request.await.expect("a response");
    assert!((200..300).contains(&response.status), "{response:?}");
    assert_eq!(proxied.table.take_calls().len(), calls);
}

#[tokio::test]
async fn send_and_resend_make_four_calls_in_sequence() {
    let variables = [("OTP_COOLDOWN_SECONDS", "0")];
    let body = json!({"to": TO, "client_ip": "192.0.2.1"});
    // Look up; the limits of client, prefix and country; save. The dispatch is the fourth.
    let groups = [1, 3, 1];
    let proxied = ProxiedService::start(&variables).await;
    proxied.keep_dispatches();
    let (service, sent) = (proxied.service.clone(), body.clone());
    let send = async move { service.send_with_key(sent, "a").await };
    respond_in_groups(&proxied, &groups, send).await;
    let proxied = ProxiedService::start(&variables).await;
    proxied.keep_dispatches();
    let id = proxied.service.send_body(body).await.id();
    let service = proxied.service.clone();
    let resend = async move {
        let path = format!("/v1/verifications/{id}/resend");
        let body = json!({"client_ip": "192.0.2.1"});
        service.call("POST", &path, Some(body)).await
    };
    respond_in_groups(&proxied, &groups, resend).await;
}

#[tokio::test]
async fn worker_makes_two_calls_in_sequence() {
    let proxied = ProxiedService::start(&[]).await;
    proxied.keep_dispatches();
    assert_status(&proxied.service.send(TO).await, 201);
    let dispatches = proxied.take_dispatches();
    proxied.forget_calls();
    proxied.table.break_all(Fault::HoldRequest);
    proxied.enqueue(&dispatches[0]).await;
    // The claim and the breakers; then the outcome.
    proxied.table.wait_for_held_calls(2).await;
    proxied.table.clear_faults();
    proxied.table.release();
    proxied.service.settle().await;
    let calls = without_late_reads(proxied.table.take_calls());
    assert_eq!(calls.len(), 3, "{calls:?}");
}

#[tokio::test]
async fn start_opens_the_connections_of_the_first_calls() {
    let (proxied, _) = ProxiedService::start_processes(&[], &[], 1).await;
    assert_status(&proxied.service.send(TO).await, 201);
    proxied.service.settle().await;
    // `send` and `carrier-worker` call the table twice at the same time.
    assert_eq!((proxied.table.openings(), proxied.queue.openings()), (4, 1));
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

/// The cells of a row of the costs page, without spaces around them.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn costs_page_computes_with_the_listed_units() {
    let page = include_str!("../../docs/costs.md");
    let expected = expected();
    let round = [
        "send, key and client_ip",
        "worker",
        "report",
        "check, right",
    ];
    for (component, column, price) in [("DynamoDB writes", 1, 0.625), ("DynamoDB reads", 2, 0.125)]
    {
        let units: f64 = round
            .map(|operation| expected[operation][column])
            .iter()
            .sum();
        let row = page.lines().find(|line| line.contains(component));
        let costs = cells(row.expect("a row"))[2].parse();
        let computed = (units * price * 100.0).round() / 100.0;
        assert_eq!(costs, Ok(computed), "{component}: {units} units");
    }
    let mut sum = 0.0;
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| component"));
    for row in rows.skip(2).map(cells) {
        if row[0] == "**sum**" {
            let listed = row[2].trim_matches('*');
            println!("a million verifications: ${listed}");
            assert_eq!(listed, format!("{sum:.2}"));
            return;
        }
        sum += row[2].parse::<f64>().expect("a price");
    }
    panic!("no sum");
}
