//! Checks of factors, and verifications of recipients: what they answer, and what they change.

use serde_json::{Value, json};

use super::model::{Codes, Factor, LOOK_AHEAD, Subject};
use super::{Operation, Run};
use crate::support::{
    Authenticator, TestResponse, assert_problem, assert_replays, assert_status, wrong_code_of,
};

/// What is submitted to a factor, and what is predicted of it.
struct Submission {
    code: String,
    /// The `reason` of the response.
    reason: Option<&'static str>,
    /// The step, counter or code that is used if it is valid.
    used: i64,
}

impl Submission {
    fn of(factor: &Factor, operation: Operation, ahead: i64, now: i64) -> Option<Self> {
        match &factor.codes {
            Codes::Totp { app, last_step } => of_app(app, *last_step, operation, now),
            Codes::Hotp { token, next } => {
                let (counter, reason) = match operation {
                    Operation::CheckRight => (next + ahead, None),
                    Operation::CheckUsed if *next > ahead => (next - 1 - ahead, Some("replayed")),
                    Operation::CheckUsed => return None,
                    _ => return Some(Self::wrong(wrong_code_of(token))),
                };
                Some(Self {
                    code: token.code(counter),
                    reason,
                    used: counter,
                })
            }
            Codes::Backup { codes, used } => {
                let fits = |code: &&String| match operation {
                    Operation::CheckRight => !used.contains(*code),
                    _ => used.contains(*code),
                };
                let reason = match operation {
                    Operation::CheckRight => None,
                    Operation::CheckUsed => Some("replayed"),
                    _ => return Some(Self::wrong("22222-22222".to_owned())),
                };
                let code = codes.iter().find(fits)?.clone();
                Some(Self {
                    code,
                    reason,
                    used: 0,
                })
            }
        }
    }

    fn wrong(code: String) -> Self {
        Self {
            code,
            reason: Some("wrong_code"),
            used: 0,
        }
    }
}

/// The step of the service may be the next one already.
fn of_app(
    app: &Authenticator,
    last_step: i64,
    operation: Operation,
    now: i64,
) -> Option<Submission> {
    let step = now / 30;
    let submit = |step, reason| {
        Some(Submission {
            code: app.code(step),
            reason,
            used: step,
        })
    };
    match operation {
        Operation::CheckRight if last_step < step => submit(step, None),
        Operation::CheckRight => submit(step, Some("replayed")),
        Operation::CheckUsed if last_step == step => submit(step, Some("replayed")),
        Operation::CheckUsed if last_step < step - 1 => submit(step - 2, Some("wrong_code")),
        Operation::CheckUsed => None,
        _ => Some(Submission::wrong(app.wrong_code_at(now))),
    }
}

impl Run {
    /// Checks a code of a factor, for a decision in one of three.
    pub async fn check(&mut self, subject: usize, operation: Operation) {
        let now = self.service.now().await;
        let model = &self.model.subjects[subject];
        if model.factors.is_empty() {
            return;
        }
        let index = self.dice.below(model.factors.len());
        let factor = &model.factors[index];
        let ahead = i64::try_from(self.dice.below(3)).expect("few") % LOOK_AHEAD;
        let Some(submission) = Submission::of(factor, operation, ahead, now) else {
            return;
        };
        let budget = factor.budget();
        let (path, is_unsure) = (factor.path.clone(), factor.is_unsure(now));
        let Some(left) = model.attempts_left(budget, now).filter(|_| !is_unsure) else {
            return;
        };
        let Some(decision) = self.named_decision(subject, now) else {
            return;
        };
        let mut body = json!({"code": submission.code});
        if let Some(id) = &decision.id {
            body["decision"] = json!(id);
        }
        let key = self.trace.steps.to_string();
        let checked = self
            .service
            .check_at_with_key(&path, body.clone(), &key)
            .await;
        self.answered(&checked);
        if let Some((status, code)) = decision.problem {
            return assert_problem(&checked, status, code);
        }
        if left == 0 {
            assert_problem(&checked, 429, "rate_limited");
            return assert_eq!(checked.body["limit"], "guess_budget");
        }
        assert_eq!(checked.body["reason"], json!(submission.reason));
        let model = &mut self.model.subjects[subject];
        match submission.reason {
            None => accept(model, index, &submission, decision.id.as_deref(), now),
            Some("wrong_code") => model.wrong[budget].push(now),
            Some(_) => {}
        }
        let left = left - usize::from(submission.reason == Some("wrong_code"));
        assert_eq!(checked.body["attempts_left"], left);
        self.assert_decision(subject, decision.id.as_deref(), &checked, now);
        let again = self.service.check_at_with_key(&path, body, &key).await;
        assert_replays(&again, &checked);
    }

    /// Sends a code for a subject, and checks it.
    pub async fn verify(&mut self, subject: usize) {
        let (to, name) = (self.phone(), name(subject));
        let (id, code) = self.service.open_for(&name, &to).await;
        let now = self.service.now().await;
        let Some(decision) = self.named_decision(subject, now) else {
            return;
        };
        let mut body = json!({"code": code, "subject": name});
        if let Some(id) = &decision.id {
            body["decision"] = json!(id);
        }
        let checked = self.service.check_body(&id, body).await;
        self.answered(&checked);
        match decision.problem {
            Some((409, _)) if decision.is_denied => {}
            Some((status, code)) => return assert_problem(&checked, status, code),
            None => {}
        }
        let owner = self.model.owners.get(&to).copied();
        if owner.is_some_and(|owner| owner != subject) {
            assert_eq!(checked.body["reason"], "recipient_taken");
            assert_eq!(checked.body["status"], "refused");
            return;
        }
        assert_eq!(checked.body["valid"], true);
        self.model.owners.insert(to.clone(), subject);
        let model = &mut self.model.subjects[subject];
        let counts_from = model.decisions_made + 1;
        let counts_from = *model.recipients.entry(to).or_insert(counts_from);
        model.prove(decision.id.as_deref(), "sms", counts_from, now);
        self.assert_decision(subject, decision.id.as_deref(), &checked, now);
    }

    /// Asserts that the response shows the decision in its current state.
    fn assert_decision(&self, subject: usize, id: Option<&str>, checked: &TestResponse, now: i64) {
        let decisions = &self.model.subjects[subject].decisions;
        match decisions
            .iter()
            .find(|decision| Some(decision.id.as_str()) == id)
        {
            Some(decision) => {
                let expected = json!({"id": decision.id, "status": decision.status(now),
                    "missing": decision.missing()});
                assert_eq!(checked.body["decision"], expected);
            }
            None => assert_eq!(checked.body["decision"], Value::Null),
        }
    }

    /// Compares what a subject shows with the model.
    pub async fn observe(&mut self, subject: usize) {
        let now = self.service.now().await;
        self.model.expire(now);
        let path = format!("/v1/subjects/{}", name(subject));
        let shown = self.service.call("GET", &path, None).await;
        assert_status(&shown, 200);
        let (shown, model) = (&shown.body, &self.model.subjects[subject]);
        assert_factors(shown, model, now);
        for (budget, field) in ["attempts_left", "backup_attempts_left"].iter().enumerate() {
            if let Some(left) = model.attempts_left(budget, now) {
                assert_eq!(shown[field], left, "{field}");
            }
        }
        let recipients = shown["recipients"].as_array().expect("a list").iter();
        let mut recipients: Vec<_> = recipients
            .map(|known| {
                (
                    known["to"].as_str().unwrap_or_default(),
                    known["unique"] == true,
                )
            })
            .collect();
        recipients.sort_unstable();
        let expected: Vec<_> = model
            .recipients
            .keys()
            .map(|to| (to.as_str(), true))
            .collect();
        assert_eq!(recipients, expected);
        assert_eq!(
            shown["last_strong_at"].is_null(),
            model.last_strong_at.is_none()
        );
    }
}

fn assert_factors(shown: &Value, model: &Subject, now: i64) {
    let factors = shown["factors"].as_array().expect("a list");
    let times = factors
        .iter()
        .map(|factor| factor["created_at"].to_string());
    assert!(times.is_sorted(), "{shown}");
    for factor in &model.factors {
        let found = factors.iter().find(|shown| shown["id"] == factor.id);
        let Some(found) = found else {
            assert!(factor.is_unsure(now), "{} is gone: {shown}", factor.id);
            continue;
        };
        let status = match factor.is_confirmed {
            true => "active",
            false => "unconfirmed",
        };
        assert_eq!(found["status"], status);
        match &factor.codes {
            Codes::Totp { .. } => {}
            Codes::Hotp { next, .. } => assert_eq!(found["counter"], *next),
            Codes::Backup { used, .. } => assert_eq!(found["codes_left"], 10 - used.len()),
        }
    }
    let is_known = |shown: &&Value| model.factors.iter().any(|factor| shown["id"] == factor.id);
    assert_eq!(factors.iter().filter(is_known).count(), factors.len());
}

/// What an accepted code changes.
fn accept(model: &mut Subject, index: usize, submission: &Submission, id: Option<&str>, now: i64) {
    let factor = &mut model.factors[index];
    match &mut factor.codes {
        Codes::Totp { last_step, .. } => *last_step = submission.used,
        Codes::Hotp { next, .. } => *next = submission.used + 1,
        Codes::Backup { used, .. } => drop(used.insert(submission.code.clone())),
    }
    if factor.budget() == 0 {
        model.last_strong_at = Some(now);
    }
    if !factor.is_confirmed {
        factor.is_confirmed = true;
        factor.counts_from = model.decisions_made + 1;
    }
    let (word, counts_from) = (factor.word(), factor.counts_from);
    model.prove(id, word, counts_from, now);
}

/// The id of a subject.
pub fn name(subject: usize) -> String {
    format!("user-{subject}")
}
