//! One log line for each request: enough to follow it, and nothing that a client chose.

use serde_json::{Value, json};

use crate::support::{LocalProcess, TO, TestResponse, UNKNOWN_ID, assert_status};

/// A request with the first key of the process, and its `Request-Id`.
async fn call(
    process: &LocalProcess,
    method: &str,
    path: &str,
    body: Value,
) -> (TestResponse, String) {
    let body = (!body.is_null()).then_some(body);
    let response = process.call(method, path, body).await;
    let id = response.headers["request-id"]
        .to_str()
        .expect("text")
        .to_owned();
    (response, id)
}

#[tokio::test]
async fn every_request_has_one_line_with_its_links() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let mut expected = vec![];
    let (sent, request) = call(&process, "POST", "/v1/verifications", json!({"to": TO})).await;
    let id = sent.id();
    let prefix = format!("verification.id=\"{}\"", &id[..8]);
    let app = "app=\"default\"";
    expected.push((
        request,
        vec!["request completed", "status=201", app, prefix.as_str()],
    ));
    for (method, path, body, status, more) in [
        (
            "POST",
            "/v1/verifications".to_owned(),
            json!({"to": TO}),
            429,
            vec![app, "limit=\"cooldown\""],
        ),
        (
            "POST",
            format!("/v1/verifications/{id}/check"),
            json!({"code": "12"}),
            422,
            vec![
                app,
                prefix.as_str(),
                "fields=\"code\"",
                "error.kind=\"invalid_code\"",
            ],
        ),
        (
            "POST",
            format!("/v1/verifications/{id}/resend"),
            Value::Null,
            429,
            vec![app, prefix.as_str(), "limit=\"cooldown\""],
        ),
        (
            "GET",
            format!("/v1/verifications/{id}"),
            Value::Null,
            200,
            vec![app, prefix.as_str()],
        ),
        (
            "GET",
            format!("/v1/verifications/{UNKNOWN_ID}"),
            Value::Null,
            404,
            vec![app, "verification.id=\"ve_aaaaa\""],
        ),
        (
            "DELETE",
            format!("/v1/verifications/{id}"),
            Value::Null,
            200,
            vec![app, prefix.as_str()],
        ),
        (
            "GET",
            "/v1/verifications/nothing".to_owned(),
            Value::Null,
            404,
            vec![app],
        ),
        (
            "POST",
            "/v1/recipients/unlock".to_owned(),
            json!({"to": TO}),
            200,
            vec![app],
        ),
    ] {
        let (response, request) = call(&process, method, &path, body).await;
        assert_status(&response, status);
        let status = match status {
            200 => "status=200",
            404 => "status=404",
            422 => "status=422",
            _ => "status=429",
        };
        expected.push((request, [vec![status], more].concat()));
    }
    let printed = process.kill().await;
    for (request, parts) in expected {
        let lines: Vec<_> = printed
            .lines()
            .filter(|line| line.contains(&request))
            .collect();
        assert_eq!(lines.len(), 1, "{request}: {printed}");
        assert!(
            parts.iter().all(|part| lines[0].contains(part)),
            "{parts:?}: {}",
            lines[0]
        );
    }
    assert!(
        !printed.contains(&id) && !printed.contains("limit=\"\""),
        "{printed}"
    );
}

#[tokio::test]
async fn rejected_fields_are_logged_without_their_values() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let body = json!({"to": "+1 secret", "ttl_seconds": 7, "canary-4711": 1, "canary-0815": 2, "code_length": "canary"});
    let (response, request) = call(&process, "POST", "/v1/verifications", body).await;
    assert_status(&response, 422);
    let printed = process.kill().await;
    let line = printed.lines().find(|line| line.contains(&request));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(
        line.contains("fields=\"?,code_length,ttl_seconds\""),
        "{line}"
    );
    assert!(
        !printed.contains("canary") && !printed.contains("secret"),
        "{printed}"
    );
}

#[tokio::test]
async fn report_is_logged_with_its_carrier() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    call(&process, "POST", "/v1/verifications", json!({"to": TO})).await;
    let message = process.service.messages(TO).await.remove(0);
    assert_eq!(process.service.report(&message, "delivered").await, 200);
    let printed = process.kill().await;
    let line = printed
        .lines()
        .find(|line| line.contains("function=\"delivery-callback\""));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    assert!(
        line.contains("delivery.carrier=\"sim-a\"") && line.contains("status=200"),
        "{line}"
    );
}
