//! Device: what a notification goes to, as the app names it.
//!
//! Invariant: `Debug` shows nothing of it, because a device token is enough to send notifications
//! to the device.

use std::fmt;

/// Longest name of a device, in characters.
pub const DEVICE_LENGTH_MAX: usize = 2048;

/// An SNS platform endpoint ARN, or the device token of a vendor.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Device(String);

impl Device {
    /// 1 to [`DEVICE_LENGTH_MAX`] characters without control characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let length = text.chars().take(DEVICE_LENGTH_MAX + 1).count();
        let fits = (1..=DEVICE_LENGTH_MAX).contains(&length);
        (fits && !text.contains(char::is_control)).then(|| Self(text.to_owned()))
    }

    /// A device that was parsed before it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name, for a carrier.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Device(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_device_is_bounded_and_printable() {
        for text in [
            "a",
            "arn:aws:sns:eu-west-1:123456789012:endpoint/GCM/a/b",
            "é",
        ] {
            assert_eq!(
                Device::parse(text)
                    .map(|d| d.reveal().to_owned())
                    .as_deref(),
                Some(text)
            );
        }
        assert!(Device::parse(&"é".repeat(2048)).is_some());
        for text in ["", "a\nb", "\0", &"a".repeat(2049)] {
            assert_eq!(Device::parse(text), None);
        }
        let printed = Device::parse("token").map(|device| format!("{device:?}"));
        assert_eq!(printed.as_deref(), Some("Device(…)"));
    }

    #[test]
    fn stored_device_is_trusted() {
        let stored = Device::from_stored("token".into());
        assert_eq!(Device::parse("token"), Some(stored));
    }
}
