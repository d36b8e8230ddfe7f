//! Decisions: made, denied, named by a check, and shown.

use serde_json::json;

use super::Run;
use super::checks::name;
use super::model::{DECISIONS, Decision, Subject};
use crate::support::{assert_fields, assert_problem, assert_status, unix_seconds};

/// The decision that a check names.
pub struct Named {
    /// `None`: it names none.
    pub id: Option<String>,
    /// The error of a check that names it.
    pub problem: Option<(u16, &'static str)>,
    /// A check of a verification shows a denied decision.
    pub is_denied: bool,
}

/// The rule that decides, what it says and what it requires.
fn expected(model: &Subject, action: &str) -> (&'static str, &'static str, Vec<Vec<&'static str>>) {
    let is_enrolled = |word| model.is_enrolled(word);
    match action {
        "pay" => (
            "pay",
            "challenge",
            vec![vec!["totp", "sms"], vec!["backup_codes"]],
        ),
        "login" if is_enrolled("totp") => (
            "known",
            "challenge",
            vec![vec!["totp"], vec!["hotp"], vec!["sms"]],
        ),
        "close" if !is_enrolled("sms") && !is_enrolled("hotp") => ("closed", "deny", vec![]),
        _ => ("rest", "allow", vec![]),
    }
}

impl Run {
    pub async fn decide(&mut self, subject: usize) {
        let action = *self.dice.pick(&["pay", "pay", "login", "close"]);
        let now = self.service.now().await;
        let model = &self.model.subjects[subject];
        let is_unsure = model
            .decisions
            .iter()
            .any(|decision| decision.is_unsure(now))
            || model.factors.iter().any(|factor| factor.is_unsure(now));
        if is_unsure {
            return;
        }
        let body = json!({"action": action});
        let decided = self.service.decide(&name(subject), body).await;
        self.answered(&decided);
        let model = &mut self.model.subjects[subject];
        if model.decisions.len() == DECISIONS {
            let mut decisions = model.decisions.iter();
            match decisions.position(|decision| decision.status(now) != "pending") {
                Some(oldest) => drop(model.decisions.remove(oldest)),
                None => {
                    assert_problem(&decided, 429, "rate_limited");
                    return assert_eq!(decided.body["limit"], "decisions");
                }
            }
        }
        assert_status(&decided, 201);
        let (rule, decision, requires) = expected(model, action);
        let status = match decision {
            "challenge" => "pending",
            "deny" => "denied",
            _ => "approved",
        };
        assert_fields(
            &decided.body,
            json!({"rule": rule, "decision": decision, "status": status, "requires": requires,
                "missing": requires, "approved_by": []}),
        );
        model.decisions_made += 1;
        model.decisions.push(Decision {
            id: decided.id(),
            path: format!("/v1/subjects/{}/decisions/{}", name(subject), decided.id()),
            number: model.decisions_made,
            requires,
            approved_by: vec![],
            any_counts: !model.has_proof(),
            status,
            created_at: unix_seconds(&decided.body["created_at"]),
        });
    }

    pub async fn deny(&mut self, subject: usize) {
        let now = self.service.now().await;
        let decisions = &mut self.model.subjects[subject].decisions;
        if decisions.is_empty() {
            return;
        }
        let index = self.dice.below(decisions.len());
        let decision = &mut decisions[index];
        if decision.is_unsure(now) {
            return;
        }
        let denied = self.service.call("DELETE", &decision.path, None).await;
        if decision.status(now) != "pending" {
            return assert_problem(&denied, 409, "decision_not_pending");
        }
        assert_eq!(denied.body["status"], "denied");
        decision.status = "denied";
    }

    /// The decision that a check names: none, one of the subject, or one of another subject. `None`
    /// if what it answers is not certain.
    pub fn named_decision(&mut self, subject: usize, now: i64) -> Option<Named> {
        let mut named = Named {
            id: None,
            problem: None,
            is_denied: false,
        };
        if !self.dice.one_in(3) {
            return Some(named);
        }
        let owner = match self.dice.one_in(8) {
            true => self.dice.below(self.model.subjects.len()),
            false => subject,
        };
        let decisions = &self.model.subjects[owner].decisions;
        if decisions.is_empty() {
            return Some(named);
        }
        // The latest ones are pending more often.
        let from = decisions.len().saturating_sub(4);
        let decision = &decisions[from + self.dice.below(decisions.len() - from)];
        if decision.is_unsure(now) {
            return None;
        }
        named.id = Some(decision.id.clone());
        named.problem = match decision.status(now) {
            _ if owner != subject => Some((404, "not_found")),
            _ if now >= decision.expires_at() => Some((409, "decision_not_pending")),
            "denied" => Some((409, "decision_not_pending")),
            _ => None,
        };
        named.is_denied = owner == subject && now < decision.expires_at();
        Some(named)
    }

    /// Compares one of the decisions with the model.
    pub async fn observe_decision(&mut self, subject: usize) {
        let now = self.service.now().await;
        let decisions = &self.model.subjects[subject].decisions;
        if decisions.is_empty() {
            return;
        }
        let decision = &decisions[self.dice.below(decisions.len())];
        if decision.is_unsure(now) {
            return;
        }
        let shown = self.service.call("GET", &decision.path, None).await;
        assert_fields(
            &shown.body,
            json!({"status": decision.status(now), "requires": decision.requires,
                "missing": decision.missing(), "approved_by": decision.approved_by}),
        );
    }
}
