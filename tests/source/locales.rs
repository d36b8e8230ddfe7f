//! Every locale file is listed in the program and has all texts.

use super::assert_none;
use super::rust_source::{files, read};

const TEXTS: [&str; 10] = [
    "name",
    "dir",
    "sms",
    "sms_short",
    "sms_transaction",
    "voice",
    "voice_transaction",
    "subject",
    "email",
    "email_transaction",
];

#[test]
fn every_locale_is_listed_and_complete() {
    let listed = read("shared/src/message/locales.rs");
    let paths = files("shared/locales");
    let mut problems = vec![];
    for path in &paths {
        let file = path.rsplit('/').next().unwrap_or_default();
        let tag = file.trim_end_matches(".txt");
        if !listed.contains(&format!("\"{tag}\"")) {
            problems.push(format!("{tag} is not listed"));
        }
        let text = read(path);
        for name in TEXTS {
            let start = format!("{name} = ");
            if !text.lines().any(|line| line.starts_with(&start)) {
                problems.push(format!("{tag} has no {name}"));
            }
        }
    }
    assert_none(&problems);
    assert!(paths.len() >= 50, "{} locales", paths.len());
}
