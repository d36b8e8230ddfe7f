//! Spelling: the known name that a mistyped one was meant to be.
//!
//! Invariant: only known names are returned, so that an error reveals nothing of a value.

/// Longest word that is compared.
const WORD_CHARS_MAX: usize = 64;
/// Most differences between two names that are taken for one another.
const DIFFERENCES_MAX: usize = 3;
/// Most names that a question has.
const NAMES_MAX: usize = 3;

/// A question to append to the words about an unknown name: " (did you mean `x`?)". Empty if none
/// of the `known` names is close to `word`.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let names = similar(word, known);
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" (did you mean {}?)", names.join(" or ")),
    }
}

/// The `known` names that are closest to `word`; none if there are more than three. Letters are
/// compared whatever their case, and hyphens and underscores not at all.
fn similar<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let word = compared(word);
    let length = word.chars().count();
    if length > WORD_CHARS_MAX {
        return vec![];
    }
    let differences_max = (length / 3).min(DIFFERENCES_MAX);
    let mut found: Vec<(usize, &str)> = vec![];
    for name in known {
        let own = compared(name);
        let differences = strsim::osa_distance(&word, &own);
        let is_close = differences <= differences_max && differences < own.chars().count();
        // A word that only begins or ends a name, such as `code_ttl` or `token`.
        let is_part = length > DIFFERENCES_MAX && (own.starts_with(&word) || own.ends_with(&word));
        match (is_close, is_part) {
            (true, _) => found.push((differences, name)),
            (false, true) => found.push((DIFFERENCES_MAX + 1, name)),
            (false, false) => {}
        }
    }
    let least = found.iter().map(|(differences, _)| *differences).min();
    found.retain(|(differences, _)| Some(*differences) == least);
    found.sort_unstable();
    found.dedup();
    match found.len() <= NAMES_MAX {
        true => found.into_iter().map(|(_, name)| name).collect(),
        false => vec![],
    }
}

/// Letters and digits in lower case.
fn compared(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 8] = [
        "code_length",
        "code_ttl_seconds",
        "sends_per_hour",
        "sends_per_day",
        "spend_per_day",
        "brand",
        "sns",
        "twilio",
    ];

    #[test]
    fn closest_name_is_found() {
        for (word, names) in [
            ("code_lenght", "`code_length`"),
            ("codeLength", "`code_length`"),
            ("CODE-LENGTH", "`code_length`"),
            ("OTP_CODE_LENGTH", "`code_length`"),
            ("code_ttl", "`code_ttl_seconds`"),
            ("sends_per_hours", "`sends_per_hour`"),
            ("send_per_day", "`sends_per_day` or `spend_per_day`"),
            ("twillio", "`twilio`"),
            ("sms", "`sns`"),
        ] {
            let expected = format!(" (did you mean {names}?)");
            assert_eq!(did_you_mean(word, NAMES), expected, "{word}");
        }
    }

    #[test]
    fn distant_names_are_not_guessed() {
        for word in [
            "",
            "x",
            "sn",
            "colour",
            "pigeon",
            "-",
            "c",
            "per_day_and_hour",
        ] {
            assert_eq!(did_you_mean(word, NAMES), "", "{word}");
        }
        let long = "code_length".repeat(100);
        assert_eq!(did_you_mean(&long, NAMES), "");
        assert_eq!(did_you_mean("x", []), "");
    }
}
