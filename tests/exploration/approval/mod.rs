//! Explores every interleaving of an approval for a subject with what may happen to it: crashes
//! between its writes, whose last write may arrive late, a read, a send for another subject and the
//! check of its code, a release, a removal, a forget, and a denial of the decision that it names.
//! The rules are those of the program: `Recipient`, `Verification`, `judge` and `Decision`. The
//! table is a model of the conditional writes of the store; the order of reads and writes is that
//! of the use cases.
//!
//! Each rule is also broken once: the exploration must find a violated invariant then.
//!
//! | file | what is in it |
//! |---|---|
//! | `world` | the state, and what may happen next |
//! | `stored` | the records at the start, and what is read from them |
//! | `request` | a request: the order of its calls |
//! | `writes` | what each write does, and under which condition |
//! | `invariants` | what must hold in every state |

mod invariants;
mod request;
mod stored;
mod world;
mod writes;

use super::explorer::{assert_holds, assert_notices};

/// A rule that does not apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// A send does not look at the owner.
    SendIgnoresOwner,
    /// The owner is in effect once it is stored, and not from the approval on.
    OwnerInEffectOnceStored,
    /// A send does not complete the approval that it replaces.
    SendSkipsCompletion,
    /// A forget does not complete the approval that it erases.
    ForgetSkipsCompletion,
    /// A release does not complete the approval first.
    ReleaseSkipsCompletion,
    /// An approval is recorded although it is in the log or was settled.
    RecordWithoutNonce,
    /// Settling drops what names recorded approvals.
    SettleDropsRecorded,
    /// Settling drops the approvals of the log.
    SettleDropsApprovals,
    /// The owner is stored although that was done, or its ownership has ended since.
    StoreOwnerAgain,
    /// A release does not end an ownership that is not stored yet.
    ReleaseOfStoredOwnerOnly,
    /// A removal ends the ownership after it has removed the record.
    RemovalReleasesLast,
    /// The response is sent before the approval is recorded.
    AnswerBeforeRecord,
    /// The response is sent before the owner is stored.
    AnswerBeforeOwner,
    /// A recipient is saved whatever its version is.
    SaveWithoutVersion,
    /// A subject is saved whatever its version is.
    SaveSubjectWithoutVersion,
    /// Every recipient counts for a decision.
    UnknownRecipientCounts,
}

/// What there is, and how much may go wrong.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub is_unique: bool,
    /// A read of the verification.
    pub gets: u8,
    /// A send for another subject, and the check of its code.
    pub sends: u8,
    pub releases: u8,
    pub removals: u8,
    pub forgets: u8,
    /// A denial of the decision.
    pub denials: u8,
    /// Whether the subject had nothing when the decision was made, so that any recipient counts.
    pub any_counts: bool,
    /// Writes that are refused, or whose response is lost.
    pub faults: u8,
    /// Processes that are killed. Their last write may arrive at any later time.
    pub crashes: u8,
    pub broken: Option<Broken>,
}

impl Scenario {
    const SEND: Self = Self {
        is_unique: true,
        gets: 1,
        sends: 1,
        releases: 0,
        removals: 0,
        forgets: 0,
        denials: 0,
        any_counts: true,
        faults: 0,
        crashes: 1,
        broken: None,
    };

    const RELEASE: Self = Self {
        gets: 0,
        releases: 1,
        ..Self::SEND
    };

    const REMOVAL: Self = Self {
        gets: 1,
        sends: 0,
        removals: 1,
        ..Self::SEND
    };

    const FORGET: Self = Self {
        gets: 0,
        forgets: 1,
        ..Self::SEND
    };

    const DENIAL: Self = Self {
        sends: 0,
        denials: 1,
        faults: 1,
        ..Self::SEND
    };

    pub fn is_broken(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }
}

#[test]
fn approvals_are_completed_in_every_order() {
    for is_unique in [true, false] {
        let scenario = Scenario::SEND;
        assert_holds(&Scenario {
            is_unique,
            ..scenario
        });
    }
}

#[test]
fn released_recipients_do_not_come_back() {
    assert_holds(&Scenario::RELEASE);
}

#[test]
fn removed_recipients_do_not_come_back() {
    for (is_unique, faults) in [(true, 0), (false, 1)] {
        let scenario = Scenario::REMOVAL;
        assert_holds(&Scenario {
            is_unique,
            faults,
            ..scenario
        });
    }
    assert_holds(&Scenario {
        gets: 0,
        sends: 1,
        ..Scenario::REMOVAL
    });
}

#[test]
fn forgotten_recipients_keep_owner_and_record() {
    assert_holds(&Scenario::FORGET);
}

#[test]
fn decisions_are_approved_or_denied_once() {
    for any_counts in [true, false] {
        let scenario = Scenario::DENIAL;
        assert_holds(&Scenario {
            any_counts,
            ..scenario
        });
    }
}

#[test]
fn each_broken_rule_of_approvals_is_noticed() {
    use Broken::*;
    for (rule, scenario) in [
        (SendIgnoresOwner, Scenario::SEND),
        (OwnerInEffectOnceStored, Scenario::SEND),
        (SendSkipsCompletion, Scenario::SEND),
        (AnswerBeforeRecord, Scenario::SEND),
        (AnswerBeforeOwner, Scenario::SEND),
        (SaveWithoutVersion, Scenario::SEND),
        (ForgetSkipsCompletion, Scenario::FORGET),
        (ReleaseSkipsCompletion, Scenario::RELEASE),
        (ReleaseOfStoredOwnerOnly, Scenario::RELEASE),
        (StoreOwnerAgain, Scenario::RELEASE),
        (RecordWithoutNonce, Scenario::REMOVAL),
        (SettleDropsRecorded, Scenario::REMOVAL),
        (SettleDropsApprovals, Scenario::DENIAL),
        (RemovalReleasesLast, Scenario::REMOVAL),
        (SaveSubjectWithoutVersion, Scenario::DENIAL),
        (
            UnknownRecipientCounts,
            Scenario {
                any_counts: false,
                ..Scenario::DENIAL
            },
        ),
    ] {
        let broken = Some(rule);
        assert_notices(&Scenario { broken, ..scenario }, rule);
    }
}
