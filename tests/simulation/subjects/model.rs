//! The model: what is known of each subject, and the rules in their simplest form.

use std::collections::{BTreeMap, BTreeSet};

use super::BUDGET;
use crate::support::Authenticator;

/// What is not predicted so many seconds around a limit of time.
const UNSURE_SECONDS: i64 = 8;
const DAY: i64 = 86_400;
const UNCONFIRMED_SECONDS: i64 = 600;
const DECISION_SECONDS: i64 = 600;
/// Decisions of a subject that are remembered.
pub const DECISIONS: usize = 20;
/// Counters of a token that are accepted, and that count as replayed.
pub const LOOK_AHEAD: i64 = 10;

/// Whether `at` is so near that a second more or less matters.
pub fn is_near(now: i64, at: i64) -> bool {
    (now - at).abs() <= UNSURE_SECONDS
}

/// The codes of a factor.
pub enum Codes {
    Totp {
        app: Authenticator,
        last_step: i64,
    },
    Hotp {
        token: Authenticator,
        next: i64,
    },
    Backup {
        codes: Vec<String>,
        used: BTreeSet<String>,
    },
}

pub struct Factor {
    pub id: String,
    pub path: String,
    pub codes: Codes,
    pub created_at: i64,
    pub is_confirmed: bool,
    /// Number of the first decision for which it counts.
    pub counts_from: usize,
}

impl Factor {
    pub fn word(&self) -> &'static str {
        match self.codes {
            Codes::Totp { .. } => "totp",
            Codes::Hotp { .. } => "hotp",
            Codes::Backup { .. } => "backup_codes",
        }
    }

    /// Which budget it has: 0 for apps and tokens, 1 for backup codes.
    pub fn budget(&self) -> usize {
        usize::from(self.word() == "backup_codes")
    }

    pub fn expires_at(&self) -> i64 {
        self.created_at + UNCONFIRMED_SECONDS
    }

    /// Whether it may or may not exist at `now`.
    pub fn is_unsure(&self, now: i64) -> bool {
        !self.is_confirmed && is_near(now, self.expires_at())
    }
}

pub struct Decision {
    pub id: String,
    pub path: String,
    pub number: usize,
    pub requires: Vec<Vec<&'static str>>,
    pub approved_by: Vec<&'static str>,
    /// Whether the subject had nothing when it was made.
    pub any_counts: bool,
    /// As it is without regard to time.
    pub status: &'static str,
    pub created_at: i64,
}

impl Decision {
    pub fn expires_at(&self) -> i64 {
        self.created_at + DECISION_SECONDS
    }

    pub fn status(&self, now: i64) -> &'static str {
        match self.status {
            "denied" => "denied",
            _ if now >= self.expires_at() => "expired",
            status => status,
        }
    }

    pub fn missing(&self) -> Vec<Vec<&'static str>> {
        let missing = |list: &Vec<&'static str>| {
            let words = list.iter().filter(|word| !self.approved_by.contains(word));
            words.copied().collect()
        };
        self.requires.iter().map(missing).collect()
    }

    /// Whether its status may be another one at `now`.
    pub fn is_unsure(&self, now: i64) -> bool {
        is_near(now, self.expires_at()) || is_near(now, self.created_at + DAY)
    }

    fn is_remembered(&self, now: i64) -> bool {
        now < self.created_at + DAY
    }

    fn prove(&mut self, word: &'static str, counts_from: usize, now: i64) {
        let counts = self.any_counts || counts_from <= self.number;
        if self.status(now) != "pending" || !counts || self.approved_by.contains(&word) {
            return;
        }
        self.approved_by.push(word);
        if self.missing().iter().any(Vec::is_empty) {
            self.status = "approved";
        }
    }
}

#[derive(Default)]
pub struct Subject {
    pub factors: Vec<Factor>,
    /// Times of wrong codes, by budget.
    pub wrong: [Vec<i64>; 2],
    /// Number of the first decision for which each verified recipient counts.
    pub recipients: BTreeMap<String, usize>,
    /// Oldest first.
    pub decisions: Vec<Decision>,
    pub decisions_made: usize,
    pub last_strong_at: Option<i64>,
}

impl Subject {
    /// Attempts that are left of a budget; `None` while a wrong code is a day old.
    pub fn attempts_left(&self, budget: usize, now: i64) -> Option<usize> {
        let wrong = &self.wrong[budget];
        if wrong.iter().any(|at| is_near(now, at + DAY)) {
            return None;
        }
        let counted = wrong.iter().filter(|at| **at > now - DAY).count();
        Some(BUDGET - counted)
    }

    pub fn has_proof(&self) -> bool {
        let mut factors = self.factors.iter();
        factors.any(|factor| factor.is_confirmed) || !self.recipients.is_empty()
    }

    pub fn is_enrolled(&self, word: &str) -> bool {
        let mut factors = self.factors.iter();
        let is_factor = factors.any(|factor| factor.is_confirmed && factor.word() == word);
        is_factor || word == "sms" && !self.recipients.is_empty()
    }

    /// Adds a proof to the decision `id`.
    pub fn prove(&mut self, id: Option<&str>, word: &'static str, counts_from: usize, now: i64) {
        let mut decisions = self.decisions.iter_mut();
        if let Some(decision) = decisions.find(|decision| Some(decision.id.as_str()) == id) {
            decision.prove(word, counts_from, now);
        }
    }
}

/// Everything that is known.
pub struct Model {
    pub subjects: Vec<Subject>,
    /// The subject that each recipient belongs to.
    pub owners: BTreeMap<String, usize>,
}

impl Model {
    pub fn new(subjects: usize) -> Self {
        Self {
            subjects: (0..subjects).map(|_| Subject::default()).collect(),
            owners: BTreeMap::new(),
        }
    }

    /// Drops what has ended for certain.
    pub fn expire(&mut self, now: i64) {
        for subject in &mut self.subjects {
            let is_kept = |factor: &Factor| factor.is_unsure(now) || now < factor.expires_at();
            subject
                .factors
                .retain(|factor| factor.is_confirmed || is_kept(factor));
            subject
                .decisions
                .retain(|decision| decision.is_unsure(now) || decision.is_remembered(now));
        }
    }
}
