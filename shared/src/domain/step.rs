//! Step: the unit of work on a verification's deliveries, taken by one worker at a time.

use crate::domain::ids::ClaimId;
use crate::domain::time::Timestamp;

/// How long a claim holds a step: longer than a function may run, so that only the claim of a
/// crashed worker lapses.
pub const CLAIM_SECONDS: i64 = 15;

/// Handovers of one message that may each have reached the person, the second carrier's included.
/// The outcome of a handover stays unknown if its worker crashes or the carrier does not respond.
pub const HANDOVERS_MAX: u8 = 2;

/// The work on a verification's deliveries; see `delivery_plan`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Step {
    /// Number of the step. A dispatch with another number is stale.
    pub sequence: u16,
    /// When the step may be taken; `None` if none is planned.
    pub due: Option<Timestamp>,
    /// The worker that is taking it, or crashed while taking it.
    pub claim: Option<StepClaim>,
    /// Rounds through the carriers in which none accepted the message.
    pub retry_rounds: u8,
    /// Handovers of the latest message whose outcome is not known; one may be in progress.
    pub uncertain_handovers: u8,
    /// Carriers that did not accept the message in this round.
    pub tried_carriers: Vec<String>,
}

/// A worker's claim on a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StepClaim {
    /// Its name.
    pub id: ClaimId,
    /// When it lapses.
    pub until: Timestamp,
}

/// State of a step at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepState {
    /// Planned; no worker has claimed it.
    Queued,
    /// A worker is taking it until this moment at the latest.
    Held {
        /// When the claim lapses.
        until: Timestamp,
    },
    /// Its worker crashed. The message may have been handed over.
    Abandoned,
    /// No step is planned.
    Done,
}

impl Step {
    /// A step that is due now.
    #[must_use]
    pub fn due_now(sequence: u16, now: Timestamp) -> Self {
        Self {
            sequence,
            due: Some(now),
            claim: None,
            retry_rounds: 0,
            uncertain_handovers: 0,
            tried_carriers: vec![],
        }
    }

    /// Its state at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> StepState {
        match (self.claim, self.due) {
            (Some(claim), _) if claim.until > now => StepState::Held { until: claim.until },
            (Some(_), _) => StepState::Abandoned,
            (None, Some(_)) => StepState::Queued,
            (None, None) => StepState::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_state_follows_claim_and_due() {
        let now = Timestamp(1000);
        let queued = Step::due_now(1, now);
        assert_eq!(queued.state(now), StepState::Queued);
        assert_eq!(
            Step {
                due: None,
                ..queued.clone()
            }
            .state(now),
            StepState::Done
        );
        let claim = Some(StepClaim {
            id: ClaimId([1; 6]),
            until: now + 15,
        });
        let held = Step { claim, ..queued };
        assert_eq!(held.state(now + 14), StepState::Held { until: now + 15 });
        assert_eq!(held.state(now + 15), StepState::Abandoned);
    }
}
