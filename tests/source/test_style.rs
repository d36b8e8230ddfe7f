//! Names of tests, and what no test and no program contains.

use super::assert_none;
use super::rust_source::{Source, files, lex, read, sources};

/// `resend_during_cooldown_is_rejected` has five.
const NAME_WORDS_MAX: usize = 9;

/// The names of all tests of a file, with their lines.
fn tests(source: &Source) -> Vec<(usize, String)> {
    let code = lex(&source.text).code;
    let lines: Vec<&str> = code.lines().collect();
    let is_test = |line: &str| {
        let line = line.trim_start();
        line.starts_with("#[test]") || line.starts_with("#[tokio::test")
    };
    let name = |line: &str| {
        let name = line.split("fn ").nth(1)?.split(['(', '<']).next()?;
        Some(name.to_owned())
    };
    let marked = lines.iter().enumerate().filter(|(_, line)| is_test(line));
    marked
        .filter_map(|(n, _)| {
            let after = lines[n..].iter().take(8);
            let name = after.into_iter().find_map(|line| name(line))?;
            Some((n + 1, name))
        })
        .collect()
}

#[test]
fn names_of_tests_are_short() {
    let mut problems = vec![];
    let mut count = 0;
    for source in sources(".") {
        for (line, name) in tests(&source) {
            count += 1;
            let words = name.split('_').count();
            if words > NAME_WORDS_MAX {
                problems.push(format!("{}:{line}: {words} words: {name}", source.path));
            }
            if name.starts_with("test_") {
                problems.push(format!("{}:{line}: `test_`: {name}", source.path));
            }
        }
    }
    assert_none(&problems);
    assert!(count > 400, "{count} tests were found");
}

#[test]
fn tests_of_the_table_of_faults_exist() {
    let table = read("tests/faults.md");
    let names = table.split('`').filter(|word| word.contains("::"));
    let mut problems = vec![];
    for name in names {
        let (module, function) = name.rsplit_once("::").expect("a path");
        let path = format!("tests/{}.rs", module.replace("::", "/"));
        let is_there =
            files("tests").contains(&path) && read(&path).contains(&format!("fn {function}("));
        if !is_there {
            problems.push(format!("tests/faults.md: there is no {name}"));
        }
    }
    assert_none(&problems);
}

/// A slow component is slow for a time. No test waits for a condition by it.
const DELAYS: &str = "tests/support/delay.rs";

#[test]
fn tests_do_not_sleep() {
    let mut problems = vec![];
    for source in sources(".") {
        if source.path == DELAYS {
            continue;
        }
        let tests = match source.path.starts_with("tests/") {
            true => &source.text,
            false => &source.text[source.program().len()..],
        };
        for name in ["time::sleep", "thread::sleep", "sleep_until"] {
            if lex(tests).code.contains(name) {
                problems.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn nothing_is_unfinished_or_ignored() {
    // Split, so that this file does not contain them.
    const IN_CODE: [[&str; 2]; 5] = [
        ["todo", "!("],
        ["unimplemented", "!("],
        ["dbg", "!("],
        ["#[ign", "ore"],
        ["#[all", "ow(dead_code"],
    ];
    const IN_COMMENTS: [[&str; 2]; 4] = [["FIX", "ME"], ["TO", "DO"], ["XX", "X"], ["HA", "CK"]];
    let mut problems = vec![];
    for source in sources(".") {
        let lexed = lex(&source.text);
        for word in IN_CODE.map(|parts| parts.concat()) {
            if lexed.code.contains(&word) {
                problems.push(format!("{} contains {word}", source.path));
            }
        }
        for word in IN_COMMENTS.map(|parts| parts.concat()) {
            for comment in lexed
                .comments
                .iter()
                .filter(|part| part.text.contains(&word))
            {
                problems.push(format!("{}:{}: {word}", source.path, comment.line));
            }
        }
    }
    assert_none(&problems);
}
