//! A base path in front of every route: of a custom domain, of a stage, or neither because a proxy
//! removed it.

use local::Wires;
use serde_json::{Value, json};

use crate::support::built_functions;
use crate::support::{DEFAULT_KEY, Service, TestResponse, assert_problem, assert_status, phone};

const PUBLIC_URL: [(&str, &str); 1] = [("OTP_PUBLIC_URL", "https://api.example.com/otp")];

/// A service whose functions are processes, which can be invoked with any event.
async fn with_functions() -> Service {
    let functions = Some(built_functions::functions());
    Service::try_start_as(&PUBLIC_URL, None, Wires::default(), functions)
        .await
        .expect("the service starts")
}

async fn send_at(service: &Service, base: &str, n: u32) -> TestResponse {
    let path = format!("{base}/v1/verifications");
    service
        .call("POST", &path, Some(json!({"to": phone(n)})))
        .await
}

/// The response of a function to an event with this path, as API Gateway sends it.
async fn invoke(service: &Service, function: &str, event: Value) -> Value {
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let response = service.raw("POST", &path, &[], event.to_string()).await;
    assert_status(&response, 200);
    response.body
}

fn event(method: &str, stage: &str, path: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "authorization": format!("Bearer {DEFAULT_KEY}"), "content-type": "application/json",
        },
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.com",
            "domainPrefix": "api", "requestId": "r", "routeKey": "$default", "stage": stage,
            "timeEpoch": 0, "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "",
            },
        },
        "body": body, "isBase64Encoded": false,
    })
}

#[tokio::test]
async fn all_routes_work_with_and_without_the_base_path() {
    let service = Service::start_with(&PUBLIC_URL).await;
    for (n, base) in [(1, "/otp"), (2, "")] {
        let sent = send_at(&service, base, n).await;
        assert_status(&sent, 201);
        let id = sent.id();
        let location = format!("{base}/v1/verifications/{id}");
        assert_eq!(sent.header("location"), Some(location.as_str()));
        let code = service.code(&phone(n)).await;
        assert_status(&service.call("GET", &location, None).await, 200);
        let check = format!("{location}/check");
        let checked = service
            .call("POST", &check, Some(json!({"code": code})))
            .await;
        assert!(checked.is_valid(), "{base}: {checked:?}");
        let health = service
            .raw("GET", &format!("{base}/healthz"), &[], "")
            .await;
        assert_status(&health, 200);
        for end in ["unlock", "forget"] {
            let path = format!("{base}/v1/recipients/{end}");
            let body = Some(json!({"to": phone(n)}));
            assert_status(&service.call("POST", &path, body).await, 200);
        }
    }
}

#[tokio::test]
async fn path_that_only_looks_similar_is_not_found() {
    let service = Service::start_with(&PUBLIC_URL).await;
    for base in [
        "/otpx", "/xotp", "/Otp", "/otp/otp", "/otp/", "/api/otp", "/v1",
    ] {
        let response = send_at(&service, base, 1).await;
        assert_problem(&response, 404, "not_found");
    }
    let without_base = Service::start().await;
    assert_problem(&send_at(&without_base, "/otp", 1).await, 404, "not_found");
}

#[tokio::test]
async fn functions_accept_events_with_a_stage_or_base_path() {
    let service = with_functions().await;
    for (n, stage, base) in [
        (1, "$default", "/otp"),
        (2, "prod", "/prod"),
        (3, "prod", "/prod/otp"),
        (4, "prod", ""),
        (5, "v1", "/v1"),
    ] {
        let path = format!("{base}/v1/verifications");
        let body = json!({"to": phone(n)}).to_string();
        let sent = invoke(&service, "send", event("POST", stage, &path, &body)).await;
        assert_eq!(sent["statusCode"], 201, "{stage} {path}: {sent}");
        let path = sent["headers"]["location"].as_str().expect("a location");
        assert!(path.starts_with(&format!("{base}/v1/")), "{path}");
        let shown = invoke(&service, "verify", event("GET", stage, path, "")).await;
        assert_eq!(shown["statusCode"], 200, "{stage} {path}: {shown}");
    }
    let other = event("GET", "prod", "/production/healthz", "");
    assert_eq!(invoke(&service, "verify", other).await["statusCode"], 404);
}
