//! The Lambda Runtime API for one process: it is handed an event, and its answer is timed where it
//! arrives. Must hold nothing of what the functions do.

use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use benches::listener::{Listener, Request, Response, response};

const NEXT: &str = "/2018-06-01/runtime/invocation/next";
/// Far beyond any invocation.
const DEADLINE_MILLIS: &str = "4102444800000";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:123456789012:function:bench";

/// The API. Its port is closed when it is dropped.
pub struct RuntimeApi {
    listener: Listener,
    nexts: mpsc::UnboundedReceiver<Next>,
    answers: mpsc::UnboundedReceiver<Answer>,
}

/// The process waits for an event.
pub struct Next {
    /// When it began to.
    pub at: Instant,
    event: oneshot::Sender<Bytes>,
}

impl Next {
    /// Ends the wait.
    pub fn hand_over(self, event: &Value) {
        self.event
            .send(event.to_string().into())
            .expect("the process waits");
    }
}

/// What the process made of an event, or why it does not start.
pub struct Answer {
    pub at: Instant,
    /// `response` or `error`.
    pub kind: String,
    pub body: Bytes,
}

impl RuntimeApi {
    /// On a free port.
    pub async fn open() -> Self {
        let (next, nexts) = mpsc::unbounded_channel();
        let (answer, answers) = mpsc::unbounded_channel();
        let listener = Listener::open(0, move |request| {
            let (next, answer) = (next.clone(), answer.clone());
            async move {
                if request.path == NEXT {
                    given(&next).await
                } else {
                    taken(&answer, request)
                }
            }
        });
        Self {
            listener: listener.await,
            nexts,
            answers,
        }
    }

    /// `AWS_LAMBDA_RUNTIME_API`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.listener.port)
    }

    /// Returns once the process waits for an event; or with what it answered instead.
    pub async fn next(&mut self) -> Result<Next, Answer> {
        tokio::select! {
            biased;
            Some(next) = self.nexts.recv() => Ok(next),
            Some(answer) = self.answers.recv() => Err(answer),
        }
    }

    /// Returns once the process has answered.
    pub async fn answer(&mut self) -> Answer {
        self.answers.recv().await.expect("the API is open")
    }
}

async fn given(next: &mpsc::UnboundedSender<Next>) -> Response {
    let (event, wanted) = oneshot::channel();
    next.send(Next {
        at: Instant::now(),
        event,
    })
    .ok()?;
    let event = wanted.await.ok()?;
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

fn taken(answer: &mpsc::UnboundedSender<Answer>, request: Request) -> Response {
    let kind = request
        .path
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_owned();
    answer
        .send(Answer {
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
