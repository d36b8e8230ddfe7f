//! Credentials from a terminal or from standard input.
//!
//! Invariant: what is entered is not shown.

use std::io::{self, IsTerminal as _, Read as _};

use otp::config::{json_advice, json_problem};
use otp::platform::json::parse_object;
use serde_json::{Map, Value};

use crate::operator::{OperatorError, is_credential};

/// Some editors put it in front of a file.
pub(super) const BYTE_ORDER_MARK: char = '\u{feff}';
/// Exit code of a process that Ctrl-C has ended.
#[cfg(unix)]
const INTERRUPTED: i32 = 130;
/// Longest standard input.
const INPUT_BYTES_MAX: u64 = 65_536;

/// Asks for the value of `field`. Without a terminal, nothing can be asked for.
pub(super) fn ask(field: &str, expected: &str) -> Result<Value, OperatorError> {
    if !io::stdin().is_terminal() {
        let given = match is_credential(field) {
            true => {
                "give credentials as a JSON object on standard input, with --credentials".into()
            }
            false => format!("give it as {field}=VALUE"),
        };
        let problem = format!("{field}: {expected} Without a terminal, {given}");
        return Err(OperatorError::Refused(problem));
    }
    let prompt = format!("{field}: ");
    let text = match is_credential(field) {
        true => hidden_line(&prompt),
        false => {
            eprint!("{prompt}");
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        }
    };
    let text = text.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => OperatorError::NotConfirmed,
        _ => OperatorError::File("standard input".into(), error),
    })?;
    match text.trim() {
        "" => Err(OperatorError::NotConfirmed),
        text => Ok(text.into()),
    }
}

/// A secret, asked for as `what`, or the next line of standard input if that is no terminal.
pub(super) fn line(what: &str) -> io::Result<String> {
    let text = match io::stdin().is_terminal() {
        true => hidden_line(&format!("{what}: "))?,
        false => {
            let mut line = String::new();
            io::stdin().read_line(&mut line)?;
            line
        }
    };
    match text.trim() {
        "" => Err(io::ErrorKind::UnexpectedEof.into()),
        text => Ok(text.to_owned()),
    }
}

/// Reads a line that is not shown. Ctrl-C is an error, so that the terminal is reset before the
/// process ends: the default action would leave it without echo.
#[cfg(unix)]
fn hidden_line(prompt: &str) -> io::Result<String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let line = rpassword::prompt_password(prompt)?;
    // The handler stays: from here on it ends the process, as without it.
    tokio::spawn(async move {
        interrupt.recv().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(line)
}

#[cfg(not(unix))]
fn hidden_line(prompt: &str) -> io::Result<String> {
    rpassword::prompt_password(prompt)
}

/// The object on standard input, which has credentials only.
pub(super) fn credentials() -> Result<Map<String, Value>, OperatorError> {
    let mut text = vec![];
    let input = io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut text);
    input.map_err(|error| OperatorError::File("standard input".into(), error))?;
    let text = String::from_utf8_lossy(&text);
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let object = parse_object(text.as_bytes()).map_err(|error| {
        let advice = json_advice(text).unwrap_or_else(|| json_problem(error));
        OperatorError::Refused(format!("standard input: {advice}"))
    })?;
    match object.keys().find(|field| !is_credential(field)) {
        Some(field) => {
            let field: String = field.escape_debug().take(32).collect();
            let problem = format!("standard input: {field} is not a credential");
            Err(OperatorError::Refused(problem))
        }
        None => Ok(object),
    }
}
