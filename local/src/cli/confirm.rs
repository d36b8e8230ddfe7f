//! Asks before a command changes what cannot be brought back.

use std::io::{self, IsTerminal as _, Write as _};

use crate::operator::OperatorError;

/// The option that answers the question.
#[derive(clap::Args)]
pub(super) struct Confirmation {
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Confirmation {
    /// Shows what the command will do, and asks. Without a terminal it asks nothing and fails.
    pub(super) fn ask(&self, what: &str) -> Result<(), OperatorError> {
        eprintln!("{what}");
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(OperatorError::NoTerminal);
        }
        eprint!("continue? [y/N] ");
        let _ = io::stderr().flush();
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        let is_confirmed = read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes");
        is_confirmed
            .then_some(())
            .ok_or(OperatorError::NotConfirmed)
    }
}
