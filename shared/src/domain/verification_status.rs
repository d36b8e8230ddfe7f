//! Verification status: the states of a verification, and why a check is not valid.

/// Status of a verification.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Status {
    /// Waiting for its code.
    Pending,
    /// The right code was submitted. Final.
    Approved,
    /// Canceled by the app. Final.
    Canceled,
    /// Its validity ended. Final.
    Expired,
    /// Its attempts are used up. Final.
    Exhausted,
    /// Replaced by a newer verification. Final.
    Superseded,
    /// The right code was submitted, but the recipient belongs to another subject. Final.
    Refused,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Canceled,
        Self::Expired,
        Self::Exhausted,
        Self::Superseded,
        Self::Refused,
    ];

    /// Name in responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
            Self::Exhausted => "exhausted",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
        }
    }

    /// Whether the right code was submitted, which counts for the limits.
    #[must_use]
    pub fn has_success(self) -> bool {
        matches!(self, Self::Approved | Self::Refused)
    }

    /// Why a code is rejected in this state; `None` while the verification is pending.
    #[must_use]
    pub fn rejection(self) -> Option<Reason> {
        match self {
            Self::Pending => None,
            Self::Approved => Some(Reason::AlreadyUsed),
            Self::Canceled => Some(Reason::Canceled),
            Self::Expired => Some(Reason::Expired),
            Self::Exhausted => Some(Reason::Exhausted),
            Self::Superseded => Some(Reason::Superseded),
            Self::Refused => Some(Reason::RecipientTaken),
        }
    }
}

/// Why a check is not valid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Code, purpose or transaction does not match.
    WrongCode,
    /// Too late, or the key that sealed the code was removed.
    Expired,
    /// No attempts left.
    Exhausted,
    /// Another attempt was the success.
    AlreadyUsed,
    /// Canceled by the app.
    Canceled,
    /// Replaced by a newer verification.
    Superseded,
    /// The right code, but the recipient belongs to another subject.
    RecipientTaken,
}

impl Reason {
    /// Name in responses.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WrongCode => "wrong_code",
            Self::Expired => "expired",
            Self::Exhausted => "exhausted",
            Self::AlreadyUsed => "already_used",
            Self::Canceled => "canceled",
            Self::Superseded => "superseded",
            Self::RecipientTaken => "recipient_taken",
        }
    }
}

/// Outcome of a check.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CheckOutcome {
    /// `None`: this attempt is the success.
    pub reason: Option<Reason>,
    /// Status of the verification right after it.
    pub status: Status,
    /// Attempts left right after it.
    pub attempts_left: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_a_name_and_a_rejection() {
        let all = Status::ALL.map(|status| {
            let reason = status.rejection().map(Reason::name);
            (status.name(), reason, status.has_success())
        });
        let expected = [
            ("pending", None, false),
            ("approved", Some("already_used"), true),
            ("canceled", Some("canceled"), false),
            ("expired", Some("expired"), false),
            ("exhausted", Some("exhausted"), false),
            ("superseded", Some("superseded"), false),
            ("refused", Some("recipient_taken"), true),
        ];
        assert_eq!(all, expected);
        assert_eq!(Reason::WrongCode.name(), "wrong_code");
    }
}
