//! `lambda-otp dead-letters`: the dispatches that failed three times, or that never reached the
//! worker.

use serde_json::{Value, json};

use super::confirm::Confirmation;
use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, Deployment, OperatorError, explain};

/// Letters that one run handles, at most.
const LETTERS_MAX: usize = 10_000;

/// Printed for an empty queue.
const NONE: &str = "no dead letters; one that another command has read is shown again after 60 s";

/// Commands about dead letters.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show what failed, and why
    List {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Enqueue the dispatches again
    Redrive {
        #[command(flatten)]
        target: TargetOptions,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// Runs a command.
pub(super) async fn run(command: Command) -> Result<(), OperatorError> {
    match command {
        Command::List { target } => {
            let letters = list(&target.open().await?).await?;
            print(&target, &letters);
            Ok(())
        }
        Command::Redrive {
            target,
            confirmation,
        } => {
            let deployment = target.open().await?;
            let mut count = 0;
            if !is_empty(&deployment).await? {
                confirmation.ask(
                    "enqueues all dead letters again; messages whose code is still valid are sent",
                )?;
                count = redrive(&deployment).await?;
            }
            match (target.json, count) {
                (true, count) => output::json(&json!({"redriven": count})),
                (false, 0) => output::line(NONE),
                (false, count) => output::line(&format!("{count} enqueued again")),
            }
            Ok(())
        }
    }
}

fn print(target: &TargetOptions, letters: &[Value]) {
    if target.json {
        return output::json(&json!({"dead_letters": letters}));
    }
    if letters.is_empty() {
        return output::line(NONE);
    }
    let columns = [
        "app",
        "verification",
        "status",
        "channel",
        "carrier",
        "message",
        "reason",
    ];
    output::table(&columns, letters);
}

/// Reads all letters, then shows them to other readers again.
async fn list(deployment: &Deployment) -> Result<Vec<Value>, OperatorError> {
    let queue = deployment.dead_letters()?;
    let sending = Configuration::read(deployment).await?.usable()?.sending()?;
    let mut letters = vec![];
    while letters.len() < LETTERS_MAX {
        let batch = queue.receive().await?;
        if batch.is_empty() {
            break;
        }
        letters.extend(batch);
    }
    for letter in &letters {
        queue.put_back(letter).await?;
    }
    let mut explained = vec![];
    for letter in &letters {
        explained.push(explain(&sending, &letter.body, deployment.now()).await?);
    }
    Ok(explained)
}

/// Whether there is none that could be enqueued again.
async fn is_empty(deployment: &Deployment) -> Result<bool, OperatorError> {
    let queue = deployment.dead_letters()?;
    let letters = queue.receive().await?;
    for letter in &letters {
        queue.put_back(letter).await?;
    }
    Ok(letters.is_empty())
}

async fn redrive(deployment: &Deployment) -> Result<usize, OperatorError> {
    let queue = deployment.dead_letters()?;
    let mut count = 0;
    while count < LETTERS_MAX {
        let batch = queue.receive().await?;
        if batch.is_empty() {
            break;
        }
        for letter in &batch {
            queue.redrive(letter).await?;
            count += 1;
        }
    }
    Ok(count)
}
