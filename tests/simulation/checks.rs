//! Checks in a step, and what each response means to the model.

use serde_json::{Value, json};

use super::{CODE_LENGTH, Reply, Simulation};
use crate::support::{DEFAULT_KEY, TestResponse, assert_status};

impl Simulation {
    /// A code that is not the one on the phone.
    fn wrong_code(&mut self) -> String {
        let letters = b"23456789BCDFGHJKMNPQRSTVWXZ";
        (0..CODE_LENGTH)
            .map(|_| char::from(*self.dice.pick(letters)))
            .collect()
    }

    pub async fn check_live(&mut self, person: usize, right: bool) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let code = match self.model.known[live].code.clone() {
            Some(code) if right => code,
            _ => self.wrong_code(),
        };
        self.check(live, &json!({"code": code}), Some(&code)).await;
    }

    pub async fn check_other_purpose(&mut self, person: usize) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let Some(code) = self.model.known[live].code.clone() else {
            return;
        };
        self.check(live, &json!({"code": code, "purpose": "other"}), None)
            .await;
    }

    /// A check of any verification with its own code.
    pub async fn check_stale(&mut self) {
        if self.model.known.is_empty() {
            return;
        }
        let at = self.dice.below(self.model.known.len());
        let Some(code) = self.model.known[at].code.clone() else {
            return;
        };
        self.check(at, &json!({"code": code}), Some(&code)).await;
    }

    async fn check(&mut self, at: usize, body: &Value, checked_code: Option<&str>) {
        self.keys += 1;
        let key = self.dice.one_in(2).then(|| format!("check {}", self.keys));
        let headers: Vec<(&str, &str)> = key
            .iter()
            .map(|key| ("idempotency-key", key.as_str()))
            .collect();
        let path = format!("/v1/verifications/{}/check", self.model.known[at].id);
        let now = self.service().now().await;
        let response = self
            .service()
            .call_as(DEFAULT_KEY, "POST", &path, Some(body.clone()), &headers)
            .await;
        match self.reply(response) {
            Reply::Unknown if key.is_some() => {
                self.clear_faults();
                let response = self
                    .service()
                    .call_as(DEFAULT_KEY, "POST", &path, Some(body.clone()), &headers)
                    .await;
                if let Reply::Response(response) = self.reply(response) {
                    self.checked(at, now, checked_code, &response);
                }
            }
            Reply::Unknown => {
                self.model.known[at].uncertain = true;
                let person = self.model.known[at].person;
                self.model.people[person].uncertain_since = Some(now);
            }
            Reply::Response(response) => {
                self.checked(at, now, checked_code, &response);
                if response.status == 200 && key.is_some() && !self.is_broken {
                    let again = self
                        .service()
                        .call_as(DEFAULT_KEY, "POST", &path, Some(body.clone()), &headers)
                        .await;
                    assert_eq!(again.body, response.body, "the first response is replayed");
                }
            }
        }
    }

    fn checked(
        &mut self,
        at: usize,
        now: i64,
        checked_code: Option<&str>,
        response: &TestResponse,
    ) {
        if response.status == 404 {
            assert!(!self.model.must_be_readable(at, now), "{response:?}");
            return;
        }
        assert_status(response, 200);
        self.model.checked(at, now, checked_code, &response.body);
    }

    /// The right code several times in parallel, and a wrong one among them.
    pub async fn checks_at_once(&mut self, person: usize) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let Some(right) = self.model.known[live].code.clone() else {
            return;
        };
        self.clear_faults();
        let codes = [right.clone(), self.wrong_code(), right.clone(), right];
        let (id, now) = (
            self.model.known[live].id.clone(),
            self.service().now().await,
        );
        let mut running = tokio::task::JoinSet::new();
        for code in codes {
            let (service, id) = (self.service().clone(), id.clone());
            running.spawn(async move { (service.check(&id, &code).await, code) });
        }
        let mut responses = running.join_all().await;
        // The counted attempts were decided in the order of the attempts left, and before all
        // others.
        let is_counted = |response: &TestResponse| {
            response.body["valid"] == true || response.body["reason"] == "wrong_code"
        };
        responses.sort_by_key(|(response, _)| {
            (
                !is_counted(response),
                std::cmp::Reverse(response.body["attempts_left"].as_u64()),
            )
        });
        for (response, code) in responses {
            if let Reply::Response(response) = self.reply(response) {
                self.checked(live, now, Some(&code), &response);
            }
        }
    }
}
