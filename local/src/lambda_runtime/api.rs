//! The Runtime API of one environment, over HTTP: the process asks for its next invocation and
//! responds to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

/// The response of the function, or Lambda's error document.
pub(crate) type InvocationResult = Result<Bytes, Value>;

/// One event for the process.
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) deadline_millis: i64,
}

/// The two ends that the environment keeps.
pub(super) struct Requests {
    /// The process asks for its next invocation.
    pub(super) next: mpsc::Receiver<oneshot::Sender<Invocation>>,
    /// The process responds to the invocation with this id.
    pub(super) results: mpsc::Receiver<(String, InvocationResult)>,
}

struct Api {
    function: &'static str,
    next: mpsc::Sender<oneshot::Sender<Invocation>>,
    results: mpsc::Sender<(String, InvocationResult)>,
}

type Shared = State<Arc<Api>>;

/// The API for a process of `function`.
pub(super) fn router(function: &'static str) -> (Router, Requests) {
    let ((next_sender, next_requests), (result_sender, results)) =
        (mpsc::channel(1), mpsc::channel(1));
    let api = Api {
        function,
        next: next_sender,
        results: result_sender,
    };
    let router = Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route(
            "/2018-06-01/runtime/invocation/{id}/response",
            post(response),
        )
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(Arc::new(api));
    let requests = Requests {
        next: next_requests,
        results,
    };
    (router, requests)
}

/// Lambda's document about an error.
pub(super) fn error_document(kind: &str, message: &str) -> Value {
    json!({"errorType": kind, "errorMessage": message})
}

async fn next(State(api): Shared) -> Response {
    let (sender, invocation) = oneshot::channel();
    let sent = api.next.send(sender).await;
    let (Ok(()), Ok(invocation)) = (sent, invocation.await) else {
        return StatusCode::GONE.into_response();
    };
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", invocation.id),
        (
            "lambda-runtime-deadline-ms",
            invocation.deadline_millis.to_string(),
        ),
        (
            "lambda-runtime-invoked-function-arn",
            format!(
                "arn:aws:lambda:local:000000000000:function:{}",
                api.function
            ),
        ),
    ];
    (headers, invocation.event).into_response()
}

async fn response(State(api): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    respond(&api, id, Ok(body)).await
}

async fn error(State(api): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    let document = serde_json::from_slice(&body)
        .unwrap_or_else(|error| error_document("Runtime.Unknown", &error.to_string()));
    respond(&api, id, Err(document)).await
}

async fn respond(api: &Api, id: String, result: InvocationResult) -> Response {
    let status = match api.results.send((id, result)).await {
        Ok(()) => StatusCode::ACCEPTED,
        Err(_) => StatusCode::GONE,
    };
    (status, axum::Json(json!({"status": "OK"}))).into_response()
}

/// The process exits by itself after this.
async fn init_error(State(api): Shared, headers: HeaderMap) -> Response {
    let kind = headers
        .get("lambda-runtime-function-error-type")
        .and_then(|kind| kind.to_str().ok());
    tracing::error!(
        function.name = api.function,
        error.kind = kind,
        "a function reported that it cannot start"
    );
    StatusCode::ACCEPTED.into_response()
}
