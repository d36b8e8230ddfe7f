//! The endpoints that exist only here: the page, the phones, the clock, the carriers, a reset,
//! metrics and stored items.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use otp::platform::json::{Fields, parse_object};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::shared_parts::{Gateway, Shared};
use crate::functions::WORKER;
use crate::plain_openapi::plain;
use crate::reject::reject;
use crate::simulated_carriers::{Behaviour, is_report_status};
use crate::simulated_clock::AdvanceError;

/// Longest wait for a message.
const WAIT_SECONDS_MAX: u64 = 30;
const NO_CARRIER: &str = "no simulated carrier has this name";

/// `GET /`.
pub(super) async fn page(State(gateway): Shared) -> Response {
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (headers, Html(gateway.page.clone())).into_response()
}

/// `GET /openapi.json`: for people and for generators of clients.
pub(super) async fn openapi(State(gateway): Shared) -> Json<Value> {
    Json(plain(&gateway.openapi))
}

/// `GET /openapi.strict.json`: for validators.
pub(super) async fn strict_openapi(State(gateway): Shared) -> Json<Value> {
    Json(gateway.openapi.clone())
}

#[derive(Deserialize)]
pub(super) struct MessagesQuery {
    to: Option<String>,
    wait: Option<String>,
}

/// `GET /local/messages?to=%2B33...&wait=5`.
pub(super) async fn messages(
    State(gateway): Shared,
    Query(query): Query<MessagesQuery>,
) -> Response {
    // An unescaped `+` arrives as a space.
    let to = query.to.map(|to| to.replace(' ', "+"));
    let messages = match query.wait.map(|wait| wait.parse()) {
        None => gateway.carriers.messages(to.as_deref()),
        Some(Ok(seconds)) if seconds <= WAIT_SECONDS_MAX => {
            let wait = Duration::from_secs(seconds);
            let carriers = &gateway.carriers;
            carriers.wait_for_messages(to.as_deref(), wait).await
        }
        Some(_) => {
            let problem =
                format!("wait must be a whole number of seconds from 0 to {WAIT_SECONDS_MAX}");
            return reject(StatusCode::BAD_REQUEST, &problem);
        }
    };
    Json(json!({"messages": messages})).into_response()
}

/// `DELETE /local/messages`.
pub(super) async fn clear_phones(State(gateway): Shared) -> Json<Value> {
    Json(json!({"deleted": gateway.carriers.clear_phones()}))
}

/// `POST /local/reset`.
pub(super) async fn reset(State(gateway): Shared) -> Response {
    match crate::reset::reset(&gateway).await {
        Ok(()) => clock(State(gateway)).await.into_response(),
        Err(error) => reject(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportBody {
    status: String,
}

/// `POST /local/messages/{id}/report` `{"status":"delivered"}`.
pub(super) async fn report(
    State(gateway): Shared,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let report = read::<ReportBody>(&body).ok();
    let Some(report) = report.filter(|report| is_report_status(&report.status)) else {
        return reject(
            StatusCode::BAD_REQUEST,
            "invalid status; allowed: queued, sent, delivered, undelivered, rejected, expired",
        );
    };
    match gateway.carriers.report(&id, &report.status).await {
        Some(Ok(status)) => Json(json!({"callback_status": status})).into_response(),
        Some(Err(error)) => reject(StatusCode::CONFLICT, &error.to_string()),
        None => reject(StatusCode::NOT_FOUND, "no message has this id"),
    }
}

/// `GET /local/clock`.
pub(super) async fn clock(State(gateway): Shared) -> Json<Value> {
    Json(json!({"now": gateway.clock.clock().now().to_string()}))
}

/// `POST /local/clock` `{"advance_seconds":600}`. Responds when all that became due has run.
pub(super) async fn advance_clock(State(gateway): Shared, body: Bytes) -> Response {
    let Some(seconds) = advance_seconds(&body) else {
        return reject(
            StatusCode::BAD_REQUEST,
            "advance_seconds must be a whole number, 0 or more",
        );
    };
    if let Err(error) = gateway.clock.advance(seconds, &gateway.queue).await {
        let status = match error {
            AdvanceError::RealTime => StatusCode::CONFLICT,
            AdvanceError::TooFar => StatusCode::BAD_REQUEST,
        };
        return reject(status, &error.to_string());
    }
    let now = gateway.clock.clock().now();
    if let Err(error) = gateway.table.delete_expired(now.0).await {
        tracing::error!(
            error.cause = error.to_string(),
            "failed to delete expired items"
        );
    }
    Json(json!({"now": now.to_string()})).into_response()
}

fn advance_seconds(body: &[u8]) -> Option<i64> {
    let mut fields = Fields::new(parse_object(body).ok()?);
    let seconds = fields.integer("advance_seconds", 0..=i64::from(u32::MAX));
    fields.finish().ok().and(seconds)
}

/// `GET /local/carriers`.
pub(super) async fn carriers(State(gateway): Shared) -> Response {
    let states = gateway.configured_carriers.states().await;
    Json(json!({"carriers": states})).into_response()
}

/// `GET /local/carriers/{name}`.
pub(super) async fn carrier(State(gateway): Shared, Path(name): Path<String>) -> Response {
    let simulated = gateway.configured_carriers.simulated_name(&name).await;
    match simulated.and_then(|name| gateway.carriers.behaviour(&name)) {
        Some(behaviour) => Json(behaviour).into_response(),
        None => reject(StatusCode::NOT_FOUND, NO_CARRIER),
    }
}

/// `POST /local/carriers/{name}` `{"mode":"ok"}`.
pub(super) async fn set_carrier(
    State(gateway): Shared,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    let behaviour = match read::<Behaviour>(&body) {
        Ok(behaviour) => behaviour,
        Err(problem) => return reject(StatusCode::BAD_REQUEST, &problem),
    };
    if !behaviour.is_valid() {
        return reject(
            StatusCode::BAD_REQUEST,
            "invalid report; allowed: none, queued, sent, delivered, undelivered, rejected, expired",
        );
    }
    let Some(simulated) = gateway.configured_carriers.simulated_name(&name).await else {
        return reject(StatusCode::NOT_FOUND, NO_CARRIER);
    };
    match gateway.carriers.set_behaviour(&simulated, behaviour).await {
        Some(Ok(())) => Json(json!({"name": name})).into_response(),
        Some(Err(error)) => reject(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        None => reject(StatusCode::NOT_FOUND, NO_CARRIER),
    }
}

/// `POST /local/reseal`: all parts of the table, one after the other.
pub(super) async fn reseal(State(gateway): Shared) -> Response {
    let (mut scanned, mut resealed, mut after) = (0, 0, Value::Null);
    loop {
        let event = json!({"reseal": {"after": after}});
        let Some(mut part) = gateway.functions.invoke_factors(event).await else {
            return reject(StatusCode::INTERNAL_SERVER_ERROR, "resealing failed");
        };
        scanned += part["scanned"].as_u64().unwrap_or_default();
        resealed += part["resealed"].as_u64().unwrap_or_default();
        after = part["after"].take();
        if after.is_null() {
            return Json(json!({"scanned": scanned, "resealed": resealed})).into_response();
        }
    }
}

/// `GET /local/metrics`.
pub(super) async fn metrics(State(gateway): Shared) -> Json<Value> {
    Json(json!({"metrics": gateway.metrics.to_json()}))
}

/// `GET /local/state`.
pub(super) async fn state(State(gateway): Shared) -> Response {
    let queue = gateway.queue.contents();
    match gateway.table.items().await {
        Ok(items) => Json(json!({
            "table": items, "queue": queue.queued, "dead_letters": queue.dead_letters,
        }))
        .into_response(),
        Err(error) => reject(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `GET /local/endpoints`: where the table and the queue are, which carriers are simulated, and by
/// what to recognize the keys, for the commands of operators. All of it is on this machine only.
pub(super) async fn endpoints(State(gateway): Shared) -> Json<Value> {
    Json(json!({
        "dynamodb_url": gateway.dynamodb_url,
        "sqs_url": gateway.sqs_url,
        "table": gateway.table.name(),
        "now_millis": gateway.clock.clock().now_millis(),
        "simulated_carriers": gateway.simulated_carriers,
        "keys": gateway.keys,
        "api_keys": gateway.api_keys,
    }))
}

/// `POST /2015-03-31/functions/{name}/invocations`: Lambda's call, as of `aws lambda invoke
/// --endpoint-url`. `carrier-worker` may be invoked without waiting for its result, as `send` does.
pub(super) async fn invoke(
    State(gateway): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    event: String,
) -> Response {
    let invocation_type = headers.get("x-amz-invocation-type");
    if invocation_type.is_some_and(|kind| kind == "Event") {
        return invoke_later(&gateway, &name, event);
    }
    match gateway.functions.invoke(&name, event).await {
        Ok(Some(Ok(response))) => response.into_response(),
        Ok(Some(Err(error))) => {
            ([("x-amz-function-error", "Unhandled")], Json(error)).into_response()
        }
        Ok(None) => reject(StatusCode::NOT_FOUND, "no function has this name"),
        Err(error) => reject(StatusCode::NOT_FOUND, &error.to_string()),
    }
}

fn invoke_later(gateway: &Gateway, name: &str, event: String) -> Response {
    if name != WORKER {
        return reject(
            StatusCode::NOT_FOUND,
            "only carrier-worker is invoked with X-Amz-Invocation-Type: Event here",
        );
    }
    match gateway.queue.send_event(event) {
        Ok(_) => StatusCode::ACCEPTED.into_response(),
        Err(error) => reject(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Parses a body as strictly as the functions parse theirs.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let object = parse_object(body).map_err(|error| error.to_string())?;
    serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
}
