//! Proofs: what an end user can prove, as rules and decisions name it.

use std::str::FromStr;

use thiserror::Error;

use crate::domain::channel::Channel;
use crate::domain::factor::FactorType;

/// A factor that was checked, or a recipient that was verified over a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Proof {
    /// A code of an authenticator app.
    Totp,
    /// A code of a token with a counter.
    Hotp,
    /// One of the backup codes.
    BackupCodes,
    /// A verification over this channel.
    Sms,
    /// A verification over this channel.
    Voice,
    /// A verification over this channel.
    Whatsapp,
    /// A verification over this channel.
    Email,
}

impl Proof {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Totp,
        Self::Hotp,
        Self::BackupCodes,
        Self::Sms,
        Self::Voice,
        Self::Whatsapp,
        Self::Email,
    ];

    /// The word in requests, responses and rules.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Totp => FactorType::Totp.name(),
            Self::Hotp => FactorType::Hotp.name(),
            Self::BackupCodes => FactorType::BackupCodes.name(),
            Self::Sms => Channel::Sms.name(),
            Self::Voice => Channel::Voice.name(),
            Self::Whatsapp => Channel::Whatsapp.name(),
            Self::Email => Channel::Email.name(),
        }
    }
}

/// No proof has this name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("unknown proof")]
pub struct UnknownProof;

impl FromStr for Proof {
    type Err = UnknownProof;

    fn from_str(name: &str) -> Result<Self, UnknownProof> {
        let mut all = Self::ALL.into_iter();
        all.find(|proof| proof.name() == name).ok_or(UnknownProof)
    }
}

impl From<FactorType> for Proof {
    fn from(kind: FactorType) -> Self {
        match kind {
            FactorType::Totp => Self::Totp,
            FactorType::Hotp => Self::Hotp,
            FactorType::BackupCodes => Self::BackupCodes,
        }
    }
}

impl Proof {
    /// What a verification over `channel` proves. A notification proves no number or address.
    #[must_use]
    pub fn of_channel(channel: Channel) -> Option<Self> {
        match channel {
            Channel::Sms => Some(Self::Sms),
            Channel::Voice => Some(Self::Voice),
            Channel::Whatsapp => Some(Self::Whatsapp),
            Channel::Email => Some(Self::Email),
            Channel::Push => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_have_the_names_of_rules() {
        let names = Proof::ALL.map(Proof::name);
        let expected = [
            "totp",
            "hotp",
            "backup_codes",
            "sms",
            "voice",
            "whatsapp",
            "email",
        ];
        assert_eq!(names, expected);
        assert_eq!(names.map(str::parse), Proof::ALL.map(Ok));
        assert_eq!("push".parse::<Proof>(), Err(UnknownProof));
    }

    #[test]
    fn factors_and_channels_prove_themselves() {
        let kinds = FactorType::ALL.map(|kind| Proof::from(kind).name());
        assert_eq!(kinds, FactorType::ALL.map(FactorType::name));
        let names = |channel: Channel| Proof::of_channel(channel).map(Proof::name);
        let proven = Channel::ALL.map(names);
        let all = ["sms", "voice", "whatsapp", "email"].map(Some);
        assert_eq!(proven[..4], all);
        assert_eq!(proven[4], None, "a notification");
    }
}
