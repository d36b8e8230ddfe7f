//! Model: what must hold, whatever happens. It knows what callers were told and what carriers were handed, and nothing of
//! how the service works. Where an answer was lost it allows both outcomes until it is told which.

use serde_json::Value;

use super::{ATTEMPTS, BUDGET, DAY, HOUR, SENDS_PER_DAY, SENDS_PER_HOUR, TTL};
use crate::carrier::{Behaviour, Handed};
use crate::harness::seconds;

/// Wait before the second and every further send of an hour.
pub const LADDER: [i64; 2] = [20, 40];
/// A send whose message no worker took for longer than this is not counted.
const STUCK: i64 = 15;
/// Two clocks are read for each call, before and in it; they may differ by this much.
const SLACK: i64 = 2;

/// One phone, and what its owner's app was told.
#[derive(Default)]
pub struct Person {
    pub to: String,
    /// Index of the verification that was answered last, unless a newer one may have taken its place.
    pub live: Option<usize>,
    /// A verification that nobody was told of may be alive.
    pub has_stranger: bool,
    /// Sends that were answered, and that count.
    pub sends: Vec<i64>,
    /// When a send was last answered by an error: whether it counts is not known.
    pub unsure_at: Option<i64>,
    /// Attempts that were answered `wrong_code`, since the last unlock.
    pub wrongs: Vec<i64>,
    /// Messages that it may have got: one a send, one more for each unknown outcome, one for each fallback channel.
    pub allowed: usize,
    /// Names of the messages that it got, or may have got.
    pub references: Vec<String>,
}

/// One verification that was answered 201.
pub struct Known {
    pub id: String,
    pub person: usize,
    pub created_at: i64,
    pub expires_at: i64,
    pub code: Option<String>,
    pub idempotency_key: Option<String>,
    pub wrong: usize,
    pub valid: bool,
    /// An attempt at it had no answer.
    pub unsure: bool,
    /// Newer ones of the same person, at most.
    pub newer: usize,
    pub forgotten: bool,
    pub shown: Value,
}

impl Known {
    pub fn status(&self) -> &str {
        self.shown["status"].as_str().unwrap_or_default()
    }
}

/// How things are when a step begins.
pub struct Before {
    /// Verifications that are pending.
    pub pending: Vec<usize>,
    /// How many verifications are known.
    pub known: usize,
}

/// All of it.
#[derive(Default)]
pub struct Model {
    pub people: Vec<Person>,
    pub known: Vec<Known>,
    pub handed: Vec<Handed>,
    /// Steps in which a worker may have died after a carrier had its message.
    pub worker_faults: usize,
    repeated: usize,
}

/// Rank of a delivery's status.
pub fn rank(status: &Value) -> usize {
    let ranks: [&[&str]; 6] = [
        &["queued"],
        &["sending"],
        &["unknown"],
        &["sent"],
        &["undelivered", "rejected", "expired", "failed"],
        &["delivered"],
    ];
    let status = status.as_str().unwrap_or_default();
    ranks
        .iter()
        .position(|words| words.contains(&status))
        .unwrap_or_else(|| panic!("{status} is no status of a delivery"))
}

impl Model {
    pub fn new(people: usize) -> Self {
        let people = (0..people)
            .map(|n| Person {
                to: crate::delivery::phone(n),
                ..Person::default()
            })
            .collect();
        Self {
            people,
            ..Self::default()
        }
    }

    /// A verification was answered 201, for the first time as far as its caller knows.
    pub fn opened(&mut self, person: usize, body: &Value, key: Option<String>, counts_now: bool) {
        for other in self.known.iter_mut().filter(|known| known.person == person) {
            other.newer += 1;
        }
        let (created_at, expires_at) = (seconds(&body["created_at"]), seconds(&body["expires_at"]));
        assert_eq!(expires_at - created_at, TTL, "{body}");
        let id = body["id"].as_str().expect("an id").to_owned();
        assert!(
            self.known.iter().all(|known| known.id != id),
            "an id is given once"
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
            unsure: false,
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
        person.has_stranger = false;
    }

    /// A send or resend was answered: it was within all limits, and counts.
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
            let wait = LADDER[within(HOUR).min(LADDER.len()) - 1];
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

    /// Whether a send at `at` must be answered with success: nothing holds it back, and nothing is uncertain.
    pub fn must_be_allowed(&self, person: usize, at: i64) -> bool {
        let person = &self.people[person];
        let within = |events: &[i64], seconds: i64| {
            events
                .iter()
                .filter(|event| at - **event <= seconds + SLACK)
                .count()
        };
        let sure = person
            .unsure_at
            .is_none_or(|unsure| at - unsure > DAY + SLACK);
        sure && within(&person.sends, HOUR) == 0
            && within(&person.sends, DAY) < SENDS_PER_DAY
            && within(&person.wrongs, DAY) == 0
    }

    /// As far as was shown, no worker took the latest message for too long, or ever will: whether its send still counts once another
    /// one was made is not known.
    fn forget_stuck_send(&mut self, person: usize, at: i64) {
        let live = self.people[person]
            .live
            .map(|live| &self.known[live].shown["delivery"]);
        let never_left = |delivery: &Value| {
            delivery["status"] == "queued"
                || (delivery["status"] == "failed" && delivery["carrier"].is_null())
        };
        if live.is_some_and(|delivery| {
            never_left(delivery) && at - seconds(&delivery["updated_at"]) > STUCK - SLACK
        }) {
            self.people[person].sends.pop();
            self.people[person].unsure_at = Some(at);
        }
    }

    /// A send or resend was answered by an error.
    pub fn unsure_send(&mut self, person: usize, at: i64, may_replace: bool) {
        self.forget_stuck_send(person, at);
        let person_index = person;
        let person = &mut self.people[person];
        person.unsure_at = Some(at);
        person.allowed += 1;
        person.has_stranger |= may_replace;
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

    /// Everything about a person was erased, but for the counts.
    pub fn forgotten(&mut self, person: usize) {
        self.known
            .iter_mut()
            .filter(|known| known.person == person)
            .for_each(|known| known.forgotten = true);
        self.people[person].live = None;
        self.people[person].has_stranger = false;
    }

    /// A check was answered 200 at `at` with `body`; `presented` is the code, unless something else was wrong about it.
    pub fn checked(&mut self, at: usize, moment: i64, presented: Option<&str>, body: &Value) {
        let known = &mut self.known[at];
        let is_right = known.code.is_some() && known.code.as_deref() == presented;
        let was_pending = known.status() == "pending"
            && moment < known.expires_at - SLACK
            && !known.unsure
            && !known.valid;
        match body["reason"].as_str() {
            None => {
                assert_eq!(
                    (body["valid"] == true, body["status"].as_str()),
                    (true, Some("approved")),
                    "{body}"
                );
                assert!(!known.valid, "approved twice: {}", known.id);
                assert!(
                    is_right || known.code.is_none(),
                    "approved a wrong code: {}",
                    known.id
                );
                assert!(
                    known.status() == "pending",
                    "approved after it was {}: {}",
                    known.status(),
                    known.id
                );
                assert!(
                    moment <= known.expires_at + SLACK,
                    "approved after its end: {}",
                    known.id
                );
                known.valid = true;
            }
            Some("wrong_code") => {
                assert!(!is_right, "the right code is no wrong code: {}", known.id);
                known.wrong += 1;
                let person = &mut self.people[known.person];
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
                    "refused, though right: {body}"
                );
            }
        }
        let known = &self.known[at];
        assert!(
            known.wrong + usize::from(known.valid) <= ATTEMPTS,
            "more attempts than it has: {}",
            known.id
        );
    }

    /// Takes what a carrier was handed since the last time. `before`: how things were when the step began.
    pub fn take_handed(&mut self, handed: Handed, before: &Before) {
        let person = self
            .people
            .iter()
            .position(|person| person.to == handed.to())
            .expect("a phone that was asked for");
        let code = handed.first_word();
        let validity = handed.body["validity_seconds"].as_i64().expect("seconds");
        assert!(
            (10 - SLACK..=TTL + SLACK).contains(&validity),
            "a dead code: {handed:?}"
        );
        let got_it = matches!(
            handed.behaviour,
            Behaviour::Accept | Behaviour::Hang | Behaviour::Close
        );
        let unknown = matches!(handed.behaviour, Behaviour::Hang | Behaviour::Close);
        let owner = &mut self.people[person];
        let locked = owner
            .wrongs
            .iter()
            .filter(|wrong| handed.at - **wrong < DAY - SLACK && **wrong <= handed.at - SLACK)
            .count()
            >= BUDGET;
        assert!(!locked, "a message to a locked recipient: {handed:?}");
        if got_it {
            if owner
                .references
                .iter()
                .any(|reference| reference == handed.reference())
            {
                self.repeated += 1;
            } else {
                owner.references.push(handed.reference().to_owned());
                owner.allowed += usize::from(unknown);
            }
            assert!(
                owner.references.len() <= owner.allowed,
                "more messages than were asked for: {handed:?}"
            );
            assert!(
                self.repeated <= self.worker_faults,
                "the same message twice, though no worker died: {handed:?}"
            );
        }
        let stranger = owner.has_stranger;
        match owner.live {
            Some(live) if !stranger => {
                assert!(
                    before.pending.contains(&live) || live >= before.known,
                    "a message of an ended one: {handed:?}"
                );
                let known = &mut self.known[live];
                assert!(
                    known.code.as_ref().is_none_or(|known| *known == code),
                    "another code for the same verification: {handed:?}"
                );
                assert!(
                    (known.expires_at - handed.at - validity).abs() <= SLACK,
                    "it tells its own end: {handed:?}"
                );
                known.code = Some(code);
            }
            _ => assert!(stranger, "a message of nobody's verification: {handed:?}"),
        }
        self.handed.push(handed);
    }

    /// Takes what a verification shows now, and holds that nothing went back.
    pub fn observe(&mut self, at: usize, shown: &Value) {
        let known = &mut self.known[at];
        let (before, id) = (&known.shown, &known.id);
        assert_eq!(shown["id"], before["id"]);
        for field in [
            "to",
            "channel",
            "purpose",
            "created_at",
            "expires_at",
            "reference",
            "transaction",
        ] {
            assert_eq!(shown[field], before[field], "{field} of {id}");
        }
        let (was, is) = (
            before["status"].as_str().unwrap_or_default(),
            shown["status"].as_str().unwrap_or_default(),
        );
        assert!(was == "pending" || was == is, "{id} was {was} and is {is}");
        let left = |value: &Value| value["attempts_left"].as_u64().expect("a number");
        assert!(
            left(shown) <= left(before),
            "{id}: an attempt came back: {before} {shown}"
        );
        let (old, new) = (list(before), list(shown));
        assert!(
            new.len() <= 8 && new.last() == Some(&shown["delivery"]),
            "{shown}"
        );
        // Past eight the oldest are dropped: whatever is left stands in the same order at the end.
        if new.len() < 8 {
            for (old, new) in old.iter().zip(new) {
                assert!(
                    rank(&new["status"]) >= rank(&old["status"]),
                    "{id}: a delivery moved down: {old} {new}"
                );
                assert!(
                    old["carrier"].is_null() || old["carrier"] == new["carrier"],
                    "{id}: a delivery changed hands: {old} {new}"
                );
            }
        }
        known.shown = shown.clone();
    }

    /// Whether a verification must still be found by its id.
    pub fn must_be_readable(&self, at: usize, now: i64) -> bool {
        let known = &self.known[at];
        !known.forgotten && known.newer <= 4 && now - known.created_at < 2 * DAY - SLACK
    }

    /// How things are before a step.
    pub fn before(&self) -> Before {
        Before {
            pending: self.pending(),
            known: self.known.len(),
        }
    }

    /// The verifications that may be pending, as far as was shown.
    pub fn pending(&self) -> Vec<usize> {
        (0..self.known.len())
            .filter(|at| self.known[*at].status() == "pending")
            .collect()
    }
}

impl Known {
    fn attempts_left(&self) -> u64 {
        self.shown["attempts_left"].as_u64().unwrap_or(0)
    }
}

fn list(shown: &Value) -> &[Value] {
    shown["deliveries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}
