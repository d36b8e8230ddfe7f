//! Variables of this process that are not read, because their name is mistyped. Other software has
//! variables that begin with `OTP_` too, so only names that are close to a known one are reported.

use std::collections::BTreeSet;

use otp::platform::environment::own_names;
use otp::platform::spelling::did_you_mean;

use crate::template::Template;

/// What the names begin with.
const PREFIX: &str = "OTP_";
/// Read by the local server alone.
const OF_THE_LOCAL_SERVER: [&str; 1] = ["OTP_LOCAL_API_KEYS"];

/// One line for each.
pub(crate) fn mistyped_variables(template: &Template) -> Vec<String> {
    let functions = Template::FUNCTIONS.iter();
    let known = functions.flat_map(|(_, resource)| template.variables(resource).0);
    let known = known.chain(OF_THE_LOCAL_SERVER.map(str::to_owned));
    problems(&own_names(), &known.collect())
}

fn problems(names: &[String], known: &BTreeSet<String>) -> Vec<String> {
    let unknown = names.iter().filter(|name| !known.contains(*name));
    let lines = unknown.filter_map(|name| {
        let own = name.strip_prefix(PREFIX)?;
        let known = known.iter().filter_map(|name| name.strip_prefix(PREFIX));
        match did_you_mean(own, known).replace(" `", " `OTP_") {
            question if question.is_empty() => None,
            question => Some(format!("{name}: there is no such variable{question}")),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_close_to_a_known_one_are_reported() {
        let names = [
            "OTP_CODE_LENGHT",
            "OTP_BRAND",
            "OTP_VERSION",
            "OTP_SEND_PER_DAY",
        ];
        let names = names.map(str::to_owned);
        let known = [
            "OTP_CODE_LENGTH",
            "OTP_BRAND",
            "OTP_SENDS_PER_DAY",
            "OTP_SPEND_PER_DAY",
        ];
        let known = known.map(str::to_owned).into();
        let expected = [
            "OTP_CODE_LENGHT: there is no such variable (did you mean `OTP_CODE_LENGTH`?)",
            "OTP_SEND_PER_DAY: there is no such variable (did you mean `OTP_SENDS_PER_DAY` or \
             `OTP_SPEND_PER_DAY`?)",
        ];
        assert_eq!(problems(&names, &known), expected);
    }
}
