//! What carriers, strangers and the queue do in a step.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{Reply, Simulation};
use crate::support::{Behaviour, Service, SignedReport, assert_status};

impl Simulation {
    /// Enqueues dispatches of any age again, some of them several times.
    pub async fn redeliver(&mut self) {
        if self.dispatches.is_empty() {
            return;
        }
        let queue = Service::at(&self.service().sqs_url);
        let headers = [("x-amz-target", "AmazonSQS.SendMessage")];
        for _ in 0..self.dice.below(3) + 1 {
            let recent = self.dispatches.len().saturating_sub(10);
            let at = if self.dice.one_in(3) {
                self.dice.below(self.dispatches.len())
            } else {
                recent + self.dice.below(self.dispatches.len() - recent)
            };
            for _ in 0..self.dice.below(3) + 1 {
                let request =
                    json!({"MessageBody": self.dispatches[at], "DelaySeconds": 0}).to_string();
                assert_status(&queue.raw("POST", "/", &headers, request).await, 200);
            }
        }
    }

    pub async fn change_carrier(&mut self) {
        // `Close` is the unknown outcome that takes no real time.
        let behaviour = match self.dice.below(9) {
            0..=3 => Behaviour::Accept,
            4 => Behaviour::Respond(500, ""),
            5 => Behaviour::Respond(429, "7"),
            6 => Behaviour::Respond(400, ""),
            _ => Behaviour::Close,
        };
        let at = self.dice.below(2);
        self.note(format!("    {at}: {behaviour:?}"));
        self.carriers[at].behave(behaviour);
    }

    /// A report about any message with any status, sometimes twice.
    pub async fn report(&mut self) {
        let Some(report) = self.some_report().await else {
            return;
        };
        for _ in 0..self.dice.below(2) + 1 {
            let response = report.send(self.service()).await;
            if let Reply::Response(response) = self.reply(response) {
                assert_status(&response, 200);
            }
        }
    }

    async fn some_report(&mut self) -> Option<SignedReport> {
        if self.model.received.is_empty() {
            return None;
        }
        let recent = self.model.received.len().saturating_sub(12);
        let at = if self.dice.one_in(4) {
            self.dice.below(self.model.received.len())
        } else {
            recent + self.dice.below(self.model.received.len() - recent)
        };
        let message = self.model.received[at].clone();
        let status = *self.dice.pick(&[
            "sent",
            "delivered",
            "undelivered",
            "rejected",
            "expired",
            "queued",
            "nonsense",
        ]);
        let name = message
            .callback_path()
            .split('/')
            .nth(3)
            .expect("a carrier")
            .to_owned();
        let carrier = self
            .carriers
            .iter()
            .find(|carrier| carrier.name == name)
            .expect("a known carrier")
            .clone();
        let now = self.service().now().await;
        self.note(format!("    {status} of {} by {name}", message.reference()));
        Some(carrier.report(&message, status, now))
    }

    pub async fn forge_report(&mut self) {
        let Some(mut report) = self.some_report().await else {
            return;
        };
        self.clear_faults();
        self.service().settle().await;
        let queued = self.service().state().await["queue"].clone();
        self.service().settle().await;
        let before = self.service().state().await;
        match self.dice.below(4) {
            0 => report.body.push(b' '),
            1 => report.signature = format!("v1,{}", BASE64.encode(&[7; 32])),
            2 => report.timestamp = (report.timestamp.parse::<i64>().unwrap_or(0) - 1).to_string(),
            _ => report.path.truncate(report.path.len() - 1),
        }
        let response = report.send(self.service()).await;
        assert!([401, 404].contains(&response.status), "{response:?}");
        self.service().settle().await;
        let after = self.service().state().await;
        // Real time passes: a worker that has received a message meanwhile writes as well.
        if all_wait(&queued, &after["queue"]) {
            assert_eq!(after["table"], before["table"], "nothing is written");
            assert_eq!(after["queue"], queued, "nothing is enqueued");
        }
    }
}

/// Whether all messages that were in the queue are still there, and none was received.
fn all_wait(before: &Value, now: &Value) -> bool {
    let now = now.as_array().expect("messages");
    before
        .as_array()
        .expect("messages")
        .iter()
        .all(|message| now.contains(message))
}
