//! The wire formats of SQS and SNS, for the two calls that the functions make, `SendMessage` and
//! `Publish`, and for those that operators make at the queue of dead letters.

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use otp::platform::in_process::{self, InProcessServer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::proxy_urls::DEAD_LETTERS_PATH;
use crate::queue::LocalQueue;
use crate::simulated_carriers::{Published, SimulatedCarriers, Target};

/// Attribute of a message that holds the sender.
const SENDER_ID: &str = "AWS.SNS.SMS.SenderID";
/// Most attributes of a message that are read.
const ATTRIBUTES_MAX: usize = 5;
const XML_NAMESPACE: &str = "https://sns.amazonaws.com/doc/2010-03-31/";

/// Serves both until the runtime ends.
pub(crate) fn serve(listener: TcpListener, queue: LocalQueue, carriers: SimulatedCarriers) {
    let router = Router::new().fallback(call).with_state((queue, carriers));
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// SQS has JSON with the operation in a header, SNS the query protocol.
async fn call(
    State((queue, carriers)): State<(LocalQueue, SimulatedCarriers)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target");
    match target.and_then(|target| target.to_str().ok()) {
        Some(target) => {
            let response = respond_sqs(&queue, target, &body);
            let json = [(CONTENT_TYPE, "application/json")];
            (response.status, json, response.body).into_response()
        }
        None => publish(&carriers, &body).await,
    }
}

/// SQS without HTTP, which also listens at `url`.
pub(crate) fn server(url: &str, queue: LocalQueue) -> InProcessServer {
    InProcessServer {
        url: url.to_owned(),
        respond: Arc::new(move |target, body| Box::pin(ready(respond_sqs(&queue, target, body)))),
        table: None,
    }
}

fn respond_sqs(queue: &LocalQueue, target: &str, body: &[u8]) -> in_process::Response {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let result = match target {
        "AmazonSQS.SendMessage" => send_message(queue, &request),
        target => dead_letters(queue, target, &request),
    };
    let (status, body) = match result {
        Ok(document) => (StatusCode::OK, document),
        Err((status, code)) => {
            let document = json!({"__type": format!("com.amazonaws.sqs#{code}")});
            (status, document)
        }
    };
    let body = body.to_string();
    in_process::Response { status, body }
}

/// The response document of SQS, or the status and the code of an error.
type SqsResult = Result<Value, (StatusCode, &'static str)>;

fn send_message(queue: &LocalQueue, request: &Value) -> SqsResult {
    let Some(text) = request["MessageBody"].as_str() else {
        return Err((StatusCode::BAD_REQUEST, "InvalidMessageContents"));
    };
    let delay_seconds = request["DelaySeconds"].as_i64().unwrap_or(0);
    match queue.send(text.to_owned(), delay_seconds) {
        Ok(id) => {
            let md5 = HEXLOWER.encode(&Md5::digest(text));
            Ok(json!({"MessageId": id, "MD5OfMessageBody": md5}))
        }
        Err(error) => {
            tracing::error!(
                error.cause = error.to_string(),
                "failed to store a message of the queue"
            );
            Err((StatusCode::INTERNAL_SERVER_ERROR, "InternalError"))
        }
    }
}

/// A call at the queue of dead letters.
fn dead_letters(queue: &LocalQueue, target: &str, request: &Value) -> SqsResult {
    let url = request["QueueUrl"].as_str().unwrap_or_default();
    if !url.ends_with(DEAD_LETTERS_PATH) {
        return Err((StatusCode::BAD_REQUEST, "UnsupportedOperation"));
    }
    let handle = request["ReceiptHandle"].as_str().unwrap_or_default();
    let hidden_seconds = request["VisibilityTimeout"].as_i64().unwrap_or(0);
    match target {
        "AmazonSQS.ReceiveMessage" => {
            let count_max = request["MaxNumberOfMessages"].as_u64().unwrap_or(1);
            let count_max = usize::try_from(count_max).unwrap_or(1);
            let letters = queue.receive_dead_letters(count_max, hidden_seconds);
            let letters = letters.iter().map(|letter| {
                let md5 = HEXLOWER.encode(&Md5::digest(&letter.body));
                json!({
                    "MessageId": letter.id, "ReceiptHandle": letter.id,
                    "Body": letter.body, "MD5OfBody": md5,
                })
            });
            Ok(json!({"Messages": letters.collect::<Vec<_>>()}))
        }
        "AmazonSQS.ChangeMessageVisibility" => {
            queue.hide_dead_letter(handle, hidden_seconds);
            Ok(json!({}))
        }
        "AmazonSQS.DeleteMessage" => {
            queue.delete(handle);
            Ok(json!({}))
        }
        _ => Err((StatusCode::BAD_REQUEST, "UnsupportedOperation")),
    }
}

/// `Action=Publish&PhoneNumber=...&Message=...&MessageAttributes.entry.1.Name=...`, or with
/// `TargetArn=...&MessageStructure=json` in place of the number.
async fn publish(carriers: &SimulatedCarriers, body: &[u8]) -> Response {
    let mut fields = form_fields(body);
    let published = published_text(&mut fields).or_else(|| published_notification(&fields));
    let Some(published) = published else {
        return sns_error(StatusCode::BAD_REQUEST, "InvalidParameter");
    };
    match carriers.publish(published).await {
        Ok(id) => xml(
            StatusCode::OK,
            format!(
                "<PublishResponse xmlns=\"{XML_NAMESPACE}\">\
                 <PublishResult><MessageId>{id}</MessageId></PublishResult>\
                 <ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
                 </PublishResponse>"
            ),
        ),
        Err((status, code)) => sns_error(status, code),
    }
}

fn published_text(fields: &mut HashMap<String, String>) -> Option<Published> {
    let to = fields.remove("PhoneNumber")?;
    let from = (1..=ATTRIBUTES_MAX)
        .map(|n| format!("MessageAttributes.entry.{n}"))
        .find(|entry| {
            let name = fields.get(&format!("{entry}.Name"));
            name.is_some_and(|name| name == SENDER_ID)
        })
        .and_then(|entry| fields.remove(&format!("{entry}.Value.StringValue")));
    Some(Published {
        to: Target::Phone(to),
        from,
        text: fields.remove("Message")?,
    })
}

/// A notification as the app on an Android device gets it. The number of its owner is not in it.
fn published_notification(fields: &HashMap<String, String>) -> Option<Published> {
    let is_endpoint = fields.get("TargetArn")?.contains(":endpoint/");
    let payloads: Value = serde_json::from_str(fields.get("Message")?).ok()?;
    let payload: Value = serde_json::from_str(payloads["GCM"].as_str()?).ok()?;
    let message = &payload["fcmV1Message"]["message"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let published = Published {
        to: Target::OwnerOf(text(&message["data"]["verification_id"])?),
        from: text(&message["notification"]["title"]),
        text: text(&message["notification"]["body"])?,
    };
    is_endpoint.then_some(published)
}

/// The fields of a form, which has the grammar of a query.
fn form_fields(body: &[u8]) -> HashMap<String, String> {
    let uri: Uri = format!("/?{}", String::from_utf8_lossy(body))
        .parse()
        .unwrap_or_default();
    Query::try_from_uri(&uri)
        .map(|Query(fields)| fields)
        .unwrap_or_default()
}

fn sns_error(status: StatusCode, code: &str) -> Response {
    xml(
        status,
        format!(
            "<ErrorResponse xmlns=\"{XML_NAMESPACE}\">\
             <Error><Type>Sender</Type><Code>{code}</Code><Message>{code}</Message></Error>\
             <RequestId>local</RequestId>\
             </ErrorResponse>"
        ),
    )
}

fn xml(status: StatusCode, body: String) -> Response {
    (status, [("content-type", "text/xml")], body).into_response()
}
