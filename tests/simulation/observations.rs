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
        let owner = &self.people[person];
        let unknown_verification = owner.may_have_unknown;
        match owner.live {
            Some(live) if !unknown_verification => {
                assert!(
                    before.pending.contains(&live) || live >= before.known,
                    "a message of an ended verification: {message:?}"
                );
                let known = &mut self.known[live];
                assert!(
                    known.code.as_ref().is_none_or(|known| *known == code),
                    "another code for the same verification: {message:?}"
                );
                assert!(
                    (known.expires_at - message.at - validity).abs() <= SLACK,
                    "the validity ends with the verification: {message:?}"
                );
                known.code = Some(code);
            }
            _ => assert!(
                unknown_verification,
                "a message of no verification: {message:?}"
            ),
        }
        self.received.push(message);
    }

    /// Asserts that the recipient was not locked, and that it did not get too many messages.
    fn count_message(&mut self, person: usize, message: &ReceivedMessage) {
        let got_it = matches!(
            message.behaviour,
            Behaviour::Accept | Behaviour::Hang | Behaviour::Close
        );
        let unknown = matches!(message.behaviour, Behaviour::Hang | Behaviour::Close);
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
                assert!(
                    old["carrier"].is_null() || old["carrier"] == new["carrier"],
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
