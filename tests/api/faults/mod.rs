//! Faults of the table and the queue as apps see them: throttling, lost responses, crashes between
//! two writes.

mod check;
mod clock_skew;
mod conflicts;
mod deadlines;
mod direct_sns;
mod remembered_sends;
mod repeated_sends;
mod report;
mod rollback;
mod send;
mod unsure_writes;

use serde_json::Value;

use crate::support::{Service, TestResponse, assert_problem};

const NO_COOLDOWN: [(&str, &str); 1] = [("OTP_COOLDOWN_SECONDS", "0")];

/// Asserts that the response is a 503; returns its body without the request id, and its
/// `Retry-After`.
fn unavailable(response: &TestResponse) -> (Value, Option<String>) {
    assert_problem(response, 503, "unavailable");
    let mut body = response.body.clone();
    body["request_id"] = Value::Null;
    (body, response.header("retry-after").map(str::to_owned))
}

async fn attempts_left(service: &Service, id: &str) -> Value {
    service.show(id).await.body["attempts_left"].clone()
}
