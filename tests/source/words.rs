//! Plain words in identifiers, comments, strings and documentation: those of the field, which a
//! reader can search for.

use super::assert_none;
use super::rust_source::{files, identifiers, lex, read};

/// Words and phrases that are not used, each split by `_` so that this file does not contain them.
/// The whole word counts, in any case, also as a part of an identifier.
const FORBIDDEN: [&str; 22] = [
    "no_body",
    "no_bodys",
    "no_body's",
    "who_ever",
    "to_ld",
    "re_sts",
    "sta_nds",
    "of no_w",
    "come_s to",
    "is want_ed",
    "are want_ed",
    "goes no_where",
    "heard o_f",
    "taken u_p",
    "tw_in",
    "tw_ins",
    "be_lieved",
    "me_nd",
    "me_nds",
    "me_nded",
    "me_nding",
    "un_to_ld",
];

/// Files of documentation and of other languages, by their ends.
const TEXT_FILES: [&str; 13] = [
    ".md", ".yaml", ".yml", ".html", ".js", ".mjs", ".css", ".py", ".sh", ".toml", ".c", ".ci/run",
    ".json",
];

fn forbidden() -> Vec<String> {
    FORBIDDEN.iter().map(|word| word.replace('_', "")).collect()
}

#[test]
fn code_and_documentation_use_plain_words() {
    let forbidden = forbidden();
    let mut problems = vec![];
    for path in files(".") {
        if path.ends_with(".rs") {
            let lexed = lex(&read(&path));
            for part in lexed.comments.iter().chain(&lexed.strings) {
                problems.extend(find(&forbidden, &path, part.line, &part.text));
            }
            for (line, identifier) in identifiers(&lexed.code) {
                problems.extend(find(&forbidden, &path, line, &words_of(identifier)));
            }
        } else if TEXT_FILES.iter().any(|end| path.ends_with(end)) {
            problems.extend(find(&forbidden, &path, 1, &read(&path)));
        }
    }
    problems.dedup();
    assert_none(&problems);
}

/// The forbidden words in `text`, which starts at `line`.
fn find(forbidden: &[String], path: &str, line: usize, text: &str) -> Vec<String> {
    let is_word = |c: char| c.is_alphanumeric() || c == '\'';
    let mut problems = vec![];
    for (n, text_line) in text.lines().enumerate() {
        let lower = text_line.to_lowercase();
        for word in forbidden {
            let found = lower.match_indices(word.as_str()).any(|(at, _)| {
                let before = lower[..at].chars().next_back();
                let after = lower[at + word.len()..].chars().next();
                !before.is_some_and(is_word) && !after.is_some_and(is_word)
            });
            if found {
                problems.push(format!("{path}:{}: {word}: {}", line + n, text_line.trim()));
            }
        }
    }
    problems
}

/// `snake_case` and `CamelCase` as separate words.
fn words_of(identifier: &str) -> String {
    let mut words = String::new();
    for c in identifier.chars() {
        if c.is_uppercase() {
            words.push(' ');
        }
        words.push(if c == '_' { ' ' } else { c });
    }
    words
}

#[test]
fn forbidden_words_are_found_in_text_and_identifiers() {
    let forbidden = vec!["xyz".to_owned()];
    let finds = |text: &str| find(&forbidden, "f", 1, text).len();
    assert_eq!(
        [finds("an Xyz."), finds("xyzw"), finds("a\nxyz, xyz")],
        [1, 0, 1]
    );
    assert_eq!(
        [finds(&words_of("is_xyz_now")), finds(&words_of("TheXyz"))],
        [1, 1]
    );
}
