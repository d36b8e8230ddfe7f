//! Rules that a scenario can break. A test checks that the exploration notices each broken rule.

/// A rule that does not apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Broken {
    /// An attempt is appended although the maximum is reached.
    AppendWithoutMaximum,
    /// An attempt is appended although its nonce is in the log.
    AppendWithoutNonce,
    /// An attempt is appended after a cancel.
    AppendAfterCancel,
    /// An attempt is appended after the expiry.
    AppendAfterExpiry,
    /// A code is compared although the attempt was not written.
    CompareWithoutWrite,
    /// Each right attempt is a success.
    EveryMatchSucceeds,
    /// The recipient is saved whatever its version is.
    SaveWithoutVersion,
    /// The recipient is restored whatever its version is.
    RestoreWithoutVersion,
    /// A cancel is saved whatever the version is.
    CancelWithoutVersion,
    /// A new verification accepts k attempts whatever is left of the guess budget.
    NewVerificationIgnoresBudget,
    /// A new verification drops the attempts of the one before it.
    NewVerificationDropsFailures,
    /// A resend clears the attempt log.
    ResendClearsAttempts,
    /// After a fresh code, an earlier attempt can equal it.
    FreshCodeMeetsEarlierAttempts,
    /// The message is enqueued before the recipient is saved.
    EnqueueBeforeSave,
    /// A send succeeds before its message is enqueued.
    AnswerBeforeEnqueue,
    /// A send succeeds although the queue failed.
    QueueErrorIsSuccess,
    /// A send whose own write was applied, and followed by another one, starts over.
    OwnWriteIsConflict,
    /// A send is not rolled back after the status of an earlier message has changed.
    RollBackOnce,
    /// A repeated request enqueues again and does not write so.
    RepeatWithoutWrite,
    /// A step is claimed although another worker holds it.
    ClaimHeldStep,
    /// A step is claimed before it is due.
    ClaimEarly,
    /// A claim does not count as a handover.
    HandoverNotCounted,
    /// A second carrier gets the message, however often it was handed over.
    SecondCarrierUncounted,
    /// The handover of a worker whose claim lapsed is forgotten when another one ends its step.
    EarlierWorkerUncounted,
    /// A worker whose claim lapsed ends the step.
    EndWithoutClaim,
    /// A worker whose step was taken over fails the message when no carrier accepts it.
    FailAfterTakeover,
    /// A worker fails a message although the send that replaced it was rolled back.
    FailAfterRollBack,
    /// A resend is not rolled back after an attempt.
    RollBackSendsOnly,
    /// A send does not wait for the newer one that replaced it, which may be rolled back as well.
    RollBackWithoutWaiting,
    /// A worker that stood still does not read the verification again.
    CallWithoutReading,
    /// A dispatch for a held step is dropped.
    HeldStepDropped,
    /// A worker whose step has ended, and whose claim is lost, does not enqueue the next step.
    EndedStepNotEnqueued,
    /// The next step is planned and not enqueued.
    NextStepNotEnqueued,
    /// A report counts from any carrier.
    ReportOfAnyCarrier,
}

pub const ALL: [Broken; 34] = [
    Broken::AppendWithoutMaximum,
    Broken::AppendWithoutNonce,
    Broken::AppendAfterCancel,
    Broken::AppendAfterExpiry,
    Broken::CompareWithoutWrite,
    Broken::EveryMatchSucceeds,
    Broken::SaveWithoutVersion,
    Broken::RestoreWithoutVersion,
    Broken::CancelWithoutVersion,
    Broken::NewVerificationIgnoresBudget,
    Broken::NewVerificationDropsFailures,
    Broken::ResendClearsAttempts,
    Broken::FreshCodeMeetsEarlierAttempts,
    Broken::EnqueueBeforeSave,
    Broken::AnswerBeforeEnqueue,
    Broken::QueueErrorIsSuccess,
    Broken::OwnWriteIsConflict,
    Broken::RollBackOnce,
    Broken::RepeatWithoutWrite,
    Broken::ClaimHeldStep,
    Broken::ClaimEarly,
    Broken::HandoverNotCounted,
    Broken::SecondCarrierUncounted,
    Broken::EarlierWorkerUncounted,
    Broken::EndWithoutClaim,
    Broken::FailAfterTakeover,
    Broken::FailAfterRollBack,
    Broken::RollBackSendsOnly,
    Broken::RollBackWithoutWaiting,
    Broken::CallWithoutReading,
    Broken::HeldStepDropped,
    Broken::EndedStepNotEnqueued,
    Broken::NextStepNotEnqueued,
    Broken::ReportOfAnyCarrier,
];
