//! Checks of a policy that no single setting can make: how easily its codes are guessed, and what
//! NIST recommends.

use super::advice::too_guessable;
use super::reader::Reader;
use crate::domain::policy::{GUESS_PROBABILITY_MAX, Policy, TTL_SECONDS_NIST_MAX};

impl Reader<'_> {
    /// Checks what no single setting can. `app`: what defines the app with settings of its own, and
    /// its name: `OTP_APPS: shop`.
    pub(super) fn check_policy(&mut self, app: Option<&str>, policy: &Policy) {
        for (settings, probability) in [
            (
                "OTP_GUESS_BUDGET, OTP_CODE_LENGTH",
                policy.guess_probability(),
            ),
            (
                "OTP_FACTOR_GUESS_BUDGET, OTP_HOTP_LOOK_AHEAD",
                policy.factor_guess_probability(),
            ),
        ] {
            if probability > GUESS_PROBABILITY_MAX {
                let name = app.unwrap_or(settings);
                let problem = too_guessable(probability);
                self.problem(name, &problem);
            }
        }
    }

    pub(super) fn check_ttl(&mut self, name: &str, policy: &Policy) {
        let seconds = policy.code_ttl_seconds;
        if seconds > TTL_SECONDS_NIST_MAX {
            self.warnings.push(format!(
                "{name}: codes are valid for {seconds} s; NIST SP 800-63B-4 allows at most \
                 {TTL_SECONDS_NIST_MAX} s"
            ));
        }
    }
}
