//! Explores every interleaving of three checks of factors, a removal and another write of one
//! subject, with lost responses and repetitions. The rules are those of the program: `judge`,
//! `rejection` and `Subject`. The table is a model of the conditional writes of the store; the
//! order of reads and writes is that of the use cases.
//!
//! Each rule is also broken once: the exploration must find a violated invariant then.
//!
//! | file | what is in it |
//! |---|---|
//! | `factors` | the factors, and the codes that are submitted |
//! | `world` | the state, and what may happen next |
//! | `check` | a check of a code |
//! | `change` | a removal of a factor, or a write that only settles |
//! | `invariants` | what must hold in every state |

mod change;
mod check;
mod factors;
mod invariants;
mod world;

use otp::domain::factor::FactorType;

use super::explorer::{assert_holds, assert_notices};

/// Wrong codes in 24 hours.
pub const BUDGET: u8 = 2;

/// A rule that does not apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// An attempt is appended although the budget is used up.
    AppendWithoutBudget,
    /// Each factor has a budget of its own.
    BudgetOfEachFactor,
    /// An attempt is appended although its nonce is in the log.
    AppendWithoutNonce,
    /// An attempt is appended although its nonce is among the remembered checks.
    AppendWithoutRemembered,
    /// An attempt is appended although its factor was removed.
    AppendWithoutFactor,
    /// A code is compared although the attempt was not written.
    CompareWithoutWrite,
    /// A record is saved whatever its version is.
    SaveWithoutVersion,
    /// Settling drops the times of wrong codes.
    SettleDropsWrongCodes,
    /// Settling drops the last step, the next counter and the used codes.
    SettleDropsUsed,
    /// Settling drops the outcomes of keyed checks.
    SettleDropsOutcomes,
    /// A removal drops the attempts of its factor.
    RemovalDropsAttempts,
    /// The response is sent before the confirmation of the factor is permanent.
    AnswerBeforeConfirmation,
}

const ALL: [Broken; 12] = [
    Broken::AppendWithoutBudget,
    Broken::BudgetOfEachFactor,
    Broken::AppendWithoutNonce,
    Broken::AppendWithoutRemembered,
    Broken::AppendWithoutFactor,
    Broken::CompareWithoutWrite,
    Broken::SaveWithoutVersion,
    Broken::SettleDropsWrongCodes,
    Broken::SettleDropsUsed,
    Broken::SettleDropsOutcomes,
    Broken::RemovalDropsAttempts,
    Broken::AnswerBeforeConfirmation,
];

/// What there is, and how much may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Type of the factor that is checked and may be removed.
    pub kind: FactorType,
    /// Whether that factor was confirmed before.
    pub is_confirmed: bool,
    pub checks: u8,
    pub removals: u8,
    pub settles: u8,
    /// Calls that are refused, or whose response is lost.
    pub faults: u8,
    /// Days that pass while no request is in progress.
    pub days: u8,
    pub broken: Option<Broken>,
}

impl Scenario {
    const THREE_CHECKS: Self = Self {
        kind: FactorType::Totp,
        is_confirmed: true,
        checks: 3,
        removals: 1,
        settles: 1,
        faults: 0,
        days: 0,
        broken: None,
    };

    const TWO_CHECKS_WITH_A_FAULT: Self = Self {
        checks: 2,
        faults: 1,
        ..Self::THREE_CHECKS
    };

    pub fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}

#[test]
fn checks_of_factors_are_exact_in_every_order() {
    for kind in FactorType::ALL {
        let scenario = Scenario::THREE_CHECKS;
        assert_holds(&Scenario { kind, ..scenario });
    }
}

#[test]
fn checks_of_factors_are_exact_when_responses_are_lost() {
    for kind in FactorType::ALL {
        let scenario = Scenario::TWO_CHECKS_WITH_A_FAULT;
        assert_holds(&Scenario { kind, ..scenario });
    }
}

#[test]
fn confirmations_are_permanent_in_every_order() {
    assert_holds(&Scenario {
        is_confirmed: false,
        ..Scenario::TWO_CHECKS_WITH_A_FAULT
    });
}

#[test]
fn budgets_hold_when_a_day_passes() {
    assert_holds(&Scenario {
        removals: 0,
        days: 1,
        ..Scenario::THREE_CHECKS
    });
}

#[test]
fn each_broken_rule_of_subjects_is_noticed() {
    for rule in ALL {
        let scenario = match rule {
            Broken::AnswerBeforeConfirmation => Scenario {
                is_confirmed: false,
                ..Scenario::TWO_CHECKS_WITH_A_FAULT
            },
            Broken::CompareWithoutWrite => Scenario::TWO_CHECKS_WITH_A_FAULT,
            _ => Scenario::THREE_CHECKS,
        };
        let broken = Some(rule);
        assert_notices(&Scenario { broken, ..scenario }, rule);
    }
}
