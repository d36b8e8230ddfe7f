//! A run: its steps, the faults in them, and the invariants after each.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::dice::Dice;
use super::model::{self, Before, Model};
use super::{
    ATTEMPTS, BUDGET, CODE_LENGTH, DAY, OPERATIONS, Operation, PEOPLE, Reply, SENDS_PER_DAY,
    SENDS_PER_HOUR, Simulation, TRACE_LENGTH, Trace,
};
use crate::support::{
    Behaviour, Fault, HttpCarrier, ProxiedService, Service, TestResponse, assert_status,
    unix_seconds,
};

impl Simulation {
    pub async fn new(seed: u64) -> Self {
        // So long that a response on a busy machine is not late: an outcome is unknown only where
        // the carrier makes it so.
        let start = async |name| HttpCarrier::start(name).await.with_timeout_ms(5000);
        let carriers = [start("first").await, start("second").await];
        let entries: Value = carriers.iter().map(HttpCarrier::entry).collect();
        let proxied = ProxiedService::start(&[
            ("OTP_CARRIERS", &entries.to_string()),
            ("OTP_CODE_ALPHABET", "alphanumeric"),
            ("OTP_CODE_LENGTH", &CODE_LENGTH.to_string()),
            ("OTP_MAX_ATTEMPTS", &ATTEMPTS.to_string()),
            ("OTP_GUESS_BUDGET", &BUDGET.to_string()),
            (
                "OTP_COOLDOWN_SECONDS",
                &model::COOLDOWNS.map(|wait| wait.to_string()).join(","),
            ),
            ("OTP_SENDS_PER_HOUR", &SENDS_PER_HOUR.to_string()),
            ("OTP_SENDS_PER_DAY", &SENDS_PER_DAY.to_string()),
            ("OTP_PREFIX_SENDS", "1000/600"),
            ("OTP_CONVERSION_MIN", "0"),
        ])
        .await;
        let trace = Trace {
            seed,
            steps: 0,
            last: vec![],
        };
        let model = Model::new(PEOPLE);
        Self {
            proxied,
            carriers,
            received_counts: [0; 2],
            dice: Dice::new(seed),
            model,
            dispatches: vec![],
            is_broken: false,
            keys: 0,
            trace,
        }
    }

    pub fn service(&self) -> &Service {
        &self.proxied.service
    }

    pub fn note(&mut self, line: String) {
        self.trace.last.push(line);
        if self.trace.last.len() > TRACE_LENGTH {
            self.trace.last.remove(0);
        }
    }

    /// One operation, and then the invariants.
    pub async fn step(&mut self) {
        self.trace.steps += 1;
        let operation = self.dice.weighted(&OPERATIONS);
        let person = self.dice.below(PEOPLE);
        let before = self.model.before();
        let now = self.service().now().await;
        self.note(format!(
            "{} at {now}: {operation:?} of {person}",
            self.trace.steps
        ));
        let reaches_workers = self.break_something();
        self.operate(operation, person).await;
        if !reaches_workers {
            self.clear_faults();
        }
        self.service().settle().await;
        if reaches_workers {
            self.model.worker_faults += 16;
            self.clear_faults();
            self.service().settle().await;
        }
        self.observe(Some(person), &before).await;
    }

    /// Breaks table or queue in one of eight steps; returns whether for the workers as well.
    fn break_something(&mut self) -> bool {
        if !self.dice.one_in(8) {
            return false;
        }
        self.is_broken = true;
        let count = self.dice.below(6);
        let kind = self.dice.below(40);
        match kind {
            0 => self
                .proxied
                .table
                .break_one_after(count, Fault::DropResponse),
            1..=12 => self
                .proxied
                .table
                .break_one_after(count, Fault::ReplaceResponse),
            13..=18 => self
                .proxied
                .queue
                .break_one_after(count / 3, Fault::ReplaceResponse),
            _ => self.proxied.crash_after(count),
        }
        let reaches_workers = self.dice.one_in(2);
        self.note(format!(
            "    broken: kind {kind} after {count} calls, workers too: {reaches_workers}"
        ));
        reaches_workers
    }

    pub fn clear_faults(&mut self) {
        self.proxied.clear_faults();
        self.is_broken = false;
    }

    async fn operate(&mut self, operation: Operation, person: usize) {
        match operation {
            Operation::Send => self.send(person).await,
            Operation::SendAgain => self.send_again(person).await,
            Operation::SendWhenAllowed => self.send_when_allowed(person).await,
            Operation::Resend => self.resend(person).await,
            Operation::CheckRight => self.check_live(person, true).await,
            Operation::CheckWrong => self.check_live(person, false).await,
            Operation::CheckOtherPurpose => self.check_other_purpose(person).await,
            Operation::CheckStale => self.check_stale().await,
            Operation::ChecksAtOnce => self.checks_at_once(person).await,
            Operation::Cancel => self.cancel(person).await,
            Operation::Unlock => self.unlock(person).await,
            Operation::Forget => self.forget(person).await,
            Operation::Advance => self.advance().await,
            Operation::Redeliver => self.redeliver().await,
            Operation::ChangeCarrier => self.change_carrier().await,
            Operation::Report => self.report().await,
            Operation::ForgeReport => self.forge_report().await,
        }
    }

    /// A 503 is acceptable only while something is broken.
    pub fn reply(&mut self, response: TestResponse) -> Reply {
        self.note(format!(
            "    {} {}",
            response.status,
            String::from_utf8_lossy(&response.raw)
        ));
        if response.status == 503 {
            assert!(self.is_broken, "503 with nothing broken: {response:?}");
            return Reply::Unknown;
        }
        Reply::Response(response)
    }

    /// The invariants after a step: of `person` always, of the others in every fifth step.
    pub async fn observe(&mut self, person: Option<usize>, before: &Before) {
        for call in self.proxied.queue.take_calls() {
            self.dispatches
                .extend(call.body["MessageBody"].as_str().map(str::to_owned));
        }
        drop(self.proxied.table.take_calls());
        let now = self.service().now().await;
        let is_thorough = person.is_none() || self.trace.steps.is_multiple_of(5);
        let mut observed = self.model.pending();
        observed.extend(self.model.people.iter().filter_map(|person| person.live));
        observed.retain(|at| is_thorough || Some(self.model.known[*at].person) == person);
        observed.extend(
            (!self.model.known.is_empty()).then(|| self.dice.below(self.model.known.len())),
        );
        observed.sort_unstable();
        observed.dedup();
        for at in observed {
            let shown = self.service().show(&self.model.known[at].id).await;
            match shown.status {
                200 => self.model.observe(at, &shown.body),
                404 => assert!(
                    !self.model.must_be_readable(at, now),
                    "{} is gone",
                    self.model.known[at].id
                ),
                _ => panic!("{shown:?}"),
            }
        }
        for person in &mut self.model.people {
            // While the previous verification is pending, no other one has superseded it.
            let live = person
                .live
                .map(|live| self.model.known[live].status() == "pending");
            person.may_have_unknown &= live != Some(true);
        }
        for at in 0..self.carriers.len() {
            let received = self.carriers[at].received_since(self.received_counts[at]);
            self.received_counts[at] += received.len();
            for message in received {
                self.note(format!(
                    "    {} {} of {} at {}: {:?}",
                    message.channel(),
                    message.reference(),
                    message.to(),
                    message.at,
                    message.behaviour
                ));
                self.model.receive_message(message, before);
            }
        }
        if self.trace.steps.is_multiple_of(20) {
            self.assert_nothing_readable().await;
        }
    }

    /// Asserts that the stored state contains no number and no code, neither as text nor in a blob.
    async fn assert_nothing_readable(&self) {
        let state = self.service().state().await;
        let mut stored = vec![state.to_string().into_bytes()];
        blobs(&state, &mut stored);
        let codes = self
            .model
            .received
            .iter()
            .rev()
            .take(40)
            .map(|message| message.first_word());
        let numbers = self
            .model
            .people
            .iter()
            .map(|person| person.to.trim_start_matches('+').to_owned());
        for secret in codes.chain(numbers) {
            let found = stored.iter().any(|blob| {
                blob.windows(secret.len())
                    .any(|window| window == secret.as_bytes())
            });
            assert!(!found, "{secret} is stored readable");
        }
    }

    /// Ends all faults: all work completes, and every recipient gets a code.
    pub async fn finish(&mut self) {
        self.trace.steps += 1;
        for carrier in &self.carriers {
            carrier.behave(Behaviour::Accept);
        }
        for _ in 0..3 {
            let before = self.model.before();
            self.service().advance(DAY / 2).await;
            self.observe(None, &before).await;
        }
        let state = self.service().state().await;
        assert_eq!(state["queue"], json!([]), "the queue is empty at the end");
        for person in 0..PEOPLE {
            let (to, before) = (self.model.people[person].to.clone(), self.model.before());
            let sent = self.service().send(&to).await;
            assert_status(&sent, 201);
            self.model.opened(person, &sent.body, None, true);
            self.service().settle().await;
            self.observe(Some(person), &before).await;
            let at = self.model.known.len() - 1;
            let code = self.model.known[at]
                .code
                .clone()
                .expect("the message arrived");
            assert_eq!(
                self.service().check(&sent.id(), &code).await.body["valid"],
                true
            );
            assert!(unix_seconds(&sent.body["expires_at"]) > self.service().now().await);
        }
        self.assert_nothing_readable().await;
    }
}

/// Decodes every blob in `value`.
fn blobs(value: &Value, into: &mut Vec<Vec<u8>>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner
                    .as_str()
                    .filter(|_| name == "B")
                    .and_then(|text| BASE64.decode(text.as_bytes()).ok())
                {
                    Some(blob) => into.push(blob),
                    None => blobs(inner, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| blobs(item, into)),
        _ => {}
    }
}
