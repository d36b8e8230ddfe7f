//! Limits: of one recipient, of client networks, prefixes and countries, and the spend cap of a
//! day. Each admits exactly its quota, announces when it ends, and counts no send that another one
//! rejects.

mod conversion;
mod conversion_sample;
mod country_units;
mod guess_budget;
mod isolation;
mod lost_responses;
mod recipient;
mod spend;
mod unsure_sends;
mod windows;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Service, TestResponse};

/// Numbers that differ in their last four digits only.
fn neighbor(n: u32) -> String {
    format!("+3361234{n:04}")
}

/// `sent`, or the limit that rejected the send and its scope, or another status code.
fn outcome(response: &TestResponse) -> String {
    match response.status {
        201 | 200 => "sent".to_owned(),
        429 => match (&response.body["limit"], &response.body["scope"]) {
            (Value::String(limit), Value::String(scope)) => format!("{limit} ({scope})"),
            (limit, _) => limit.as_str().unwrap_or_default().to_owned(),
        },
        status => format!("{status}"),
    }
}

/// How many responses have each outcome.
fn count_outcomes<'a>(
    responses: impl IntoIterator<Item = &'a TestResponse>,
) -> BTreeMap<String, usize> {
    let mut outcomes = BTreeMap::new();
    for response in responses {
        *outcomes.entry(outcome(response)).or_default() += 1;
    }
    outcomes
}

fn outcomes<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts
        .into_iter()
        .map(|(outcome, count)| (outcome.to_owned(), count))
        .collect()
}

/// Tests run in parallel, but their bursts do not: the calls of one would time out behind those of
/// another.
static BURST: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Sends all, with as many in flight as two cores can serve before the clients of the table time
/// out.
async fn send_all(service: &Service, bodies: impl IntoIterator<Item = Value>) -> Vec<TestResponse> {
    send_all_by(service, 25, bodies).await
}

/// Sends all, with at most `in_flight_max` in flight.
async fn send_all_by(
    service: &Service,
    in_flight_max: usize,
    bodies: impl IntoIterator<Item = Value>,
) -> Vec<TestResponse> {
    let _burst = BURST.lock().await;
    let (mut sends, mut responses) = (JoinSet::new(), vec![]);
    for body in bodies {
        if sends.len() == in_flight_max {
            responses.extend(sends.join_next().await.transpose().expect("a response"));
        }
        let service = service.clone();
        sends.spawn(async move { service.send_body(body).await });
    }
    responses.extend(sends.join_all().await);
    responses
}

/// Sends for a client at this address.
async fn send_from(service: &Service, to: &str, client_ip: &str) -> TestResponse {
    let body = json!({"to": to, "client_ip": client_ip});
    service.send_body(body).await
}
