//! The Lambda Runtime API for one process. The times of polls and responses are taken here.
//! Invariant: knows nothing of the functions' work.

use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use benches::listener::{Listener, Request, Response, response};

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
/// Later than the end of any invocation.
const DEADLINE_MILLIS: &str = "4102444800000";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:bench";

/// The API. Dropping it closes its port.
pub struct RuntimeApi {
    listener: Listener,
    polls: mpsc::UnboundedReceiver<EventPoll>,
    responses: mpsc::UnboundedReceiver<FunctionResponse>,
}

/// A request of the process for its next event.
pub struct EventPoll {
    /// When it arrived.
    pub at: Instant,
    event: oneshot::Sender<Bytes>,
}

impl EventPoll {
    /// Sends the event.
    pub fn answer(self, event: &Value) {
        self.event
            .send(event.to_string().into())
            .expect("the process waits");
    }
}

/// The response of the process to an event, or its error at start.
pub struct FunctionResponse {
    pub at: Instant,
    /// `response` or `error`.
    pub kind: String,
    pub body: Bytes,
}

impl RuntimeApi {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        let (poll_sender, polls) = mpsc::unbounded_channel();
        let (response_sender, responses) = mpsc::unbounded_channel();
        let listener = Listener::open(0, move |request| {
            let (polls, responses) = (poll_sender.clone(), response_sender.clone());
            async move {
                if request.path == NEXT {
                    next_event(&polls).await
                } else {
                    accept_response(&responses, request)
                }
            }
        });
        Self {
            listener: listener.await,
            polls,
            responses,
        }
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.listener.port)
    }

    /// Returns when the process polls for an event, or its response if it sends one instead.
    pub async fn poll(&mut self) -> Result<EventPoll, FunctionResponse> {
        tokio::select! {
            biased;
            Some(poll) = self.polls.recv() => Ok(poll),
            Some(response) = self.responses.recv() => Err(response),
        }
    }

    /// Returns the next response of the process.
    pub async fn response(&mut self) -> FunctionResponse {
        self.responses.recv().await.expect("the API is open")
    }
}

async fn next_event(polls: &mpsc::UnboundedSender<EventPoll>) -> Response {
    let (sender, event) = oneshot::channel();
    polls
        .send(EventPoll {
            at: Instant::now(),
            event: sender,
        })
        .ok()?;
    let event = event.await.ok()?;
    let headers = [
        ("content-type", "application/json"),
        (
            "lambda-runtime-aws-request-id",
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        ),
        ("lambda-runtime-deadline-ms", DEADLINE_MILLIS),
        ("lambda-runtime-invoked-function-arn", FUNCTION),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        ),
    ];
    response(200, &headers, event)
}

fn accept_response(
    responses: &mpsc::UnboundedSender<FunctionResponse>,
    request: Request,
) -> Response {
    let kind = request
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    responses
        .send(FunctionResponse {
            at: Instant::now(),
            kind,
            body: request.body,
        })
        .ok()?;
    Some(
        hyper::Response::builder()
            .status(202)
            .body(Full::new(Bytes::new()))
            .expect("a response"),
    )
}
