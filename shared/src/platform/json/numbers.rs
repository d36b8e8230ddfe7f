//! Numbers: one spelling for whole numbers. JSON has one kind of number, and `120`, `120.0` and `1.2e2` are the same one; the
//! parser would keep the first as an integer and round the others. Exact: what is not whole is never rounded to it.

/// `json`, which must have been parsed, with each whole number as an integer; `None` where all of them are already. What no
/// 64 bits hold stays as it is.
pub(super) fn with_integers(json: &[u8]) -> Option<Vec<u8>> {
    let (mut written, mut copied, mut at) = (vec![], 0, 0);
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at += string_length(&json[at..]),
            b'-' | b'0'..=b'9' => {
                let length = json[at..]
                    .iter()
                    .take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
                    .count();
                let number = std::str::from_utf8(&json[at..at + length]).unwrap_or_default();
                if let Some(integer) = integer(number) {
                    written.extend_from_slice(&json[copied..at]);
                    written.extend_from_slice(integer.as_bytes());
                    copied = at + length;
                }
                at += length;
            }
            _ => at += 1,
        }
    }
    written.extend_from_slice(&json[copied..]);
    (copied > 0).then_some(written)
}

/// Length of the string that `json` begins with, quotes included.
fn string_length(json: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// `number` as an integer of 64 bits, if it is whole and not written as one.
fn integer(number: &str) -> Option<String> {
    let is_integer = !number.contains(['.', 'e', 'E']) && number != "-0";
    if is_integer {
        return None;
    }
    let (sign, unsigned) = number
        .strip_prefix('-')
        .map_or(("", number), |unsigned| ("-", unsigned));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some("0".into());
    }
    let trailing = digits.len() - digits.trim_end_matches('0').len();
    let zeros = exponent
        .parse::<i64>()
        .ok()?
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(trailing).ok()?)?;
    // The longest integer of 64 bits has 20 digits.
    let zeros = usize::try_from(zeros)
        .ok()
        .filter(|zeros| zeros.saturating_add(significant.len()) <= 20)?;
    let integer = format!("{sign}{significant}{}", "0".repeat(zeros));
    let fits = integer.parse::<i64>().is_ok() || integer.parse::<u64>().is_ok();
    fits.then_some(integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_has_one_spelling() {
        for (number, expected) in [
            ("120.0", "120"),
            ("120.000", "120"),
            ("1.2e2", "120"),
            ("1.2E+2", "120"),
            ("1200e-1", "120"),
            ("0.12e3", "120"),
            ("-5.0", "-5"),
            ("0.0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("0e999999999999999999999", "0"),
            ("1e19", "10000000000000000000"),
            ("9007199254740993.0", "9007199254740993"),
            ("18446744073709551615.0", "18446744073709551615"),
            ("-9223372036854775808.0", "-9223372036854775808"),
        ] {
            assert_eq!(integer(number).as_deref(), Some(expected), "{number}");
        }
    }

    #[test]
    fn what_is_not_whole_or_too_large_is_left_alone() {
        for number in [
            "120",
            "0",
            "-7",
            "120.5",
            "1e-1",
            "120.00000000000000000000000001",
            "1e20",
            "1e400",
            "1e-400",
            "18446744073709551616.0",
        ] {
            assert_eq!(integer(number), None, "{number}");
        }
        assert_eq!(integer(&format!("60.{}1", "0".repeat(16_000))), None);
        assert_eq!(integer("1e99999999999999999999"), None);
        assert_eq!(integer("1.5e-9223372036854775808"), None);
    }

    #[test]
    fn only_numbers_are_written_anew() {
        let with = |json: &str| {
            with_integers(json.as_bytes()).map(|json| String::from_utf8_lossy(&json).into_owned())
        };
        assert_eq!(with(r#"{"a":1,"b":"1.0","c":[true,null,"\"2.0"]}"#), None);
        assert_eq!(
            with(r#"{"a\\":1.0,"b":"1.0","c":[2e1,-3.50]}"#).as_deref(),
            Some(r#"{"a\\":1,"b":"1.0","c":[20,-3.50]}"#)
        );
        assert_eq!(with("1.0").as_deref(), Some("1"));
        assert_eq!(with("\"").as_deref(), None);
    }
}
