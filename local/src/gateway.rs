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
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use otp::platform::clock::Clock;
use otp::platform::json::{self, Fields};
use otp::platform::random::random_bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::callers;
use crate::engine::Engine;
use crate::figures::Figures;
use crate::functions::{Functions, Processes};
use crate::network::{Behaviour, Network, is_report};
use crate::queue::LocalQueue;
use crate::template::{Function, Template};

/// The largest body that API Gateway lets through.
const BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// The end of the year 9998: a verification's times are written with four digits for the year.
pub(crate) const CLOCK_MILLIS_MAX: i64 = 253_370_764_800_000;

/// All that answers.
pub(crate) struct Gateway {
    pub(crate) template: Template,
    pub(crate) functions: Functions,
    pub(crate) engine: Engine,
    pub(crate) queue: LocalQueue,
    pub(crate) network: Network,
    pub(crate) figures: Figures,
    pub(crate) clock: Clock,
    /// Processes have real time, unless something moves it for them.
    pub(crate) clock_moves: bool,
    /// Keeps the clock where it was moved to, over a restart.
    pub(crate) keep_clock: Box<dyn Fn(&Clock) + Send + Sync>,
    /// One advance at a time.
    pub(crate) advancing: tokio::sync::Mutex<()>,
    pub(crate) page: String,
    pub(crate) openapi: Value,
}

type Shared = State<Arc<Gateway>>;

/// Serves it, for as long as the process lives.
pub(crate) async fn serve(listener: tokio::net::TcpListener, port: u16, gateway: Gateway) {
    if let Err(error) = axum::serve(listener, router(port, Arc::new(gateway))).await {
        tracing::error!(error.cause = error.to_string(), "the gateway ended");
    }
}

/// All routes of a server that listens on `port`.
fn router(port: u16, gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/", get(page))
        .route(
            "/openapi.json",
            get(async |State(gateway): Shared| Json(gateway.openapi.clone())),
        )
        .route("/local/messages", get(messages))
        .route("/local/messages/{id}/report", post(report))
        .route("/local/clock", get(clock).post(advance))
        .route("/local/carriers/{name}", post(behave))
        .route(
            "/local/metrics",
            get(async |State(gateway): Shared| Json(json!({"metrics": gateway.figures.all()}))),
        )
        .route("/local/state", get(state))
        .route("/2015-03-31/functions/{name}/invocations", post(invoke))
        // What is behind needs a key, or a carrier's token.
        .route_layer(axum::middleware::from_fn_with_state(
            port,
            callers::let_through,
        ))
        .fallback(function)
        .with_state(gateway)
}

/// Everything else goes to a function.
async fn function(State(gateway): Shared, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    // What API Gateway would not let through is still answered in our words: too large for any function.
    let body =
        body.unwrap_or_else(|_| Bytes::from(vec![b' '; otp::api::request::BODY_BYTES_MAX + 1]));
    let (function, route) = gateway.template.function(parts.uri.path());
    let event = event(&parts, &body, route, gateway.clock.now_millis()).to_string();
    let (send, verify, delivery_callback) = match &gateway.functions {
        Functions::Here {
            send,
            verify,
            delivery_callback,
        } => (send, verify, delivery_callback),
        Functions::Processes(processes) => return invoked(processes, function, event).await,
    };
    let Ok(event) = lambda_http::request::from_str(&event) else {
        return failed();
    };
    // Polled here, on this connection's task: a panic ends one connection and no more.
    let answer = match function {
        Function::Send => send::handle(send, &event).await,
        Function::Verify => verify::handle(verify, &event).await,
        Function::DeliveryCallback => delivery_callback::handle(delivery_callback, &event).await,
    };
    let (parts, body) = answer.into_parts();
    Response::from_parts(parts, Body::from(body.as_ref().to_vec()))
}

/// What a process answered, as API Gateway passes it on.
async fn invoked(processes: &Processes, function: Function, event: String) -> Response {
    let Some(Ok(answer)) = processes.invoke(function.name(), event).await else {
        return failed();
    };
    let Ok(answer) = serde_json::from_slice::<ApiGatewayV2httpResponse>(&answer) else {
        return failed();
    };
    let body = match answer.body.as_deref().map(AsRef::as_ref) {
        Some(body) if answer.is_base64_encoded => BASE64.decode(body).unwrap_or_default(),
        body => body.unwrap_or_default().to_vec(),
    };
    let mut response = Response::new(Body::from(body));
    let Ok(status) = u16::try_from(answer.status_code)
        .map_err(drop)
        .and_then(|status| StatusCode::from_u16(status).map_err(drop))
    else {
        return failed();
    };
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers;
    response
}

/// What API Gateway says of an invocation that failed.
fn failed() -> Response {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        Json(json!({"message": "Internal Server Error"})),
    )
        .into_response()
}

/// Payload format 2.0: repeated headers are joined, a body that is not text is base64, and so is a form.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
fn event(parts: &axum::http::request::Parts, body: &Bytes, route: &str, now_millis: i64) -> Value {
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let headers: Map<String, Value> = parts
        .headers
        .keys()
        .map(|name| (name.to_string(), joined(&parts.headers, name).into()))
        .collect();
    let route_key = if route == "$default" {
        route.to_owned()
    } else {
        format!("ANY {route}")
    };
    let http = json!({"method": parts.method.as_str(), "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
        "userAgent": headers.get("user-agent").cloned().unwrap_or_default()});
    let id = HEXLOWER.encode(&random_bytes::<12>());
    let mut event = json!({
        "version": "2.0", "routeKey": route_key, "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {"accountId": "000000000000", "apiId": "local", "domainName": "localhost", "domainPrefix": "localhost",
            "http": http, "requestId": id, "routeKey": route_key, "stage": "$default", "timeEpoch": now_millis},
        "isBase64Encoded": false,
    });
    let values: Map<String, Value> = route
        .split('/')
        .zip(path.split('/'))
        .filter_map(|(name, value)| {
            Some((
                name.strip_prefix('{')?.strip_suffix('}')?.to_owned(),
                value.into(),
            ))
        })
        .collect();
    if !values.is_empty() {
        event["pathParameters"] = values.into();
    }
    let content_type = joined(&parts.headers, &header::CONTENT_TYPE);
    let is_text = !content_type.starts_with("application/x-www-form-urlencoded");
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) if is_text => event["body"] = text.into(),
        _ => {
            event["isBase64Encoded"] = true.into();
            event["body"] = BASE64.encode(body).into();
        }
    }
    event
}

fn joined(headers: &HeaderMap, name: &header::HeaderName) -> String {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    values.join(",")
}

/// Lambda's own call for an event of any kind: `aws lambda invoke --endpoint-url`.
async fn invoke(State(gateway): Shared, Path(name): Path<String>, body: String) -> Response {
    let Functions::Processes(processes) = &gateway.functions else {
        return refuse(
            StatusCode::NOT_FOUND,
            "the functions are no processes here: start with --functions",
        );
    };
    match processes.invoke(&name, body).await {
        Some(Ok(answer)) => answer.into_response(),
        Some(Err(error)) => ([("x-amz-function-error", "Unhandled")], Json(error)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "no such function"),
    }
}

async fn page(State(gateway): Shared) -> Response {
    (
        [(header::CACHE_CONTROL, "no-store")],
        Html(gateway.page.clone()),
    )
        .into_response()
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
    match read::<Report>(&body) {
        Ok(report) if is_report(&report.status) => {
            match gateway.network.report(&id, &report.status).await {
                Some(Ok(status)) => Json(json!({"callback_status": status})).into_response(),
                Some(Err(error)) => refuse(StatusCode::CONFLICT, &error),
                None => refuse(StatusCode::NOT_FOUND, "no such message"),
            }
        }
        _ => refuse(
            StatusCode::BAD_REQUEST,
            "status must be queued, sent, delivered, undelivered, rejected or expired",
        ),
    }
}

async fn clock(State(gateway): Shared) -> Json<Value> {
    Json(json!({"now": gateway.clock.now().to_string()}))
}

/// Moves the clock from one due moment to the next, so that what is due at each runs at its time.
async fn advance(State(gateway): Shared, body: Bytes) -> Response {
    let Some(advance_seconds) = asked_advance(&body) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "advance_seconds must be a whole number of 0 or more",
        );
    };
    if advance_seconds > 0 && !gateway.clock_moves {
        return refuse(
            StatusCode::CONFLICT,
            "the functions are processes and have real time, so the clock cannot be moved; 0 waits until all is done",
        );
    }
    let _one_at_a_time = gateway.advancing.lock().await;
    let (clock, queue) = (&gateway.clock, &gateway.queue);
    let target = clock.now_millis() + advance_seconds * 1000;
    if target > CLOCK_MILLIS_MAX {
        return refuse(
            StatusCode::BAD_REQUEST,
            "advance_seconds would take the clock past the year 9998, the last that all times can be written in",
        );
    }
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
    if let Err(error) = gateway.engine.sweep(clock.now().0).await {
        tracing::error!(
            error.cause = error,
            "items whose time is over were not removed"
        );
    }
    Json(json!({"now": clock.now().to_string()})).into_response()
}

/// The seconds to advance by, if that is what `body` asks for.
fn asked_advance(body: &[u8]) -> Option<i64> {
    let mut fields = Fields::new(json::parse_object(body).ok()?);
    let seconds = fields.integer("advance_seconds", 0..=i64::from(u32::MAX));
    fields.finish().ok().and(seconds)
}

async fn behave(State(gateway): Shared, Path(name): Path<String>, body: Bytes) -> Response {
    match read::<Behaviour>(&body) {
        Err(problem) => refuse(StatusCode::BAD_REQUEST, &problem),
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
    match gateway.engine.state().await {
        Ok(table) => Json(json!({"table": table, "queue": queue, "dead_letters": dead_letters}))
            .into_response(),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

/// A body, read as strictly as the functions read theirs.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let object = json::parse_object(body).map_err(|error| error.to_string())?;
    serde_json::from_value(Value::Object(object)).map_err(|error| error.to_string())
}

/// A refusal in the words of the local-only endpoints.
pub(crate) fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}
