//! What the commands of operators print: tables for people, JSON for programs.

use std::io::{self, ErrorKind, Write as _};
use std::sync::OnceLock;

use serde_json::Value;

use crate::operator::shown;

/// Why standard output did not take what was printed.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Printed in place of a missing value.
const NONE: &str = "-";

/// Prints a document for programs.
pub(super) fn json(document: &Value) {
    line(&document.to_string());
}

/// Prints a line for people.
pub(super) fn line(text: &str) {
    if let Err(error) = writeln!(io::stdout(), "{text}") {
        FAILURE.get_or_init(|| error);
    }
}

/// Why standard output did not take everything that was printed.
pub(super) fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

/// As [`failure`], but a reader that has seen enough, such as `head`, is none.
pub(super) fn disk_failure() -> Option<&'static io::Error> {
    failure().filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// Prints one row for each of `documents`, with its members of these names.
pub(super) fn table(columns: &[&str], documents: &[Value]) {
    let mut rows = vec![columns.iter().map(|name| (*name).to_owned()).collect()];
    rows.extend(documents.iter().map(|document| {
        let cells = columns.iter().map(|name| cell(&document[*name]));
        cells.collect::<Vec<String>>()
    }));
    for row in aligned(&rows) {
        line(&row);
    }
}

/// Characters that a terminal would obey, or not show, are replaced.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => NONE.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    shown(&text)
}

fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| row[column].chars().count());
        lengths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let row_text = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let cells: Vec<String> = cells
            .map(|(text, width)| format!("{text:<width$}"))
            .collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(row_text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["app", "status"], ["shop-of-many", "pending"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let expected = ["app           status", "shop-of-many  pending"];
        assert_eq!(aligned(&rows), expected);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(cell(&"a\u{1b}[2Jb\u{202e}".into()), "a?[2Jb?");
        assert_eq!(
            (cell(&Value::Null), cell(&5.into())),
            ("-".into(), "5".into())
        );
    }
}
