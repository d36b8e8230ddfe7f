//! Enrolments, and everything that removes something.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Run;
use super::checks::name;
use super::model::{Codes, Factor};
use crate::support::{Authenticator, assert_status, unix_seconds};

/// Factors that a run enrols at most: fewer than a subject can have.
const FACTORS: usize = 8;

impl Run {
    pub async fn enrol(&mut self, subject: usize, kind: &'static str) {
        if self.model.subjects[subject].factors.len() >= FACTORS {
            return;
        }
        let mut body = json!({"type": kind});
        if kind != "backup_codes" {
            body["account"] = json!("a");
            // So many that no code of another step or counter is the same by chance.
            body["digits"] = json!(8);
        }
        let enrolled = self.service.enrol(&name(subject), body).await;
        self.answered(&enrolled);
        assert_status(&enrolled, 201);
        let device = || Authenticator::new(&name(subject), &enrolled.body);
        let codes = match kind {
            "totp" => Codes::Totp {
                app: device(),
                last_step: 0,
            },
            "hotp" => Codes::Hotp {
                token: device(),
                next: 0,
            },
            _ => {
                let codes = enrolled.body["codes"].as_array().expect("codes");
                let codes = codes.iter().filter_map(Value::as_str).map(str::to_owned);
                Codes::Backup {
                    codes: codes.collect(),
                    used: BTreeSet::new(),
                }
            }
        };
        let is_backup = kind == "backup_codes";
        let model = &mut self.model.subjects[subject];
        if is_backup {
            model.factors.retain(|factor| factor.word() != kind);
        }
        model.factors.push(Factor {
            id: enrolled.id(),
            path: format!("/v1/subjects/{}/factors/{}", name(subject), enrolled.id()),
            codes,
            created_at: unix_seconds(&enrolled.body["created_at"]),
            is_confirmed: is_backup,
            counts_from: model.decisions_made + 1,
        });
    }

    pub async fn remove_factor(&mut self, subject: usize) {
        let now = self.service.now().await;
        let model = &mut self.model.subjects[subject];
        if model.factors.is_empty() {
            return;
        }
        let index = self.dice.below(model.factors.len());
        if model.factors[index].is_unsure(now) {
            return;
        }
        let factor = model.factors.remove(index);
        let removed = self.service.call("DELETE", &factor.path, None).await;
        assert_status(&removed, 200);
        let again = self.service.call("DELETE", &factor.path, None).await;
        assert_status(&again, 404);
    }

    pub async fn unlock(&mut self, subject: usize) {
        let name = name(subject);
        let unlocked = self.service.subject("POST", &name, "/unlock", None);
        assert_status(&unlocked.await, 200);
        self.model.subjects[subject].wrong = [vec![], vec![]];
    }

    pub async fn erase(&mut self, subject: usize) {
        let name = name(subject);
        let erased = self.service.subject("DELETE", &name, "", None);
        assert_status(&erased.await, 200);
        let model = &mut self.model.subjects[subject];
        model.factors.clear();
        model.recipients.clear();
        model.decisions.clear();
        model.last_strong_at = None;
        self.model.owners.retain(|_, owner| *owner != subject);
    }

    pub async fn remove_recipient(&mut self, subject: usize) {
        let shown = self.service.show_subject(&name(subject)).await;
        let recipients = shown["recipients"].as_array().expect("a list");
        if recipients.is_empty() {
            return;
        }
        let removed = self.dice.pick(recipients);
        let (id, to) = (removed["id"].as_str(), removed["to"].as_str());
        let (id, to) = (id.expect("an id"), to.expect("a number").to_owned());
        let path = format!("/recipients/{id}");
        let name = name(subject);
        let response = self.service.subject("DELETE", &name, &path, None);
        assert_status(&response.await, 200);
        self.model.subjects[subject].recipients.remove(&to);
        self.model.owners.remove(&to);
    }

    pub async fn release(&mut self) {
        let to = self.phone();
        let body = Some(json!({"to": to}));
        let released = self.service.call("POST", "/v1/recipients/release", body);
        assert_status(&released.await, 200);
        if let Some(owner) = self.model.owners.remove(&to) {
            self.model.subjects[owner].recipients.remove(&to);
        }
    }
}
