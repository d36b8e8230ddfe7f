//! Numbering plans that write one line in two ways. Both spellings are one recipient: they share
//! every limit, the guess budget and the record.
//!
//! Invariant: a number that results from a rule is changed by no rule.

/// A second way to write the lines of one country.
struct SecondSpelling {
    /// What such a number begins with.
    written: &'static str,
    /// The digits that may follow it.
    first_digits: &'static str,
    /// How many digits follow it.
    digits: usize,
    /// What takes the place of `written`.
    canonical: &'static str,
    calls: Calls,
}

/// The number that is dialed for a call to a line in its second spelling.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Calls {
    /// The canonical one.
    Canonical,
    /// The number as it was written: it may be a fixed line. The canonical one is that of a mobile
    /// line.
    AsWritten,
}

/// The numbers in E.164 that may be the recipient whose number is written `e164`: the canonical one
/// first. Only the tables of numbers know which of two is a line.
pub fn spellings(e164: &str) -> impl Iterator<Item = String> {
    let canonical = canonical(e164).map(|(canonical, _)| canonical);
    canonical.into_iter().chain([e164.to_owned()])
}

const ANY: &str = "0123456789";

/// The rules, by country.
const SECOND_SPELLINGS: [SecondSpelling; 7] = [
    // Argentina: a mobile line takes a 9 after the country code, but people write their number
    // without it. It then looks like a fixed line.
    SecondSpelling {
        written: "+54",
        first_digits: "123",
        digits: 10,
        canonical: "+549",
        calls: Calls::AsWritten,
    },
    // Benin: all numbers got 01 in November 2024.
    SecondSpelling {
        written: "+229",
        first_digits: "24569",
        digits: 8,
        canonical: "+22901",
        calls: Calls::Canonical,
    },
    // Gabon: the 0 of the plan before 2019 is written with the country code and without it.
    SecondSpelling {
        written: "+2410",
        first_digits: "234567",
        digits: 7,
        canonical: "+241",
        calls: Calls::Canonical,
    },
    // Mexico: a mobile line took a 1 after the country code, or 044, 045 or 01 within the country,
    // until 2019.
    SecondSpelling {
        written: "+521",
        first_digits: ANY,
        digits: 10,
        canonical: "+52",
        calls: Calls::Canonical,
    },
    SecondSpelling {
        written: "+52044",
        first_digits: ANY,
        digits: 10,
        canonical: "+52",
        calls: Calls::Canonical,
    },
    SecondSpelling {
        written: "+52045",
        first_digits: ANY,
        digits: 10,
        canonical: "+52",
        calls: Calls::Canonical,
    },
    SecondSpelling {
        written: "+5201",
        first_digits: ANY,
        digits: 10,
        canonical: "+52",
        calls: Calls::Canonical,
    },
];

/// The canonical form of a number in E.164 that is in its second spelling, and which of both is
/// called. Whether the result is a number is not checked.
#[must_use]
pub fn canonical(e164: &str) -> Option<(String, Calls)> {
    SECOND_SPELLINGS.iter().find_map(|rule| {
        let digits = e164.strip_prefix(rule.written)?;
        let is_second = digits.len() == rule.digits
            && digits.starts_with(|first| rule.first_digits.contains(first));
        is_second.then(|| (format!("{}{digits}", rule.canonical), rule.calls))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_of_a_rule_is_changed_by_no_rule() {
        for rule in &SECOND_SPELLINGS {
            for first in rule.first_digits.chars() {
                for rest in ["0", "1", "5", "9"] {
                    let rest = rest.repeat(rule.digits - 1);
                    let written = format!("{}{first}{rest}", rule.written);
                    let (result, _) = canonical(&written).expect("a rule");
                    assert_eq!(canonical(&result), None, "{written}");
                }
            }
        }
    }
}
