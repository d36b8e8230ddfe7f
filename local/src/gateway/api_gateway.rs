//! API Gateway in front of the functions: a request becomes the event that API Gateway sends, so
//! that the functions handle the same input here as when they are deployed.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use data_encoding::{BASE64, HEXLOWER};
use http_body_util::{BodyExt as _, Limited};
use otp::platform::random::random_bytes;
use serde_json::{Map, Value, json};

use super::shared_parts::Shared;
use crate::template::DEFAULT_ROUTE;

/// The largest body that API Gateway accepts.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// All paths that are not local-only.
pub(super) async fn call_function(State(gateway): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        // API Gateway rejects it with a document of its own. Here the function does: it gets a body
        // that is too large.
        Err(_) => Bytes::from(vec![b' '; otp::api::request::BODY_BYTES_MAX + 1]),
    };
    let (function, route, path) = gateway.route(parts.uri.path());
    let parameters = path_parameters(route, path);
    let now_millis = gateway.clock.clock().now_millis();
    let event = event(&parts, &body, route, parameters, now_millis).to_string();
    let response = gateway.functions.handle_http(function, event).await;
    response.unwrap_or_else(invocation_failed)
}

/// The response of API Gateway to a failed invocation.
fn invocation_failed() -> Response {
    let body = Json(json!({"message": "Internal Server Error"}));
    (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
}

/// Payload format 2.0: repeated headers are joined; the body is base64 if it is not UTF-8 or is a
/// form.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
fn event(
    parts: &Parts,
    body: &Bytes,
    route: &str,
    parameters: Map<String, Value>,
    now_millis: i64,
) -> Value {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let headers: Map<String, Value> = parts
        .headers
        .keys()
        .map(|name| (name.to_string(), joined(&parts.headers, name).into()))
        .collect();
    let route_key = if route == DEFAULT_ROUTE {
        route.to_owned()
    } else {
        format!("ANY {route}")
    };
    let http = json!({
        "method": parts.method.as_str(), "path": path, "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1", "userAgent": headers.get("user-agent").cloned().unwrap_or_default(),
    });
    let request_id = HEXLOWER.encode(&random_bytes::<12>());
    let mut event = json!({
        "version": "2.0", "routeKey": route_key, "rawPath": path, "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": "000000000000", "apiId": "local", "domainName": "localhost",
            "domainPrefix": "localhost", "http": http, "requestId": request_id,
            "routeKey": route_key, "stage": "$default", "timeEpoch": now_millis,
        },
        "isBase64Encoded": false,
    });
    if !parameters.is_empty() {
        event["pathParameters"] = parameters.into();
    }
    let content_type = joined(&parts.headers, &CONTENT_TYPE);
    let is_form = content_type.starts_with("application/x-www-form-urlencoded");
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) if !is_form => event["body"] = text.into(),
        _ => {
            event["isBase64Encoded"] = true.into();
            event["body"] = BASE64.encode(body).into();
        }
    }
    event
}

/// The values of the variables of `route`, such as `{id}`.
fn path_parameters(route: &str, path: &str) -> Map<String, Value> {
    let segments = route.split('/').zip(path.split('/'));
    segments
        .filter_map(|(variable, value)| {
            let name = variable.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), value.into()))
        })
        .collect()
}

/// The values of a header, joined with commas.
fn joined(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(",")
}
