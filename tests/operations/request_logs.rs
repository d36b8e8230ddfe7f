//! One log line for each request: enough to follow it, and nothing that a client chose.

use serde_json::{Value, json};

use crate::support::{
    LocalProcess, TO, TestResponse, UNKNOWN_ID, assert_fields, assert_status, built_functions,
};

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

/// What a line about a request must contain besides its status, by method, path, body and status.
type Request = (&'static str, String, Value, u16, &'static [&'static str]);

/// In a part, `ID` means the beginning of the verification's id.
fn requests(id: &str) -> [Request; 8] {
    let verification = format!("/v1/verifications/{id}");
    let to = || json!({"to": TO});
    let limited: &[&str] = &["limit=\"cooldown\""];
    let invalid: &[&str] = &["ID", "fields=\"code\"", "error.kind=\"invalid_code\""];
    let unknown = format!("/v1/verifications/{UNKNOWN_ID}");
    let nothing = "/v1/verifications/nothing".to_owned();
    let (check, resend) = (
        format!("{verification}/check"),
        format!("{verification}/resend"),
    );
    [
        ("POST", "/v1/verifications".to_owned(), to(), 429, limited),
        ("POST", check, json!({"code": "12"}), 422, invalid),
        (
            "POST",
            resend,
            Value::Null,
            429,
            &["ID", "limit=\"cooldown\""],
        ),
        ("GET", verification.clone(), Value::Null, 200, &["ID"]),
        (
            "GET",
            unknown,
            Value::Null,
            404,
            &["verification.id=\"ve_aaaaa\""],
        ),
        ("DELETE", verification, Value::Null, 200, &["ID"]),
        ("GET", nothing, Value::Null, 404, &[]),
        ("POST", "/v1/recipients/unlock".to_owned(), to(), 200, &[]),
    ]
}

#[tokio::test]
async fn every_request_has_one_line_with_its_links() {
    let process = LocalProcess::start_with_arguments(&[], &[]).await;
    let (sent, request) = call(&process, "POST", "/v1/verifications", json!({"to": TO})).await;
    let id = sent.id();
    let mut expected = vec![(request, 201, vec!["request completed", "ID"])];
    for (method, path, body, status, parts) in requests(&id) {
        let (response, request) = call(&process, method, &path, body).await;
        assert_status(&response, status);
        expected.push((request, status, parts.to_vec()));
    }
    let printed = process.kill().await;
    let prefix = format!("verification.id=\"{}\"", &id[..8]);
    for (request, status, parts) in expected {
        let lines: Vec<_> = printed
            .lines()
            .filter(|line| line.contains(&request))
            .collect();
        assert_eq!(lines.len(), 1, "{request}: {printed}");
        let common = ["app=\"default\"".to_owned(), format!("status={status}")];
        let parts = parts.iter().map(|part| part.replace("ID", &prefix));
        for part in parts.chain(common) {
            assert!(lines[0].contains(&part), "{part}: {}", lines[0]);
        }
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
        line.contains(" carrier=\"sim-a\"") && line.contains("status=200"),
        "{line}"
    );
}

/// The lines of invocations that the functions of a process printed.
fn lines_of_functions(printed: &str) -> Vec<Value> {
    let lines = printed
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let is_of_invocation = |line: &Value| line["message"] != "starting";
    lines.filter(is_of_invocation).collect()
}

/// Most bytes of the four lines about one verification; docs/costs.md has the sum.
const LINES_BYTES_MAX: usize = 1200;

/// The line of each function about one verification: fields and metrics.
fn expected_lines(id: &str) -> [(&'static str, Value); 4] {
    let sent = json!({
        "level": "INFO", "message": "request completed", "http.status": 201, "app": "default",
        "verification.id": id[..8], "Sends": 1, "Approvals": 0, "country": "US",
    });
    let handed_over = json!({
        "message": "called a carrier; processed a dispatch", "app": "default",
        "verification.id": id[..8], "delivery.channel": "sms",
        "delivery.receipt": "Accepted", "dispatch.step": 1,
        "Deliveries": 1, "carrier": "sim-a", "country": "US", "status": "sent",
    });
    let reported = json!({
        "message": "received a delivery report; request completed", "http.status": 200,
        "outcome": "Raised",
        "Deliveries": 1, "carrier": "sim-a", "country": "US", "status": "delivered",
    });
    let checked = json!({
        "message": "request completed", "http.status": 200, "verification.id": id[..8],
        "Checks": 1, "Approvals": 1, "country": "US",
    });
    [
        ("send", sent),
        ("carrier-worker", handed_over),
        ("delivery-callback", reported),
        ("verify", checked),
    ]
}

#[tokio::test]
async fn invocation_is_one_line_with_its_metrics() {
    let directory = built_functions::functions().directory;
    let functions = ["--functions", directory.to_str().expect("a path in UTF-8")];
    let process = LocalProcess::start_with_arguments(&functions, &[]).await;
    let sent = process.call("POST", "/v1/verifications", Some(json!({"to": TO})));
    let id = sent.await.id();
    process.wait_for_printed("\"Deliveries\":1", 1).await;
    let message = process.service.messages_now(TO).await.remove(0);
    assert_eq!(process.service.report(&message, "delivered").await, 200);
    let check = format!("/v1/verifications/{id}/check");
    let code = Some(json!({"code": message["code"]}));
    assert!(process.call("POST", &check, code).await.is_valid());
    process.wait_for_printed("\"Approvals\":1", 1).await;
    process.wait_for_printed("\"Deliveries\":1", 2).await;
    let lines = lines_of_functions(&process.kill().await);
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (function, fields) in expected_lines(&id) {
        let line = lines.iter().find(|line| line["function"] == function);
        let line = line.unwrap_or_else(|| panic!("no line of {function}: {lines:?}"));
        assert_fields(line, fields);
    }
    let seconds = ["SendToReportSeconds", "SendToApprovalSeconds"];
    for metric in seconds {
        assert!(lines.iter().any(|line| line[metric].is_i64()), "{lines:?}");
    }
    let bytes: usize = lines.iter().map(|line| line.to_string().len()).sum();
    assert!(bytes <= LINES_BYTES_MAX, "{bytes} bytes: {lines:?}");
}
