//! What the model learns from carriers and from the verifications that the service shows.

use serde_json::Value;

use super::model::{Before, Model, SLACK};
use super::{BUDGET, DAY, TTL};
use crate::support::{Behaviour, ReceivedMessage};

/// The rank of the status of a delivery. It never decreases.
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
        .unwrap_or_else(|| panic!("{status} is not a status of a delivery"))
}

impl Model {
    /// A carrier received a message. `before` is the state before the step.
    pub fn receive_message(&mut self, message: ReceivedMessage, before: &Before) {
        let person = self
            .people
            .iter()
            .position(|person| person.to == message.to())
            .expect("a phone of a person");
        let code = message.first_word();
        let validity = message.body["validity_seconds"].as_i64().expect("seconds");
        assert!(
            (10 - SLACK..=TTL + SLACK).contains(&validity),
            "a code near expiry: {message:?}"
        );
        self.count_message(person, &message);
        // One whose response was lost may be the verification of this message.
        if !self.people[person].may_have_unknown {
            let at = self.verification_of(person, &message, validity, before);
            let known = &mut self.known[at];
            assert!(
                known.code.as_ref().is_none_or(|known| *known == code),
                "another code for the same verification: {message:?}"
            );
            known.code = Some(code);
        }
        self.received.push(message);
    }

    /// The verification that a message is of: it was pending before the step, or was opened in it.
    /// Real time passes beside the clock, so the next round of a message may be due in the step
    /// that ends its verification, and come first.
    fn verification_of(
        &self,
        person: usize,
        message: &ReceivedMessage,
        validity: i64,
        before: &Before,
    ) -> usize {
        let is_live = |at: &usize| before.pending.contains(at) || *at >= before.known;
        let ends_with_it = |at: &usize| {
            let known = &self.known[*at];
            known.person == person && (known.expires_at - message.at - validity).abs() <= SLACK
        };
        let mut live = (0..self.known.len()).filter(is_live);
        live.rfind(ends_with_it).unwrap_or_else(|| {
            panic!("a message of no verification, or with another validity: {message:?}")
        })
    }

    /// Asserts that the recipient was not locked, and that it did not get too many messages.
    fn count_message(&mut self, person: usize, message: &ReceivedMessage) {
        let got_it = matches!(message.behaviour, Behaviour::Accept | Behaviour::Close);
        let unknown = matches!(message.behaviour, Behaviour::Close);
        let owner = &mut self.people[person];
        let locked = owner
            .wrongs
            .iter()
            .filter(|wrong| message.at - **wrong < DAY - SLACK && **wrong <= message.at - SLACK)
            .count()
            >= BUDGET;
        assert!(!locked, "a message to a locked recipient: {message:?}");
        if got_it {
            if owner
                .references
                .iter()
                .any(|reference| reference == message.reference())
            {
                self.repeated += 1;
            } else {
                owner.references.push(message.reference().to_owned());
                owner.allowed += usize::from(unknown);
            }
            assert!(
                owner.references.len() <= owner.allowed,
                "more messages than were requested: {message:?}"
            );
            assert!(
                self.repeated <= self.worker_faults,
                "the same message twice, though no worker crashed: {message:?}"
            );
        }
    }

    /// Stores what a verification shows, and holds that nothing went back.
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
            "{id}: an attempt was restored: {before} {shown}"
        );
        let (old, new) = (list(before), list(shown));
        assert!(
            new.len() <= 8 && new.last() == Some(&shown["delivery"]),
            "{shown}"
        );
        // With eight deliveries the oldest ones are no longer shown.
        if new.len() < 8 {
            for (old, new) in old.iter().zip(new) {
                assert!(
                    rank(&new["status"]) >= rank(&old["status"]),
                    "{id}: the status of a delivery went back: {old} {new}"
                );
                // One carrier may have delivered before the next one was called.
                let was_delivered = old["status"] == "delivered";
                let is_delivered = new["status"] == "delivered" && !was_delivered;
                assert!(
                    old["carrier"].is_null() || old["carrier"] == new["carrier"] || is_delivered,
                    "{id}: a delivery changed its carrier: {old} {new}"
                );
            }
        }
        known.shown = shown.clone();
    }
}

fn list(shown: &Value) -> &[Value] {
    shown["deliveries"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::support::rfc3339;

    const OPENED_AT: i64 = 1_795_291_200;

    /// A message of the verification that was opened at `opened_at`, handed over at `at`.
    fn message(to: &str, opened_at: i64, at: i64) -> ReceivedMessage {
        let validity = opened_at + TTL - at;
        ReceivedMessage {
            headers: hyper::HeaderMap::new(),
            body: json!({
                "to": to, "reference": format!("of {opened_at}"), "validity_seconds": validity,
                "text": format!("CODE{opened_at} is your code."),
            }),
            at,
            behaviour: Behaviour::Accept,
        }
    }

    /// Opens a verification of the first person.
    fn open(model: &mut Model, at: i64) {
        let (created_at, expires_at) = (rfc3339(at), rfc3339(at + TTL));
        let body = json!({
            "id": format!("ve_{at}"), "status": "pending", "created_at": created_at,
            "expires_at": expires_at, "attempts_left": 3,
            "delivery": {"status": "sending", "updated_at": created_at},
        });
        model.opened(0, &body, None, true);
    }

    /// A verification with its code, and another one that a later step opens. Returns the state
    /// before that step.
    fn superseded() -> (Model, Before, String) {
        let mut model = Model::new(1);
        let to = model.people[0].to.clone();
        let before = model.before();
        open(&mut model, OPENED_AT);
        model.receive_message(message(&to, OPENED_AT, OPENED_AT), &before);
        let before = model.before();
        open(&mut model, OPENED_AT + 100);
        // The same message twice is not what these tests are about.
        model.worker_faults = 1;
        (model, before, to)
    }

    /// The long run found this with seed 107805334.
    #[test]
    fn message_before_its_verification_is_superseded_is_accepted() {
        let (mut model, before, to) = superseded();
        let late = message(&to, OPENED_AT, OPENED_AT + 100);
        model.receive_message(late, &before);
        let own = message(&to, OPENED_AT + 100, OPENED_AT + 100);
        model.receive_message(own, &before);
        assert!(model.known.iter().all(|known| known.code.is_some()));
        assert_ne!(model.known[0].code, model.known[1].code);
    }

    #[test]
    #[should_panic(expected = "a message of no verification")]
    fn message_of_a_superseded_verification_is_rejected() {
        let (mut model, _, to) = superseded();
        model.known[0].shown["status"] = json!("superseded");
        let before = model.before();
        let late = message(&to, OPENED_AT, OPENED_AT + 101);
        model.receive_message(late, &before);
    }
}
