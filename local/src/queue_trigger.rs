//! The queue's trigger, as the event source mapping of Lambda: batches of due messages go to the
//! carrier worker; those it reports as failed are redelivered. So are the events of failed
//! invocations.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::functions::Functions;
use crate::queue::{LocalQueue, Message};

/// Most batches in flight.
const BATCHES_MAX: usize = 16;

/// Runs until the runtime ends.
pub(crate) async fn run(functions: Functions, queue: LocalQueue, batch_size: usize) {
    let free = Arc::new(Semaphore::new(BATCHES_MAX));
    loop {
        let Ok(permit) = free.clone().acquire_owned().await else {
            return;
        };
        let Some((messages, work)) = queue.receive(batch_size) else {
            drop(permit);
            queue.wait_for_work().await;
            continue;
        };
        let (functions, queue) = (functions.clone(), queue.clone());
        tokio::spawn(async move {
            let failed = failed_ids(&functions, &messages).await;
            for message in &messages {
                if failed.contains(&message.id) {
                    queue.redeliver(&message.id);
                } else {
                    queue.delete(&message.id);
                }
            }
            drop((work, permit));
        });
    }
}

/// Invokes the carrier worker; returns the ids of the messages that it failed to handle.
async fn failed_ids(functions: &Functions, messages: &[Message]) -> Vec<String> {
    let all = || messages.iter().map(|message| message.id.clone()).collect();
    if let [event] = messages
        && event.is_event
    {
        let is_done = functions.handle_dispatch(&event.body).await;
        return if is_done { vec![] } else { all() };
    }
    let records: Vec<Value> = messages.iter().map(record).collect();
    let Some(response) = functions.handle_batch(json!({"Records": records})).await else {
        return all();
    };
    let failed: Vec<String> = response
        .batch_item_failures
        .into_iter()
        .map(|failure| failure.item_identifier)
        .collect();
    // As on Lambda: an id that is not of the batch fails the whole batch.
    let is_of_batch = |id: &String| messages.iter().any(|message| message.id == *id);
    if failed.iter().all(is_of_batch) {
        failed
    } else {
        all()
    }
}

/// A message as the trigger sends it.
fn record(message: &Message) -> Value {
    json!({
        "messageId": message.id, "receiptHandle": message.id, "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": message.receives.to_string(), "SenderId": "local",
        },
        "messageAttributes": {}, "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:local:000000000000:queue", "awsRegion": "local",
    })
}
