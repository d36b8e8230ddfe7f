//! The queue of dispatches that failed three times.
//!
//! Invariant: a letter is deleted only after it was enqueued again.

use aws_sdk_sqs::Client;

use super::error::OperatorError;

/// Letters in one response of SQS, at most.
const BATCH: i32 = 10;
/// For so long a letter that was read is hidden from other readers. A listing reads the whole
/// queue within it, and then shows the letters again.
const HIDDEN_SECONDS: i32 = 60;

/// The queue of dead letters.
pub(crate) struct DeadLetterQueue {
    pub(super) client: Client,
    pub(super) url: String,
    /// Where dispatches are enqueued again.
    pub(super) source_url: String,
}

/// A message of the queue.
pub(crate) struct DeadLetter {
    /// The body: ids only.
    pub(crate) body: String,
    handle: String,
}

impl DeadLetterQueue {
    /// Up to ten letters; none if the queue has no more.
    pub(crate) async fn receive(&self) -> Result<Vec<DeadLetter>, OperatorError> {
        let received = self.client.receive_message().queue_url(&self.url);
        let received = received
            .max_number_of_messages(BATCH)
            .visibility_timeout(HIDDEN_SECONDS)
            .wait_time_seconds(1);
        let received = received.send().await;
        let received = received.map_err(|e| OperatorError::aws("ReceiveMessage", e))?;
        let letters = received.messages.unwrap_or_default().into_iter();
        let letters = letters.filter_map(|message| {
            Some(DeadLetter {
                body: message.body?,
                handle: message.receipt_handle?,
            })
        });
        Ok(letters.collect())
    }

    /// Shows a letter to other readers again.
    pub(crate) async fn put_back(&self, letter: &DeadLetter) -> Result<(), OperatorError> {
        let change = self.client.change_message_visibility();
        let change = change.queue_url(&self.url).receipt_handle(&letter.handle);
        let changed = change.visibility_timeout(0).send().await;
        let failed = |e| OperatorError::aws("ChangeMessageVisibility", e);
        changed.map(drop).map_err(failed)
    }

    /// Enqueues the dispatch again, then deletes the letter. After a crash in between, the dispatch
    /// is redelivered, and its second delivery does nothing.
    pub(crate) async fn redrive(&self, letter: &DeadLetter) -> Result<(), OperatorError> {
        let send = self.client.send_message().queue_url(&self.source_url);
        let sent = send.message_body(&letter.body).send().await;
        sent.map_err(|e| OperatorError::aws("SendMessage", e))?;
        let delete = self.client.delete_message().queue_url(&self.url);
        let deleted = delete.receipt_handle(&letter.handle).send().await;
        deleted
            .map(drop)
            .map_err(|e| OperatorError::aws("DeleteMessage", e))
    }
}
