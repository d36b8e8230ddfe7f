//! Every file says what it is, and files, functions and lines are short.

use super::assert_none;
use super::rust_source::{Source, lex, sources};

/// Lines of a file without its unit tests.
const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 60;
/// Strings and URLs may exceed it.
const LINE_CHARS_MAX: usize = 100;
/// Lines of a function's `main.rs` from `main` on.
const MAIN_LINES_MAX: usize = 12;

fn all_sources() -> Vec<Source> {
    sources(".")
}

#[test]
fn every_file_says_what_it_is() {
    let all = all_sources();
    let silent = all.iter().filter(|source| !source.text.starts_with("//! "));
    let problems: Vec<_> = silent
        .map(|source| format!("{} does not open with `//! `", source.path))
        .collect();
    assert_none(&problems);
}

#[test]
fn files_are_at_most_400_lines() {
    let mut problems = vec![];
    for source in all_sources() {
        let lines = source.program().lines().count();
        if lines > FILE_LINES_MAX {
            problems.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert_none(&problems);
}

#[test]
fn functions_are_at_most_60_lines() {
    let mut problems = vec![];
    for source in all_sources() {
        for (line, lines, name) in functions(&source) {
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!("{}:{line}: {lines} lines: {name}", source.path));
            }
        }
    }
    assert_none(&problems);
}

/// First line, number of lines and name of each function of the program.
fn functions(source: &Source) -> Vec<(usize, usize, String)> {
    let code = lex(source.program()).code;
    let starts = code.match_indices("fn ").filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        before.is_none_or(|c| c.is_whitespace() || c == '(')
    });
    let function = |(at, _): (usize, &str)| {
        let signature = &code[at..];
        let open = signature.find('{')?;
        // A function of a trait without a body, or a type.
        if signature.find(';').is_some_and(|end| end < open) {
            return None;
        }
        let (mut depth, mut end) = (0, open);
        for (offset, c) in signature[open..].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                end = open + offset;
                break;
            }
        }
        let line = code[..at].matches('\n').count() + 1;
        let lines = signature[..end].matches('\n').count() + 1;
        let name = signature.split(['(', '<']).next().unwrap_or_default();
        Some((line, lines, name.to_owned()))
    };
    starts.filter_map(function).collect()
}

#[test]
fn lines_are_at_most_100_characters() {
    let mut problems = vec![];
    for source in all_sources() {
        let lexed = lex(&source.text);
        let has_string = |number: usize| {
            lexed.strings.iter().any(|string| {
                let lines = string.text.matches('\n').count();
                (string.line..=string.line + lines).contains(&number)
            })
        };
        for (n, line) in source.text.lines().enumerate() {
            let is_long = line.chars().count() > LINE_CHARS_MAX;
            if is_long && !has_string(n + 1) && !line.contains("://") {
                problems.push(format!(
                    "{}:{}: {} characters",
                    source.path,
                    n + 1,
                    line.len()
                ));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn main_functions_only_start_their_function() {
    let mut problems = vec![];
    for source in sources("functions") {
        if !source.path.ends_with("/main.rs") {
            continue;
        }
        let lines = source
            .text
            .lines()
            .skip_while(|line| !line.contains("fn main"));
        let lines = lines.count();
        if lines > MAIN_LINES_MAX {
            problems.push(format!("{}: {lines} lines", source.path));
        }
    }
    assert_none(&problems);
}
