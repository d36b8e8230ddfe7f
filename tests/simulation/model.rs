//! The model: the invariants of the service, from the responses to apps and the messages at
//! carriers only. After a lost response it allows both outcomes until it learns which one is true.

use serde_json::Value;

use super::{ATTEMPTS, BUDGET, DAY, HOUR, SENDS_PER_DAY, SENDS_PER_HOUR, TTL};
use crate::support::{ReceivedMessage, american_phone, unix_seconds};

/// The wait before the second and every further send of an hour.
pub const COOLDOWNS: [i64; 2] = [20, 40];
/// Seconds after which a send is not counted if no worker claimed its message.
const STUCK: i64 = 15;
/// The clock is read before a request and again in the service; the two may differ by so many
/// seconds.
pub const SLACK: i64 = 2;

/// One phone, and what its app knows.
#[derive(Default)]
pub struct Person {
    pub to: String,
    /// Index of the latest verification.
    pub live: Option<usize>,
    /// A verification whose response was lost may have superseded it.
    pub may_have_unknown: bool,
    /// Times of the sends that count.
    pub sends: Vec<i64>,
    /// Time of the last send that failed: it is not known whether it counts.
    pub uncertain_since: Option<i64>,
    /// Times of the attempts with a wrong code since the last unlock.
    pub wrongs: Vec<i64>,
    /// Most messages that the phone may have: one for each send, each unknown outcome and each
    /// fallback channel.
    pub allowed: usize,
    /// References of the messages that it has, or may have.
    pub references: Vec<String>,
}

/// One verification whose send got 201.
pub struct Known {
    pub id: String,
    pub person: usize,
    pub created_at: i64,
    pub expires_at: i64,
    pub code: Option<String>,
    pub idempotency_key: Option<String>,
    pub wrong: usize,
    pub valid: bool,
    /// The response to a check was lost.
    pub uncertain: bool,
    /// Most newer verifications of the same person.
    pub newer: usize,
    pub forgotten: bool,
    pub shown: Value,
}

impl Known {
    pub fn status(&self) -> &str {
        self.shown["status"].as_str().unwrap_or_default()
    }
}

/// The state before a step.
pub struct Before {
    /// Verifications that are pending.
    pub pending: Vec<usize>,
    /// How many verifications are known.
    pub known: usize,
}

/// All people, verifications and messages.
#[derive(Default)]
pub struct Model {
    pub people: Vec<Person>,
    pub known: Vec<Known>,
    pub received: Vec<ReceivedMessage>,
    /// How many messages may have been handed over twice because of crashed workers.
    pub worker_faults: usize,
    pub repeated: usize,
}

impl Model {
    pub fn new(people: usize) -> Self {
        let people = (0..people)
            .map(|n| Person {
                to: american_phone(n),
                ..Person::default()
            })
            .collect();
        Self {
            people,
            ..Self::default()
        }
    }

    /// A send got 201 for a verification that its app did not know.
    pub fn opened(&mut self, person: usize, body: &Value, key: Option<String>, counts_now: bool) {
        for other in self.known.iter_mut().filter(|known| known.person == person) {
            other.newer += 1;
        }
        let (created_at, expires_at) = (
            unix_seconds(&body["created_at"]),
            unix_seconds(&body["expires_at"]),
        );
        assert_eq!(expires_at - created_at, TTL, "{body}");
        let id = body["id"].as_str().expect("an id").to_owned();
        assert!(
            self.known.iter().all(|known| known.id != id),
            "ids are unique"
        );
        let known = Known {
            id,
            person,
            created_at,
            expires_at,
            code: None,
            idempotency_key: key,
            wrong: 0,
            valid: false,
            uncertain: false,
            newer: 0,
            forgotten: false,
            shown: body.clone(),
        };
        self.known.push(known);
        let live = self.known.len() - 1;
        if counts_now {
            self.sent(person, created_at);
        }
        let person = &mut self.people[person];
        person.live = Some(live);
        person.may_have_unknown = false;
    }

    /// A send or resend succeeded: it was within all limits, and counts.
    pub fn sent(&mut self, person: usize, at: i64) {
        self.forget_stuck_send(person, at);
        let person = &mut self.people[person];
        let within = |seconds: i64| {
            person
                .sends
                .iter()
                .filter(|sent| at - **sent < seconds - SLACK)
                .count()
        };
        assert!(
            within(HOUR) < SENDS_PER_HOUR,
            "too many sends in an hour: {:?} {at}",
            person.sends
        );
        assert!(
            within(DAY) < SENDS_PER_DAY,
            "too many sends in a day: {:?} {at}",
            person.sends
        );
        if let Some(last) = person.sends.last().filter(|_| within(HOUR) > 0) {
            let wait = COOLDOWNS[within(HOUR).min(COOLDOWNS.len()) - 1];
            assert!(
                at - last >= wait - SLACK,
                "within the cooldown: {:?} {at}",
                person.sends
            );
        }
        let failures = person
            .wrongs
            .iter()
            .filter(|wrong| at - **wrong < DAY - SLACK)
            .count();
        assert!(
            failures < BUDGET,
            "a send to a locked recipient: {:?} {at}",
            person.wrongs
        );
        person.sends.push(at);
        person.allowed += 1;
    }

    /// Whether a send at `at` must succeed: no limit can reject it, and nothing is uncertain.
    pub fn must_be_accepted(&self, person: usize, at: i64) -> bool {
        let person = &self.people[person];
        let within = |events: &[i64], seconds: i64| {
            events
                .iter()
                .filter(|event| at - **event <= seconds + SLACK)
                .count()
        };
        let sure = person
            .uncertain_since
            .is_none_or(|uncertain| at - uncertain > DAY + SLACK);
        sure && within(&person.sends, HOUR) == 0
            && within(&person.sends, DAY) < SENDS_PER_DAY
            && within(&person.wrongs, DAY) == 0
    }

    /// If no worker claimed the latest message for too long, it is not known whether its send
    /// counts once there is another one.
    fn forget_stuck_send(&mut self, person: usize, at: i64) {
        let live = self.people[person]
            .live
            .map(|live| &self.known[live].shown["delivery"]);
        let never_left = |delivery: &Value| {
            delivery["status"] == "queued"
                || (delivery["status"] == "failed" && delivery["carrier"].is_null())
        };
        if live.is_some_and(|delivery| {
            never_left(delivery) && at - unix_seconds(&delivery["updated_at"]) > STUCK - SLACK
        }) {
            self.people[person].sends.pop();
            self.people[person].uncertain_since = Some(at);
        }
    }

    /// A send or resend failed, and may have taken effect.
    pub fn uncertain_send(&mut self, person: usize, at: i64, may_replace: bool) {
        self.forget_stuck_send(person, at);
        let person_index = person;
        let person = &mut self.people[person];
        person.uncertain_since = Some(at);
        person.allowed += 1;
        person.may_have_unknown |= may_replace;
        if may_replace {
            for other in self
                .known
                .iter_mut()
                .filter(|known| known.person == person_index)
            {
                other.newer += 1;
            }
        }
    }

    /// Everything about a person but for the counts was deleted.
    pub fn forgotten(&mut self, person: usize) {
        self.known
            .iter_mut()
            .filter(|known| known.person == person)
            .for_each(|known| known.forgotten = true);
        self.people[person].live = None;
        self.people[person].may_have_unknown = false;
    }

    /// A check of the verification `at` completed with `body`. `checked_code` is `None` if its
    /// purpose was wrong.
    pub fn checked(&mut self, at: usize, moment: i64, checked_code: Option<&str>, body: &Value) {
        let known = &mut self.known[at];
        let is_right = known.code.is_some() && known.code.as_deref() == checked_code;
        let was_pending = known.status() == "pending"
            && moment < known.expires_at - SLACK
            && !known.uncertain
            && !known.valid;
        match body["reason"].as_str() {
            None => known.approve(moment, is_right, body),
            Some("wrong_code") => {
                assert!(
                    !is_right,
                    "the right code was rejected as wrong: {}",
                    known.id
                );
                known.wrong += 1;
                let person = known.person;
                self.count_failure(person, moment);
            }
            Some(reason) => {
                assert!(
                    body["valid"] == false
                        && [
                            "expired",
                            "exhausted",
                            "already_used",
                            "canceled",
                            "superseded"
                        ]
                        .contains(&reason),
                    "{body}"
                );
                assert!(
                    !(was_pending
                        && is_right
                        && known.wrong < ATTEMPTS
                        && known.attempts_left() > 0),
                    "the right code was rejected: {body}"
                );
            }
        }
        let known = &self.known[at];
        assert!(
            known.wrong + usize::from(known.valid) <= ATTEMPTS,
            "more attempts than the maximum: {}",
            known.id
        );
    }

    fn count_failure(&mut self, person: usize, moment: i64) {
        let person = &mut self.people[person];
        person.wrongs.push(moment);
        let failures = person
            .wrongs
            .iter()
            .filter(|wrong| moment - **wrong < DAY - SLACK)
            .count();
        assert!(
            failures <= BUDGET,
            "more wrong attempts in a day than the budget: {:?}",
            person.wrongs
        );
    }

    /// Whether a verification must still be found by its id.
    pub fn must_be_readable(&self, at: usize, now: i64) -> bool {
        let known = &self.known[at];
        !known.forgotten && known.newer <= 4 && now - known.created_at < 2 * DAY - SLACK
    }

    /// The state before a step.
    pub fn before(&self) -> Before {
        Before {
            pending: self.pending(),
            known: self.known.len(),
        }
    }

    /// The verifications that were pending when they were last shown.
    pub fn pending(&self) -> Vec<usize> {
        (0..self.known.len())
            .filter(|at| self.known[*at].status() == "pending")
            .collect()
    }
}

impl Known {
    fn approve(&mut self, moment: i64, is_right: bool, body: &Value) {
        assert_eq!(
            (body["valid"] == true, body["status"].as_str()),
            (true, Some("approved")),
            "{body}"
        );
        assert!(!self.valid, "approved twice: {}", self.id);
        assert!(
            is_right || self.code.is_none(),
            "approved a wrong code: {}",
            self.id
        );
        assert!(
            self.status() == "pending",
            "approved after it was {}: {}",
            self.status(),
            self.id
        );
        assert!(
            moment <= self.expires_at + SLACK,
            "approved after its end: {}",
            self.id
        );
        self.valid = true;
    }

    fn attempts_left(&self) -> u64 {
        self.shown["attempts_left"].as_u64().unwrap_or(0)
    }
}
