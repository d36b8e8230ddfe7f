//! `lambda-otp carrier`: the carriers in order of preference, and a message through one of them.

mod edit;
mod trial;

use std::process::ExitCode;

use serde_json::{Value, json};

use super::exit::exit_code;
use super::output;
use super::target::TargetOptions;
use crate::operator::{CarrierList, Configuration, OperatorError};

/// Commands about carriers.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the carriers in order of preference
    List {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Add a carrier; asks for what its kind needs
    Add(edit::AddArguments),
    /// Change settings or credentials of a carrier; FIELD= removes a setting
    Set(edit::SetArguments),
    /// Remove a carrier and its credentials
    Remove(edit::RemoveArguments),
    /// Send one real message, and follow its report
    Test(trial::Arguments),
}

/// Runs a command; returns the exit code of the process.
pub(super) async fn run(command: Command) -> ExitCode {
    match command {
        Command::List { target } => exit_code(list(&target).await),
        Command::Add(arguments) => exit_code(edit::add(arguments).await),
        Command::Set(arguments) => exit_code(edit::set(arguments).await),
        Command::Remove(arguments) => exit_code(edit::remove(arguments).await),
        Command::Test(arguments) => trial::run(arguments).await,
    }
}

async fn list(target: &TargetOptions) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let rows = CarrierList::read(&deployment, &configuration)?.rows();
    if target.json {
        output::json(&json!({"carriers": rows}));
        return Ok(());
    }
    let columns = [
        "name",
        "kind",
        "channels",
        "countries",
        "price",
        "credentials",
        "from",
    ];
    let rows: Vec<Value> = rows.into_iter().map(in_words).collect();
    output::table(&columns, &rows);
    Ok(())
}

/// Lists as words, for people.
fn in_words(mut row: Value) -> Value {
    for name in ["channels", "countries"] {
        if let Some(list) = row[name].as_array() {
            let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            row[name] = words.join(",").into();
        }
    }
    row
}
