//! Sends, resends, cancels, unlocks and forgets in a step, and what each response means to the
//! model.

use serde_json::{Value, json};

use super::model::Known;
use super::{DAY, Reply, Simulation};
use crate::support::{DEFAULT_KEY, assert_problem, assert_status};

impl Simulation {
    pub async fn send(&mut self, person: usize) {
        let mut body = json!({"to": self.model.people[person].to});
        if self.dice.one_in(4) {
            body["fallback"] = json!(["whatsapp"]);
        }
        self.keys += 1;
        let key = self.dice.one_in(2).then(|| format!("key {}", self.keys));
        self.send_body(person, body, key, true).await;
    }

    /// Sends; if the response is lost and there is a key, repeats the send.
    async fn send_body(&mut self, person: usize, body: Value, key: Option<String>, repeats: bool) {
        let now = self.service().now().await;
        let must_be_accepted = self.model.must_be_accepted(person, now);
        let headers: Vec<(&str, &str)> = key
            .iter()
            .map(|key| ("idempotency-key", key.as_str()))
            .collect();
        let response = self
            .service()
            .call_as(
                DEFAULT_KEY,
                "POST",
                "/v1/verifications",
                Some(body.clone()),
                &headers,
            )
            .await;
        let fallbacks = body["fallback"].as_array().map_or(0, Vec::len);
        match self.reply(response) {
            Reply::Unknown => {
                self.model.uncertain_send(person, now, true);
                self.model.people[person].allowed += fallbacks;
                if let Some(key) = key.filter(|_| repeats) {
                    self.clear_faults();
                    Box::pin(self.send_body(person, body, Some(key), false)).await;
                }
            }
            Reply::Response(response) if response.status == 201 => {
                let replayed = response.header("idempotent-replayed").is_some();
                assert!(
                    !replayed || !repeats,
                    "a new key was never used: {response:?}"
                );
                self.model.people[person].allowed += fallbacks;
                self.model.opened(
                    person,
                    &response.body,
                    key.map(|key| format!("{key}\n{body}")),
                    !replayed,
                );
            }
            Reply::Response(response) => {
                assert_problem(&response, 429, "rate_limited");
                assert!(
                    !must_be_accepted,
                    "rejected for no reason: {response:?} {:?}",
                    self.model.people[person].sends
                );
            }
        }
    }

    /// The same request with the same key: the same verification, and no further message.
    pub async fn send_again(&mut self, person: usize) {
        let now = self.service().now().await;
        let of_person = |known: &Known| {
            known.person == person && !known.forgotten && now - known.created_at < DAY - 2
        };
        let with_key: Vec<usize> = (0..self.model.known.len())
            .filter(|at| of_person(&self.model.known[*at]))
            .collect();
        let with_key: Vec<usize> = with_key
            .into_iter()
            .filter(|at| self.model.known[*at].idempotency_key.is_some())
            .collect();
        if with_key.is_empty() {
            return;
        }
        let known = &self.model.known[*self.dice.pick(&with_key)];
        let (id, key_and_body) = (
            known.id.clone(),
            known.idempotency_key.clone().unwrap_or_default(),
        );
        let (key, body) = key_and_body.split_once('\n').expect("a key and a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let response = self.service().send_with_key(body, key).await;
        if let Reply::Response(response) = self.reply(response) {
            assert_eq!(
                (
                    response.status,
                    response.header("idempotent-replayed"),
                    response.id()
                ),
                (201, Some("true"), id),
                "{response:?}"
            );
        }
    }

    /// A rejected send is accepted after its announced wait.
    pub async fn send_when_allowed(&mut self, person: usize) {
        self.clear_faults();
        let body = json!({"to": self.model.people[person].to});
        let first = self.service().send_body(body.clone()).await;
        let wait = first
            .header("retry-after")
            .and_then(|seconds| seconds.parse::<i64>().ok());
        let response = match wait {
            Some(wait) if first.status == 429 && wait < DAY => {
                self.note(format!("    {} waits {wait} s", first.body["limit"]));
                let before = self.model.before();
                self.service().advance(wait).await;
                self.observe(Some(person), &before).await;
                self.service().send_body(body).await
            }
            _ => first,
        };
        let Reply::Response(response) = self.reply(response) else {
            return;
        };
        assert_eq!(
            response.status, 201,
            "rejected after Retry-After: {response:?}"
        );
        self.model.opened(person, &response.body, None, true);
    }

    pub async fn resend(&mut self, person: usize) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let now = self.service().now().await;
        let id = self.model.known[live].id.clone();
        let response = self.service().resend(&id).await;
        match self.reply(response) {
            Reply::Unknown => self.model.uncertain_send(person, now, false),
            Reply::Response(response) if response.status == 200 => {
                assert_eq!(self.model.known[live].status(), "pending", "{response:?}");
                self.model.sent(person, now);
            }
            Reply::Response(response) => {
                let code = response.problem().1;
                let is_gone = !self.model.must_be_readable(live, now);
                assert!(
                    ["not_pending", "rate_limited"].contains(&code)
                        || (code == "not_found" && is_gone),
                    "{response:?}"
                );
            }
        }
    }

    pub async fn cancel(&mut self, person: usize) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let known = &self.model.known[live];
        let (path, was_pending) = (
            format!("/v1/verifications/{}", known.id),
            known.status() == "pending",
        );
        let response = self.service().call("DELETE", &path, None).await;
        if let Reply::Response(response) = self.reply(response) {
            assert!(
                response.status == 200 && was_pending
                    || response.status == 409
                    || response.status == 404,
                "{response:?}"
            );
        }
    }

    pub async fn unlock(&mut self, person: usize) {
        let body = json!({"to": self.model.people[person].to});
        let response = self
            .service()
            .call("POST", "/v1/recipients/unlock", Some(body))
            .await;
        self.model.people[person].wrongs.clear();
        if let Reply::Response(response) = self.reply(response) {
            assert_status(&response, 200);
        }
    }

    pub async fn forget(&mut self, person: usize) {
        let body = json!({"to": self.model.people[person].to});
        let response = self
            .service()
            .call("POST", "/v1/recipients/forget", Some(body))
            .await;
        match self.reply(response) {
            Reply::Response(response) => {
                assert_status(&response, 200);
                self.model.forgotten(person);
            }
            Reply::Unknown => {
                self.clear_faults();
                let Some(live) = self.model.people[person].live else {
                    return;
                };
                if self.service().show(&self.model.known[live].id).await.status == 404 {
                    self.model.forgotten(person);
                }
            }
        }
    }

    pub async fn advance(&mut self) {
        let seconds = self.dice.weighted(&[
            (6, 3),
            (6, 17),
            (6, 45),
            (4, 120),
            (3, 310),
            (2, 1900),
            (2, 3700),
            (1, 30_000),
            (1, 90_000),
        ]);
        self.note(format!("    by {seconds} s"));
        self.service().advance(seconds).await;
    }
}
