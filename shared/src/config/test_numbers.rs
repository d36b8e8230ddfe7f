//! `OTP_TEST_NUMBERS`: numbers with a code that is known in advance.
//!
//! Numbers are compared as they are stored, and their plan is not looked up: `verify` checks this
//! variable too, and must start fast.

use serde::Deserialize;
use serde_json::Value;

use super::apps::Apps;
use crate::domain::code::Code;
use crate::domain::pasted_text;
use crate::domain::phone::PhoneNumber;
use crate::domain::test_number::{TEST_NUMBERS_MAX, TestNumber, TestNumbers};
use crate::domain::time::{DAY_SECONDS, Timestamp};

/// What the value must be.
const LIST: &str = "must be a JSON list of objects with the texts `to`, `code` and `until`, such \
                    as [{\"to\":\"+12025550143\",\"code\":\"424242\",\"until\":\"2027-01-31\"}]";

/// One entry of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    to: String,
    code: String,
    until: String,
}

/// Reads the list. `apps`: an entry holds for each of them.
///
/// # Errors
/// A sentence that says what the value must be. It contains no code.
pub(super) fn read_test_numbers(
    value: &str,
    apps: &Apps,
    now: Timestamp,
) -> Result<TestNumbers, String> {
    let entries: Vec<Value> = serde_json::from_str(value).map_err(|_| LIST.to_owned())?;
    if entries.len() > TEST_NUMBERS_MAX {
        return Err(format!("must have at most {TEST_NUMBERS_MAX} entries"));
    }
    let mut numbers: Vec<TestNumber> = vec![];
    for (position, entry) in (1..).zip(entries) {
        let entry: Entry = serde_json::from_value(entry)
            .map_err(|_| format!("{LIST}; entry {position} is none"))?;
        let number = read_entry(&entry, apps, now)
            .map_err(|problem| format!("entry {position}: {problem}"))?;
        if numbers.iter().any(|other| other.to == number.to) {
            return Err(format!("entry {position}: `to` is listed twice"));
        }
        numbers.push(number);
    }
    Ok(TestNumbers(numbers))
}

/// `numbers` in the spelling in which recipients are stored. Only for `send`,
/// which has the numbering plans.
///
/// # Errors
/// A sentence that names the entry.
pub(super) fn canonical(numbers: TestNumbers) -> Result<TestNumbers, String> {
    let canonical = (1..).zip(numbers.0).map(|(position, number)| {
        let parsed = PhoneNumber::parse(&number.to, None);
        let to = parsed.map_err(|_| {
            format!("entry {position}: `to` must be a phone number to which messages can be sent")
        })?;
        Ok(TestNumber {
            to: to.reveal().to_owned(),
            ..number
        })
    });
    canonical.collect::<Result<_, String>>().map(TestNumbers)
}

fn read_entry(entry: &Entry, apps: &Apps, now: Timestamp) -> Result<TestNumber, String> {
    let to = international(&entry.to)
        .ok_or("`to` must be a phone number that begins with `+` and has 7 to 15 digits")?;
    let mut code = None;
    for (app, policy) in apps.all() {
        let parsed = Code::parse(&entry.code, policy.code_alphabet).ok_or_else(|| {
            let of_app = app.map(|app| format!(", also of app {app}"));
            let of_app = of_app.unwrap_or_default();
            format!("`code` must have 4 to 10 characters of each app's code alphabet{of_app}")
        })?;
        code.get_or_insert(parsed);
    }
    let code = code.ok_or("`code` is required")?;
    let last_day = Timestamp::from_date(pasted_text::plain(&entry.until).as_str());
    let last_day = last_day.ok_or("`until` must be a day such as `2027-01-31`")?;
    if last_day > now.a_year_later() {
        return Err("`until` must be at most a year ahead".into());
    }
    Ok(TestNumber {
        to,
        code,
        ends_at: last_day + DAY_SECONDS,
    })
}

/// A number in international spelling as E.164.
fn international(to: &str) -> Option<String> {
    let is_separator = |c: &char| matches!(c, ' ' | '-' | '.' | '/' | '(' | ')');
    let plain = pasted_text::plain(to).replace('＋', "+");
    let number: String = plain.chars().filter(|c| !is_separator(c)).collect();
    let digits = number.strip_prefix('+')?;
    let is_number = (7..=15).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    is_number.then_some(number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::code::Alphabet;
    use crate::domain::policy::Policy;

    /// 2026-11-21T20:00:00Z.
    const NOW: Timestamp = Timestamp(1_795_291_200);

    fn apps() -> Apps {
        Apps {
            default: Policy::default(),
            apps: BTreeMap::new(),
        }
    }

    fn entry(to: &str, code: &str, until: &str) -> String {
        serde_json::json!([{"to": to, "code": code, "until": until}]).to_string()
    }

    #[test]
    fn entry_holds_until_the_end_of_its_day() {
        for to in [
            "+12025550143",
            "+1 (202) 555-0143",
            "\u{202a}＋1 202‑555‑0143\n",
        ] {
            let value = entry(to, "424242", "2027-01-31");
            let read = read_test_numbers(&value, &apps(), NOW).expect("valid");
            assert_eq!(read.0[0].to, "+12025550143");
            assert_eq!(read.0[0].ends_at.to_string(), "2027-02-01T00:00:00Z");
        }
        for until in ["2020-01-31", "2026-11-21", "2027-11-21"] {
            let value = entry("+12025550143", "424242", until);
            assert!(read_test_numbers(&value, &apps(), NOW).is_ok(), "{until}");
        }
        assert_eq!(
            read_test_numbers("[]", &apps(), NOW),
            Ok(TestNumbers::default())
        );
    }

    #[test]
    fn numbers_are_those_of_recipients() {
        let numbers = |to| read_test_numbers(&entry(to, "424242", "2027-01-31"), &apps(), NOW);
        let to = |spelling| {
            let canonical = numbers(spelling).and_then(canonical);
            canonical.map(|canonical| canonical.0[0].to.clone())
        };
        assert_eq!(to("+5215512345678").as_deref(), Ok("+525512345678"));
        assert_eq!(to("+541169071234").as_deref(), Ok("+5491169071234"));
        for wrong in ["+1202555", "+19995550143", "+18005550143"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_entries_are_named_without_their_code() {
        let many: Vec<_> = (0..11)
            .map(|n| serde_json::json!({"to": format!("+120255501{n:02}"), "code": "424242", "until": "2027-01-31"}))
            .collect();
        let twice = entry("+12025550143", "424242", "2027-01-31").replace(
            "[{",
            "[{\"to\":\"+12025550143\",\"code\":\"424242\",\"until\":\"2027-01-31\"},{",
        );
        for value in [
            "{}".to_owned(),
            "[1]".to_owned(),
            r#"[{"to":"+12025550143","code":"424242"}]"#.to_owned(),
            r#"[{"to":"+12025550143","code":424242,"until":"2027-01-31"}]"#.to_owned(),
            r#"[{"to":"+12025550143","code":"424242","until":"2027-01-31","x":1}]"#.to_owned(),
            entry("2025550143", "424242", "2027-01-31"),
            entry("+0025550143", "424242", "2027-01-31"),
            entry("ada@example.com", "424242", "2027-01-31"),
            entry("+12025550143", "424", "2027-01-31"),
            entry("+12025550143", "42424242424", "2027-01-31"),
            entry("+12025550143", "42424A", "2027-01-31"),
            entry("+12025550143", "424242", "2027-11-22"),
            entry("+12025550143", "424242", "2027-02-30"),
            entry("+12025550143", "424242", "31.01.2027"),
            entry("+12025550143", "424242", "2027-01-31T00:00:00Z"),
            entry("+12025550143", "424242", ""),
            Value::from(many).to_string(),
            twice,
        ] {
            let problem = read_test_numbers(&value, &apps(), NOW).expect_err(&value);
            assert!(!problem.contains("4242424"), "{problem}");
        }
    }

    #[test]
    fn code_is_possible_for_every_app() {
        let mut apps = apps();
        let letters = Policy {
            code_alphabet: Alphabet::Alphanumeric,
            ..Policy::default()
        };
        apps.apps.insert("shop".into(), letters);
        let value = |code| entry("+12025550143", code, "2027-01-31");
        assert!(read_test_numbers(&value("424242"), &apps, NOW).is_ok());
        assert!(read_test_numbers(&value("101010"), &apps, NOW).is_err());
    }
}
