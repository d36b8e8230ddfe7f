//! The dispatch queue: a dispatch asks a worker to take the next step with a verification's
//! deliveries.
//!
//! Invariants: a dispatch holds ids only, no code, number or text. Only this file sends messages to
//! SQS.

use aws_sdk_sqs::operation::send_message::{
    SendMessage, SendMessageError, SendMessageInput, SendMessageOutput,
};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::domain::ids::{DeliveryTag, VerificationId};
use crate::platform::aws::{Aws, Service};
use crate::platform::aws_client::{AwsClient, Operation};

/// Longest delay that SQS supports.
const DELAY_SECONDS_MAX: i64 = 900;
/// Version of the message format that this code writes.
const FORMAT_VERSION: u8 = 1;

/// One dispatch. It is stale unless it names the current step of the verification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispatch {
    /// The app of the verification.
    pub app: String,
    /// The verification.
    pub id: VerificationId,
    /// The step.
    pub step: u16,
}

/// Asks a worker to inform a carrier that the code of one of its messages came back, if it did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedbackDispatch {
    /// The app of the verification.
    pub app: String,
    /// The verification.
    pub id: VerificationId,
    /// The message.
    pub tag: DeliveryTag,
    /// The carrier's name.
    pub carrier: String,
    /// The carrier's id of the message.
    pub message_id: String,
}

/// A feedback dispatch as the body of a message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedbackBody {
    v: u8,
    app: String,
    id: String,
    feedback_tag: String,
    carrier: String,
    message_id: String,
}

impl FeedbackDispatch {
    /// Reads the body of a message; `None` if it is not a feedback dispatch of this version.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        let body: FeedbackBody = serde_json::from_str(body).ok()?;
        let tag = HEXLOWER.decode(body.feedback_tag.as_bytes()).ok()?;
        let (id, tag) = (body.id.parse().ok()?, tag.try_into().ok()?);
        (body.v == FORMAT_VERSION).then_some(Self {
            app: body.app,
            id,
            tag: DeliveryTag(tag),
            carrier: body.carrier,
            message_id: body.message_id,
        })
    }

    fn to_body(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&FeedbackBody {
            v: FORMAT_VERSION,
            app: self.app.clone(),
            id: self.id.to_string(),
            feedback_tag: self.tag.to_string(),
            carrier: self.carrier.clone(),
            message_id: self.message_id.clone(),
        })
    }
}

/// A dispatch as the body of a message.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    v: u8,
    app: String,
    id: String,
    step: u16,
}

impl Dispatch {
    /// Reads the body of a message; `None` if it is not a dispatch of this version.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        let body: Body = serde_json::from_str(body).ok()?;
        let id = body.id.parse().ok()?;
        (body.v == FORMAT_VERSION).then_some(Self {
            app: body.app,
            id,
            step: body.step,
        })
    }

    pub(super) fn to_body(&self) -> Result<String, serde_json::Error> {
        let (app, id) = (self.app.clone(), self.id.to_string());
        serde_json::to_string(&Body {
            v: FORMAT_VERSION,
            app,
            id,
            step: self.step,
        })
    }
}

impl Operation for SendMessage {
    type Input = SendMessageInput;
    type Output = SendMessageOutput;
    type Error = SendMessageError;
}

/// The queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: AwsClient,
    url: String,
}

/// A dispatch was not enqueued, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
#[error("the request to the queue failed")]
pub struct QueueError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Opens the connection to SQS, which the first message will use. A failure is ignored: that
/// message will report it.
pub async fn warm_up(aws: &Aws) {
    aws.host(Service::Sqs).connect(1).await;
}

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(aws: &Aws, url: String) -> Self {
        let client = aws.client(Service::Sqs);
        Self { client, url }
    }

    /// Enqueues `dispatch`, to be received no earlier than `delay_seconds` from now (0 to 900).
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn enqueue(&self, dispatch: &Dispatch, delay_seconds: i64) -> Result<(), QueueError> {
        self.send(dispatch.to_body(), delay_seconds).await
    }

    /// As [`Self::enqueue`], for conversion feedback.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn enqueue_feedback(
        &self,
        dispatch: &FeedbackDispatch,
        delay_seconds: i64,
    ) -> Result<(), QueueError> {
        self.send(dispatch.to_body(), delay_seconds).await
    }

    async fn send(
        &self,
        body: Result<String, serde_json::Error>,
        delay_seconds: i64,
    ) -> Result<(), QueueError> {
        let body = body.map_err(|error| QueueError(Box::new(error)))?;
        let delay = i32::try_from(delay_seconds.clamp(0, DELAY_SECONDS_MAX)).unwrap_or(0);
        let message = SendMessageInput::builder()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(delay);
        let sent = self.client.call(SendMessage::new(), message.build()).await;
        sent.map(drop).map_err(|error| QueueError(Box::new(error)))
    }

    /// As [`Self::enqueue`], without delay; gives up at `until`.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn enqueue_until(
        &self,
        dispatch: &Dispatch,
        until: Instant,
    ) -> Result<(), QueueError> {
        let enqueued = tokio::time::timeout_at(until, self.enqueue(dispatch, 0));
        enqueued
            .await
            .map_err(|error| QueueError(Box::new(error)))?
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::future::ready;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;

    use http::StatusCode;
    use serde_json::json;

    use super::*;
    use crate::platform::aws::AwsSettings;
    use crate::platform::in_process::{InProcessServer, InProcessServers, Response};

    pub(in crate::platform) fn aws_at(url: &str) -> Aws {
        let settings = AwsSettings {
            region: "local".into(),
            access_key_id: "local".into(),
            secret_access_key: "local".into(),
            session_token: None,
            endpoint_urls: [None, Some(url.to_owned()), None],
        };
        Aws::new(settings)
    }

    pub(in crate::platform) fn dispatch() -> Dispatch {
        Dispatch {
            app: "default".into(),
            id: VerificationId([7; 16]),
            step: 3,
        }
    }

    /// The first line of the request, and whether it is signed.
    pub(in crate::platform) fn respond(
        stream: &mut TcpStream,
        status: &str,
        body: &str,
    ) -> (String, bool) {
        let mut request = [0; 4096];
        let length = stream.read(&mut request).expect("a request");
        let length_of_body = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length_of_body}\r\n\r\n");
        stream.write_all((head + body).as_bytes()).expect("sent");
        let request = String::from_utf8_lossy(&request[..length]).to_ascii_lowercase();
        let line = request.lines().next().unwrap_or_default().to_owned();
        (line, request.contains("\nauthorization:"))
    }

    #[tokio::test]
    async fn first_message_uses_the_connection_of_warm_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let first = respond(&mut stream, "404 Not Found", "<Unknown/>");
            (
                first,
                respond(&mut stream, "200 OK", r#"{"MessageId":"1"}"#),
            )
        });
        let (aws, url) = (aws_at(&url), format!("{url}/queue"));
        warm_up(&aws).await;
        let queue = Queue::new(&aws, url);
        let enqueued = queue.enqueue(&dispatch(), 0).await;
        assert!(enqueued.is_ok(), "{enqueued:?}");
        let (opened, sent) = server.join().expect("a server");
        assert_eq!(opened, ("get / http/1.1".to_owned(), false));
        assert_eq!(sent, ("post / http/1.1".to_owned(), true));
    }

    /// A queue in this process that gives one response to every call.
    fn in_process(status: StatusCode, document: &serde_json::Value) -> Queue {
        let (url, body) = ("http://127.0.0.1:1", document.to_string());
        let server = InProcessServer {
            url: url.to_owned(),
            respond: Arc::new(move |_, _| {
                let body = body.clone();
                Box::pin(ready(Response { status, body }))
            }),
            table: None,
        };
        let aws = aws_at(url).with_servers(InProcessServers {
            dynamodb: None,
            sqs: Some(server),
        });
        Queue::new(&aws, format!("{url}/queue"))
    }

    #[tokio::test]
    async fn responses_of_a_queue_in_process_are_read() {
        let queue = in_process(StatusCode::OK, &json!({"MessageId": "1"}));
        let enqueued = queue.enqueue(&dispatch(), 0).await;
        assert!(enqueued.is_ok(), "{enqueued:?}");
        for (status, document) in [
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({"__type": "InternalError"}),
            ),
            (StatusCode::BAD_REQUEST, json!(7)),
            (StatusCode::OK, json!({"MessageId": 7})),
        ] {
            let enqueued = in_process(status, &document).enqueue(&dispatch(), 0).await;
            assert!(enqueued.is_err(), "{document}: {enqueued:?}");
        }
    }

    #[tokio::test]
    async fn warm_up_ignores_an_unreachable_queue() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        for url in [url, "not a url".to_owned()] {
            warm_up(&aws_at(&url)).await;
        }
    }

    #[test]
    fn dispatch_is_read_back_as_written() {
        let id = VerificationId([7; 16]);
        let dispatch = Dispatch {
            app: "default".into(),
            id,
            step: 3,
        };
        let body = dispatch.to_body().expect("plain values");
        assert_eq!(
            body,
            format!(r#"{{"v":1,"app":"default","id":"{id}","step":3}}"#)
        );
        assert_eq!(Dispatch::parse(&body), Some(dispatch));
    }

    #[test]
    fn feedback_dispatch_is_read_back_as_written() {
        let id = VerificationId([7; 16]);
        let dispatch = FeedbackDispatch {
            app: "default".into(),
            id,
            tag: DeliveryTag([1, 2, 3, 4]),
            carrier: "twilio".into(),
            message_id: "SM1".into(),
        };
        let body = dispatch.to_body().expect("plain values");
        assert_eq!(FeedbackDispatch::parse(&body), Some(dispatch));
        assert_eq!(Dispatch::parse(&body), None);
        let step = format!(r#"{{"v":1,"app":"default","id":"{id}","step":3}}"#);
        assert_eq!(FeedbackDispatch::parse(&step), None);
    }

    #[test]
    fn other_message_is_not_a_dispatch() {
        let id = VerificationId([7; 16]);
        for other in [
            String::new(),
            "{}".into(),
            "[]".into(),
            format!(r#"{{"v":2,"app":"a","id":"{id}","step":1}}"#),
            format!(r#"{{"v":1,"app":"a","id":"{id}","step":-1}}"#),
            format!(r#"{{"v":1,"app":"a","id":"{id}","step":1,"x":1}}"#),
            r#"{"v":1,"app":"a","id":"i","step":1}"#.into(),
        ] {
            assert_eq!(Dispatch::parse(&other), None, "{other}");
        }
    }
}
