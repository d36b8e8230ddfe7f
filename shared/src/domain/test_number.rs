//! Test numbers (`OTP_TEST_NUMBERS`): for reviewers of app stores and smoke tests. A test number
//! gets a code that is known in advance, and no message.

use crate::domain::address::Address;
use crate::domain::code::Code;
use crate::domain::time::Timestamp;

/// Most test numbers.
pub const TEST_NUMBERS_MAX: usize = 10;
/// The carrier that is shown for a message to a test number.
pub const TEST_CARRIER: &str = "test";

/// One test number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestNumber {
    /// The number, E.164.
    pub to: String,
    /// Its code.
    pub code: Code,
    /// From this moment on the entry has no effect.
    pub ends_at: Timestamp,
}

/// The test numbers of all apps.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct TestNumbers(pub Vec<TestNumber>);

impl TestNumbers {
    /// The code of `to`, if it is a test number at `now`.
    #[must_use]
    pub fn code_of(&self, to: &Address, now: Timestamp) -> Option<&Code> {
        let mut numbers = self.in_effect(now);
        let found = numbers.find(|number| number.to == to.reveal());
        found.map(|number| &number.code)
    }

    /// The entries that have an effect at `now`.
    pub fn in_effect(&self, now: Timestamp) -> impl Iterator<Item = &TestNumber> {
        self.0.iter().filter(move |number| now < number.ends_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::phone::{Line, PhoneNumber};

    #[test]
    fn known_code_holds_until_the_entry_ends() {
        let numbers = TestNumbers(vec![TestNumber {
            to: "+12025550143".into(),
            code: Code::from_stored("424242".into()),
            ends_at: Timestamp(1000),
        }]);
        let phone = |e164| Address::Phone(PhoneNumber::from_stored(e164, "US", Line::Mobile));
        let code = |e164, now| numbers.code_of(&phone(e164), Timestamp(now)).cloned();
        assert_eq!(code("+12025550143", 999), Some(numbers.0[0].code.clone()));
        assert_eq!(code("+12025550143", 1000), None);
        assert_eq!(code("+12025550144", 999), None);
    }
}
