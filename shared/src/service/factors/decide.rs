//! Decide: whether an action may proceed, needs proof or may not proceed.
//!
//! Invariant: a decision and what it requires are stored before the response shows them.

use std::net::IpAddr;

use super::{SubjectContext, SubjectError};
use crate::crypto::subject_ids::PlaceKind;
use crate::domain::decision::{Decision, DecisionStatus};
use crate::domain::decision_rules::{Amount, Condition, Facts, RuleOutcome};
use crate::domain::ids::DecisionNonce;
use crate::domain::place::RequestPlace;
use crate::domain::subject::{Subject, TooManyDecisions};
use crate::domain::verification_params::Idempotency;
use crate::platform::metrics::Metric;
use crate::platform::random::random_bytes;
use crate::store::Change;

/// A request for a decision.
pub struct DecisionRequest {
    /// What is to be done.
    pub action: String,
    /// The address of the end user.
    pub ip: Option<IpAddr>,
    /// The country of the end user, ISO 3166 alpha-2.
    pub country: Option<String>,
    /// The app's name of the device.
    pub device_id: Option<String>,
    /// The amount, and its currency.
    pub amount: Option<(Amount, String)>,
    /// The role of the subject.
    pub role: Option<String>,
    /// Whether nothing is stored.
    pub is_dry_run: bool,
    /// The `Idempotency-Key` and the body that it came with.
    pub idempotency: Option<Idempotency>,
}

/// A decision that was made.
pub struct Decided {
    /// The decision.
    pub decision: Decision,
    /// Whether an earlier request with the same `Idempotency-Key` made it.
    pub is_replay: bool,
}

/// Makes a decision.
///
/// # Errors
/// [`SubjectError`].
pub async fn decide(
    context: SubjectContext<'_>,
    request: &DecisionRequest,
) -> Result<Decided, SubjectError> {
    let nonce = DecisionNonce(random_bytes());
    let decided = |subject: &mut Subject| {
        if let Some(replayed) = replayed(subject, request)? {
            return Ok::<_, SubjectError>(Change::Keep(replayed));
        }
        let decision = new_decision(context, request, subject, nonce);
        let decided = Decided {
            decision: decision.clone(),
            is_replay: false,
        };
        if request.is_dry_run {
            return Ok(Change::Keep(decided));
        }
        let added = subject.add_decision(decision, context.now);
        added.map_err(|TooManyDecisions { until }| SubjectError::TooManyDecisions { until })?;
        Ok(Change::Write(decided))
    };
    let decided = context.record().change(decided).await?;
    if !decided.is_replay && !request.is_dry_run {
        let metric = Metric::Decision {
            decision: decided.decision.outcome.name(),
            rule: &decided.decision.rule,
        };
        context.subjects.metrics.count(&metric);
    }
    Ok(decided)
}

/// Denies a pending decision.
///
/// # Errors
/// [`SubjectError`].
pub async fn deny(context: SubjectContext<'_>, id: &str) -> Result<Decision, SubjectError> {
    let opened = context.subjects.keyring.open_decision_id(context.key, id);
    let opened = opened.ok_or(SubjectError::DecisionNotFound)?;
    let deny = |subject: &mut Subject| {
        let mut decisions = subject.decisions.iter_mut();
        let decision = decisions.find(|decision| decision.nonce == opened.nonce);
        let decision = decision.ok_or(SubjectError::DecisionNotFound)?;
        if decision.status(context.now) != DecisionStatus::Pending {
            return Err(SubjectError::DecisionNotPending);
        }
        decision.is_denied = true;
        Ok(Change::Write(decision.clone()))
    };
    context.record().change(deny).await
}

/// The decision that an earlier request with the same `Idempotency-Key` made.
fn replayed(subject: &Subject, request: &DecisionRequest) -> Result<Option<Decided>, SubjectError> {
    let Some(idempotency) = request.idempotency.filter(|_| !request.is_dry_run) else {
        return Ok(None);
    };
    let is_same = |earlier: &Idempotency| earlier.key == idempotency.key;
    let mut decisions = subject.decisions.iter();
    let Some(earlier) = decisions.find(|d| d.idempotency.as_ref().is_some_and(is_same)) else {
        return Ok(None);
    };
    if earlier.idempotency != Some(idempotency) {
        return Err(SubjectError::IdempotencyMismatch);
    }
    Ok(Some(Decided {
        decision: earlier.clone(),
        is_replay: true,
    }))
}

fn new_decision(
    context: SubjectContext<'_>,
    request: &DecisionRequest,
    subject: &Subject,
    nonce: DecisionNonce,
) -> Decision {
    let (now, policy) = (context.now, context.policy());
    let place = place(context, request);
    let facts = Facts {
        action: request.action.clone(),
        role: request.role.clone(),
        country: request.country.clone(),
        amount: request.amount.clone(),
        is_new_country: !subject.places.countries.knows(place.country),
        is_new_device: !subject.places.devices.knows(place.device),
        is_new_network: !subject.places.networks.knows(place.network),
        last_strong_at: subject.last_strong_at,
        enrolled: subject.enrolled(),
        now,
    };
    let rule = context.subjects.rules.of(context.app).decide(&facts);
    Decision {
        nonce,
        number: subject.decisions_made.saturating_add(1),
        action: request.action.clone(),
        rule: rule.name.clone(),
        reasons: rule.when.iter().map(Condition::name).collect(),
        outcome: rule.outcome.clone(),
        approved_by: vec![],
        created_at: now,
        expires_at: now + policy.decision_ttl_seconds,
        approved_at: (rule.outcome == RuleOutcome::Allow).then_some(now),
        is_denied: rule.outcome == RuleOutcome::Deny,
        any_counts: !subject.has_proof(),
        place,
        idempotency: request.idempotency,
    }
}

fn place(context: SubjectContext<'_>, request: &DecisionRequest) -> RequestPlace {
    let (keyring, key) = (&context.subjects.keyring, context.key);
    let hash = |kind, place: &Option<String>| {
        place
            .as_ref()
            .map(|place| keyring.place_hash(key, kind, place))
    };
    RequestPlace {
        country: hash(PlaceKind::Country, &request.country),
        device: hash(PlaceKind::Device, &request.device_id),
        network: request.ip.map(|ip| keyring.network_hash(key, ip)),
    }
}
