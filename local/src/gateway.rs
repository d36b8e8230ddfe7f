//! The local gateway: HTTP in front of the functions as API Gateway would be, and the local-only endpoints beside them.
//! A request becomes the very event that API Gateway sends, so that what the functions see at home is what they see there.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use data_encoding::{BASE64, HEXLOWER};
use http_body_util::{BodyExt as _, Limited};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::LambdaRequest;
use otp::ambient::{Clock, random_bytes};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::figures::Figures;
use crate::network::{Behaviour, Network, is_report};
use crate::queue::LocalQueue;
use crate::template::{Function, Template};

/// The largest body that API Gateway lets through.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// All that answers.
pub(crate) struct Gateway {
    pub(crate) template: Template,
    pub(crate) send: send::App,
    pub(crate) verify: verify::App,
    pub(crate) delivery_callback: delivery_callback::App,
    pub(crate) engine: Engine,
    pub(crate) queue: LocalQueue,
    pub(crate) network: Network,
    pub(crate) figures: Figures,
    pub(crate) clock: Clock,
    /// Keeps the clock where it was moved to, over a restart.
    pub(crate) keep_clock: Box<dyn Fn(&Clock) + Send + Sync>,
    /// One advance at a time.
    pub(crate) advancing: tokio::sync::Mutex<()>,
    pub(crate) page: String,
    pub(crate) openapi: Value,
}

type Shared = State<Arc<Gateway>>;

/// All routes.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/openapi.json", get(async |State(gateway): Shared| Json(gateway.openapi.clone())))
        .route("/local/messages", get(messages))
        .route("/local/messages/{id}/report", post(report))
        .route("/local/clock", get(clock).post(advance))
        .route("/local/carriers/{name}", post(behave))
        .route("/local/metrics", get(async |State(gateway): Shared| Json(json!({"metrics": gateway.figures.all()}))))
        .route("/local/state", get(state))
        .fallback(function)
        .with_state(gateway)
}

/// Everything else goes to a function.
async fn function(State(gateway): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
    // What API Gateway would not let through is still answered in our words: too large for any function.
    let body = body.unwrap_or_else(|_| Bytes::from(vec![b' '; otp::http::BODY_BYTES_MAX + 1]));
    let path = parts.uri.path().to_owned();
    let event = lambda_http::Request::from(LambdaRequest::ApiGatewayV2(event(&parts, &body)));
    // Polled here, on this connection's task: a panic ends one connection and no more.
    let answer = match gateway.template.function(&path) {
        Function::Send => send::handle(&gateway.send, &event).await,
        Function::Verify => verify::handle(&gateway.verify, &event).await,
        Function::DeliveryCallback => delivery_callback::handle(&gateway.delivery_callback, &event).await,
    };
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, Body::from(body.as_ref().to_vec()))
}

/// Payload format 2.0: repeated headers are joined, a body that is not text is base64.
fn event(parts: &axum::http::request::Parts, body: &Bytes) -> ApiGatewayV2httpRequest {
    let mut event = ApiGatewayV2httpRequest::default();
    event.raw_path = Some(parts.uri.path().to_owned());
    event.raw_query_string = Some(parts.uri.query().unwrap_or_default().to_owned());
    event.headers = joined(&parts.headers);
    event.request_context.http.method = parts.method.clone();
    event.request_context.http.path = Some(parts.uri.path().to_owned());
    event.request_context.http.protocol = Some("HTTP/1.1".to_owned());
    event.request_context.stage = Some("$default".to_owned());
    event.request_context.request_id = Some(HEXLOWER.encode(&random_bytes::<12>()));
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => event.body = Some(text.to_owned()),
        Err(_) => {
            event.is_base64_encoded = true;
            event.body = Some(BASE64.encode(body));
        }
    }
    event
}

fn joined(headers: &HeaderMap) -> HeaderMap {
    let mut joined = HeaderMap::new();
    for name in headers.keys() {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        if let Ok(value) = header::HeaderValue::from_bytes(&values.join(&b","[..])) {
            joined.insert(name.clone(), value);
        }
    }
    joined
}

async fn page(State(gateway): Shared) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Html(gateway.page.clone())).into_response()
}

#[derive(Deserialize)]
struct To {
    to: Option<String>,
}

async fn messages(State(gateway): Shared, Query(query): Query<To>) -> Json<Value> {
    // A `+` that was not escaped arrives as a space.
    let to = query.to.map(|to| to.replace(' ', "+"));
    Json(json!({"messages": gateway.network.messages(to.as_deref())}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    status: String,
}

async fn report(State(gateway): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice::<Report>(&body) {
        Ok(report) if is_report(&report.status) => match gateway.network.report(&id, &report.status).await {
            Some(Ok(status)) => Json(json!({"callback_status": status})).into_response(),
            Some(Err(error)) => refuse(StatusCode::CONFLICT, &error),
            None => refuse(StatusCode::NOT_FOUND, "no such message"),
        },
        _ => refuse(StatusCode::BAD_REQUEST, "status must be queued, sent, delivered, undelivered, rejected or expired"),
    }
}

async fn clock(State(gateway): Shared) -> Json<Value> {
    Json(json!({"now": gateway.clock.now().to_string()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u32,
}

/// Moves the clock from one due moment to the next, so that what is due at each runs at its time.
async fn advance(State(gateway): Shared, body: Bytes) -> Response {
    let Ok(Advance { advance_seconds }) = serde_json::from_slice(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "advance_seconds must be a whole number of 0 or more");
    };
    let _one_at_a_time = gateway.advancing.lock().await;
    let (clock, queue) = (&gateway.clock, &gateway.queue);
    let target = clock.now_millis() + i64::from(advance_seconds) * 1000;
    loop {
        queue.settle().await;
        let next = queue.next_due().filter(|at| *at <= target);
        clock.advance_to_millis(next.unwrap_or(target));
        (gateway.keep_clock)(clock);
        queue.wake();
        if next.is_none() {
            break;
        }
    }
    queue.settle().await;
    if let Err(error) = gateway.engine.sweep(clock.now().0) {
        tracing::error!(error.cause = error, "items whose time is over were not removed");
    }
    Json(json!({"now": clock.now().to_string()})).into_response()
}

async fn behave(State(gateway): Shared, Path(name): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice::<Behaviour>(&body) {
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(behaviour) => match behaviour.problem() {
            Some(problem) => refuse(StatusCode::BAD_REQUEST, problem),
            None => match gateway.network.behave(&name, behaviour).await {
                Some(Ok(())) => Json(json!({"name": name})).into_response(),
                Some(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
                None => refuse(StatusCode::NOT_FOUND, "no such carrier"),
            },
        },
    }
}

async fn state(State(gateway): Shared) -> Response {
    let (queue, dead_letters) = gateway.queue.rest();
    match gateway.engine.state() {
        Ok(table) => Json(json!({"table": table, "queue": queue, "dead_letters": dead_letters})).into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}
