//! Untrusted input: each malformed request is rejected with a 4xx in time, no value is guessed, and
//! the service continues to work.

mod corpora;
mod bodies;
mod paths_and_headers;
mod samples;

use std::time::Duration;

use crate::support::{DEFAULT_KEY, Service, TestResponse, phone};

/// How much longer a rejection may take than that of a JSON string of the same length. The best of
/// five of each is compared, because the machine may be busy.
const SLOWDOWN_MAX: u32 = 20;

const MIB: usize = 1024 * 1024;

/// Asserts that a code can be sent and approved.
async fn assert_works(service: &Service, n: u32) {
    let (id, code) = service.open(&phone(n)).await;
    assert!(service.check(&id, &code).await.is_valid());
}

/// Asserts that the request is rejected with a 4xx, five times, and in time; returns the first
/// response.
async fn assert_rejected_quickly(
    service: &Service,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    case: &str,
) -> TestResponse {
    let (mut best, mut plain, mut responses) = (Duration::MAX, Duration::MAX, vec![]);
    let same_length = format!("\"{}\"", "a".repeat(body.len().saturating_sub(2)));
    for _ in 0..5 {
        plain = plain.min(
            service
                .raw(method, path, headers, same_length.clone())
                .await
                .took,
        );
        let response = service.raw(method, path, headers, body.to_vec()).await;
        best = best.min(response.took);
        assert!(
            (400..500).contains(&response.status),
            "{case}: {method} {path}: {response:?}"
        );
        responses.push(response);
    }
    assert!(
        best < plain * SLOWDOWN_MAX,
        "{case}: {method} {path} took {best:?}, a string of that length {plain:?}"
    );
    responses.swap_remove(0)
}

/// The headers of a JSON request of app `default`; `bearer` is the value of `Authorization`.
fn json_headers(bearer: &str) -> [(&str, &str); 2] {
    [
        ("authorization", bearer),
        ("content-type", "application/json"),
    ]
}

fn bearer() -> String {
    format!("Bearer {DEFAULT_KEY}")
}
