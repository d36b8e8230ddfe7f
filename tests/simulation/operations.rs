//! Operations: what callers, carriers, strangers and the queue do in a step, and what each answer means to the model.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::model::Known;
use super::{CODE_LENGTH, DAY, Told, World};
use crate::carrier::{Behaviour, Report};
use crate::harness::{Answer, DEFAULT_KEY, Service};

impl World {
    pub async fn send(&mut self, person: usize) {
        let mut body = json!({"to": self.model.people[person].to});
        if self.dice.one_in(4) {
            body["fallback"] = json!(["whatsapp"]);
        }
        self.keys += 1;
        let key = self.dice.one_in(2).then(|| format!("key {}", self.keys));
        self.send_body(person, body, key, true).await;
    }

    /// Sends; where the answer is lost and there is a key, asks again.
    async fn send_body(
        &mut self,
        person: usize,
        body: Value,
        key: Option<String>,
        asks_again: bool,
    ) {
        let now = self.service().now().await;
        let must_be_allowed = self.model.must_be_allowed(person, now);
        let headers: Vec<(&str, &str)> = key
            .iter()
            .map(|key| ("idempotency-key", key.as_str()))
            .collect();
        let answer = self
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
        match self.told(answer) {
            Told::Nothing => {
                self.model.unsure_send(person, now, true);
                self.model.people[person].allowed += fallbacks;
                if let Some(key) = key.filter(|_| asks_again) {
                    self.mend();
                    Box::pin(self.send_body(person, body, Some(key), false)).await;
                }
            }
            Told::Answer(answer) if answer.status == 201 => {
                let replayed = answer.header("idempotent-replayed").is_some();
                assert!(
                    !replayed || !asks_again,
                    "a new key was never used: {answer:?}"
                );
                self.model.people[person].allowed += fallbacks;
                self.model.opened(
                    person,
                    &answer.body,
                    key.map(|key| format!("{key}\n{body}")),
                    !replayed,
                );
            }
            Told::Answer(answer) => {
                assert_eq!(answer.problem(), (429, "rate_limited"), "{answer:?}");
                assert!(
                    !must_be_allowed,
                    "refused for no reason: {answer:?} {:?}",
                    self.model.people[person].sends
                );
            }
        }
    }

    /// The same call with the same key: the same verification, and no further message.
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
        let (id, made_with) = (
            known.id.clone(),
            known.idempotency_key.clone().unwrap_or_default(),
        );
        let (key, body) = made_with.split_once('\n').expect("a key and a body");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let answer = self.service().send_with_key(body, key).await;
        if let Told::Answer(answer) = self.told(answer) {
            assert_eq!(
                (
                    answer.status,
                    answer.header("idempotent-replayed"),
                    answer.id()
                ),
                (201, Some("true"), id),
                "{answer:?}"
            );
        }
    }

    /// Whatever refuses a send says truly when it ends.
    pub async fn send_when_allowed(&mut self, person: usize) {
        self.mend();
        let body = json!({"to": self.model.people[person].to});
        let first = self
            .service()
            .call("POST", "/v1/verifications", Some(body.clone()))
            .await;
        let wait = first
            .header("retry-after")
            .and_then(|seconds| seconds.parse::<i64>().ok());
        let answer = match wait {
            Some(wait) if first.status == 429 && wait < DAY => {
                self.note(format!("    {} waits {wait} s", first.body["limit"]));
                let before = self.model.before();
                self.service().advance(wait).await;
                self.observe(Some(person), &before).await;
                self.service()
                    .call("POST", "/v1/verifications", Some(body))
                    .await
            }
            _ => first,
        };
        let Told::Answer(answer) = self.told(answer) else {
            return;
        };
        assert_eq!(answer.status, 201, "Retry-After is over: {answer:?}");
        self.model.opened(person, &answer.body, None, true);
    }

    pub async fn resend(&mut self, person: usize) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let now = self.service().now().await;
        let id = self.model.known[live].id.clone();
        let answer = self.service().resend(&id).await;
        match self.told(answer) {
            Told::Nothing => self.model.unsure_send(person, now, false),
            Told::Answer(answer) if answer.status == 200 => {
                assert_eq!(self.model.known[live].status(), "pending", "{answer:?}");
                self.model.sent(person, now);
            }
            Told::Answer(answer) => {
                let code = answer.problem().1;
                let is_gone = !self.model.must_be_readable(live, now);
                assert!(
                    ["not_pending", "rate_limited"].contains(&code)
                        || (code == "not_found" && is_gone),
                    "{answer:?}"
                );
            }
        }
    }

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

    /// Any verification ever, with its own code.
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

    async fn check(&mut self, at: usize, body: &Value, presented: Option<&str>) {
        self.keys += 1;
        let key = self.dice.one_in(2).then(|| format!("check {}", self.keys));
        let headers: Vec<(&str, &str)> = key
            .iter()
            .map(|key| ("idempotency-key", key.as_str()))
            .collect();
        let path = format!("/v1/verifications/{}/check", self.model.known[at].id);
        let now = self.service().now().await;
        let answer = self
            .service()
            .call_as(DEFAULT_KEY, "POST", &path, Some(body.clone()), &headers)
            .await;
        match self.told(answer) {
            Told::Nothing if key.is_some() => {
                self.mend();
                let answer = self
                    .service()
                    .call_as(DEFAULT_KEY, "POST", &path, Some(body.clone()), &headers)
                    .await;
                if let Told::Answer(answer) = self.told(answer) {
                    self.checked(at, now, presented, &answer);
                }
            }
            Told::Nothing => {
                self.model.known[at].unsure = true;
                let person = self.model.known[at].person;
                self.model.people[person].unsure_at = Some(now);
            }
            Told::Answer(answer) => {
                self.checked(at, now, presented, &answer);
                if answer.status == 200 && key.is_some() && !self.is_broken {
                    let again = self
                        .service()
                        .call_as(DEFAULT_KEY, "POST", &path, Some(body.clone()), &headers)
                        .await;
                    assert_eq!(again.body, answer.body, "the first answer again");
                }
            }
        }
    }

    fn checked(&mut self, at: usize, now: i64, presented: Option<&str>, answer: &Answer) {
        if answer.status == 404 {
            assert!(!self.model.must_be_readable(at, now), "{answer:?}");
            return;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
        self.model.checked(at, now, presented, &answer.body);
    }

    /// The right code several times in parallel, and a wrong one among them.
    pub async fn checks_at_once(&mut self, person: usize) {
        let Some(live) = self.model.people[person].live else {
            return;
        };
        let Some(right) = self.model.known[live].code.clone() else {
            return;
        };
        self.mend();
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
        let mut answers = running.join_all().await;
        // What was charged was decided in the order of the attempts left, and before what found it decided.
        let charged =
            |answer: &Answer| answer.body["valid"] == true || answer.body["reason"] == "wrong_code";
        answers.sort_by_key(|(answer, _)| {
            (
                !charged(answer),
                std::cmp::Reverse(answer.body["attempts_left"].as_u64()),
            )
        });
        for (answer, code) in answers {
            if let Told::Answer(answer) = self.told(answer) {
                self.checked(live, now, Some(&code), &answer);
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
        let answer = self.service().call("DELETE", &path, None).await;
        if let Told::Answer(answer) = self.told(answer) {
            assert!(
                answer.status == 200 && was_pending || answer.status == 409 || answer.status == 404,
                "{answer:?}"
            );
        }
    }

    pub async fn unlock(&mut self, person: usize) {
        let body = json!({"to": self.model.people[person].to});
        let answer = self
            .service()
            .call("POST", "/v1/recipients/unlock", Some(body))
            .await;
        self.model.people[person].wrongs.clear();
        if let Told::Answer(answer) = self.told(answer) {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }

    pub async fn forget(&mut self, person: usize) {
        let body = json!({"to": self.model.people[person].to});
        let answer = self
            .service()
            .call("POST", "/v1/recipients/forget", Some(body))
            .await;
        match self.told(answer) {
            Told::Answer(answer) => {
                assert_eq!(answer.status, 200, "{answer:?}");
                self.model.forgotten(person);
            }
            Told::Nothing => {
                self.mend();
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

    /// Dispatches of any age come again, some of them at once.
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
                assert_eq!(queue.raw("POST", "/", &headers, request).await.status, 200);
            }
        }
    }

    pub async fn change_carrier(&mut self) {
        let behaviour = match self.dice.below(9) {
            0..=3 => Behaviour::Accept,
            4 => Behaviour::Answer(500, ""),
            5 => Behaviour::Answer(429, "7"),
            6 => Behaviour::Answer(400, ""),
            7 => Behaviour::Hang,
            _ => Behaviour::Close,
        };
        let at = self.dice.below(2);
        self.note(format!("    {at}: {behaviour:?}"));
        self.carriers[at].behave(behaviour);
    }

    /// Any message, of any age, reported as anything, now and then twice.
    pub async fn report(&mut self) {
        let Some(report) = self.some_report().await else {
            return;
        };
        for _ in 0..self.dice.below(2) + 1 {
            let answer = report.send(self.service()).await;
            if let Told::Answer(answer) = self.told(answer) {
                assert_eq!(answer.status, 200, "{answer:?}");
            }
        }
    }

    async fn some_report(&mut self) -> Option<Report> {
        if self.model.handed.is_empty() {
            return None;
        }
        let recent = self.model.handed.len().saturating_sub(12);
        let at = if self.dice.one_in(4) {
            self.dice.below(self.model.handed.len())
        } else {
            recent + self.dice.below(self.model.handed.len() - recent)
        };
        let handed = self.model.handed[at].clone();
        let status = *self.dice.pick(&[
            "sent",
            "delivered",
            "undelivered",
            "rejected",
            "expired",
            "queued",
            "nonsense",
        ]);
        let by = handed
            .callback_path()
            .split('/')
            .nth(3)
            .expect("a carrier")
            .to_owned();
        let carrier = self
            .carriers
            .iter()
            .find(|carrier| carrier.name == by)
            .expect("one of ours")
            .clone();
        let now = self.service().now().await;
        self.note(format!("    {status} of {} by {by}", handed.reference()));
        Some(carrier.report(&handed, status, now))
    }

    pub async fn forge_report(&mut self) {
        let Some(mut report) = self.some_report().await else {
            return;
        };
        self.mend();
        self.service().settle().await;
        let before = self.service().state().await;
        match self.dice.below(4) {
            0 => report.body.push(b' '),
            1 => report.signature = format!("v1,{}", BASE64.encode(&[7; 32])),
            2 => report.timestamp = (report.timestamp.parse::<i64>().unwrap_or(0) - 1).to_string(),
            _ => report.path.truncate(report.path.len() - 1),
        }
        let answer = report.send(self.service()).await;
        assert!([401, 404].contains(&answer.status), "{answer:?}");
        assert_eq!(
            self.service().state().await["table"],
            before["table"],
            "no write for a stranger"
        );
    }
}
