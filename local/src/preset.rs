//! Presets: sets of variables for one purpose. They have precedence over the defaults of the
//! template; the variables of this process have precedence over them.

/// The sets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Preset {
    /// For end-to-end tests: no limit on sends but 1000 per recipient; guesses stay bounded.
    E2e,
}

/// The largest quotas that the settings allow.
const E2E: [(&str, &str); 6] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_SENDS_PER_HOUR", "1000"),
    ("OTP_SENDS_PER_DAY", "1000"),
    ("OTP_CLIENT_SENDS_PER_HOUR", "1000000"),
    ("OTP_PREFIX_SENDS", "1000000/1"),
    ("OTP_CONVERSION_MIN", "0"),
];

impl Preset {
    /// The value of the variable `name`, if this set has one.
    pub(crate) fn value(self, name: &str) -> Option<String> {
        let Self::E2e = self;
        let found = E2E.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}
