//! What stands in for SQS and SNS at home: their wire, for the two calls that the functions make.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::network::Network;
use crate::queue::LocalQueue;

/// Serves both on a port of this machine, and says which.
pub(crate) async fn serve(queue: LocalQueue, network: Network) -> Result<u16, String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| error.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let router = Router::new().fallback(call).with_state((queue, network));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(port)
}

async fn call(
    State((queue, network)): State<(LocalQueue, Network)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
    {
        Some("AmazonSQS.SendMessage") => send_message(&queue, &body),
        Some(_) => (
            StatusCode::BAD_REQUEST,
            axum::Json(json!({"__type": "com.amazonaws.sqs#UnsupportedOperation"})),
        )
            .into_response(),
        None => publish(&network, &body).await,
    }
}

fn send_message(queue: &LocalQueue, body: &[u8]) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(text) = request["MessageBody"].as_str() else {
        return (
            StatusCode::BAD_REQUEST,
            axum::Json(json!({"__type": "com.amazonaws.sqs#InvalidMessageContents"})),
        )
            .into_response();
    };
    match queue.send(
        text.to_owned(),
        request["DelaySeconds"].as_i64().unwrap_or(0),
    ) {
        Ok(id) => axum::Json(
            json!({"MessageId": id, "MD5OfMessageBody": HEXLOWER.encode(&Md5::digest(text))}),
        )
        .into_response(),
        Err(error) => {
            tracing::error!(error.cause = error, "the queue did not keep a message");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                axum::Json(json!({"__type": "com.amazonaws.sqs#InternalError"})),
            )
                .into_response()
        }
    }
}

/// The query protocol: `Action=Publish&PhoneNumber=…&Message=…&MessageAttributes.entry.1.Name=…`.
async fn publish(network: &Network, body: &[u8]) -> Response {
    let fields: HashMap<String, String> = axum::extract::Query::try_from_uri(&uri(body))
        .map(|query| query.0)
        .unwrap_or_default();
    let (Some(to), Some(text)) = (fields.get("PhoneNumber"), fields.get("Message")) else {
        return error(StatusCode::BAD_REQUEST, "InvalidParameter");
    };
    let sender = (1..=5).find(|n| {
        fields
            .get(&format!("MessageAttributes.entry.{n}.Name"))
            .is_some_and(|name| name == "AWS.SNS.SMS.SenderID")
    });
    let sender = sender.and_then(|n| {
        fields
            .get(&format!("MessageAttributes.entry.{n}.Value.StringValue"))
            .cloned()
    });
    match network.publish(to.clone(), sender, text.clone()).await {
        Ok(id) => {
            let body = format!(
                "<PublishResult><MessageId>{id}</MessageId></PublishResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>"
            );
            xml(
                StatusCode::OK,
                &format!(
                    "<PublishResponse xmlns=\"https://sns.amazonaws.com/doc/2010-03-31/\">{body}</PublishResponse>"
                ),
            )
        }
        Err((status, code)) => error(status, code),
    }
}

/// A form has the grammar of a query.
fn uri(form: &[u8]) -> axum::http::Uri {
    format!("/?{}", String::from_utf8_lossy(form))
        .parse()
        .unwrap_or_default()
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = format!(
        "<Error><Type>Sender</Type><Code>{code}</Code><Message>{code}</Message></Error><RequestId>local</RequestId>"
    );
    xml(
        status,
        &format!(
            "<ErrorResponse xmlns=\"https://sns.amazonaws.com/doc/2010-03-31/\">{body}</ErrorResponse>"
        ),
    )
}

fn xml(status: StatusCode, body: &str) -> Response {
    (status, [("content-type", "text/xml")], body.to_owned()).into_response()
}
