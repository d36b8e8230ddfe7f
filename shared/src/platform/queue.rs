//! The dispatch queue: asks a worker to take the next step with a verification's deliveries.
//! The only file that names the SQS client. A dispatch holds ids only: no code, no number, no text.

use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};

use crate::platform::logging::causes;

/// The longest delay that the queue takes.
const DELAY_SECONDS_MAX: i64 = 900;

/// One dispatch. Only the one with the verification's current sequence number is acted on; any other is stale.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// Version of this shape.
    pub v: u8,
    /// The app of the verification.
    pub app: String,
    /// The verification.
    pub id: String,
    /// The step of its deliveries.
    pub seq: u16,
}

impl Dispatch {
    /// The shape written today.
    #[must_use]
    pub fn new(app: &str, id: String, sequence: u16) -> Self {
        Self {
            v: 1,
            app: app.to_owned(),
            id,
            seq: sequence,
        }
    }

    /// Reads a message body; `None` if it is none of ours.
    #[must_use]
    pub fn parse(body: &str) -> Option<Self> {
        serde_json::from_str(body)
            .ok()
            .filter(|dispatch: &Self| dispatch.v == 1)
    }
}

/// The queue.
#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

/// The queue did not take a dispatch, or did not say so in time.
#[derive(Debug)]
pub struct QueueError(pub String);

impl Queue {
    /// The queue at `url`.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, url: String) -> Self {
        Self {
            client: Client::new(config),
            url,
        }
    }

    /// Enqueues `dispatch`, to be seen no earlier than `delay_seconds` from now.
    ///
    /// # Errors
    /// [`QueueError`]: it may or may not be enqueued.
    pub async fn enqueue(&self, dispatch: &Dispatch, delay_seconds: i64) -> Result<(), QueueError> {
        let body =
            serde_json::to_string(dispatch).map_err(|error| QueueError(error.to_string()))?;
        let delay = i32::try_from(delay_seconds.clamp(0, DELAY_SECONDS_MAX)).unwrap_or(0);
        let sent = self
            .client
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .delay_seconds(delay)
            .send()
            .await;
        sent.map(|_| ()).map_err(|error| QueueError(causes(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatch_is_read_back_and_anything_else_is_not() {
        let dispatch = Dispatch::new("default", "ve_abc".into(), 3);
        let body = serde_json::to_string(&dispatch).expect("plain values");
        assert_eq!(body, r#"{"v":1,"app":"default","id":"ve_abc","seq":3}"#);
        assert_eq!(Dispatch::parse(&body), Some(dispatch));
        for other in [
            "",
            "{}",
            "[]",
            r#"{"v":2,"app":"a","id":"i","seq":1}"#,
            r#"{"v":1,"app":"a","id":"i","seq":-1}"#,
            r#"{"v":1,"app":"a","id":"i","seq":1,"x":1}"#,
        ] {
            assert_eq!(Dispatch::parse(other), None, "{other}");
        }
    }
}
