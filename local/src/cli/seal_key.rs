//! `lambda-otp seal-key`: the keys in the secret that seal what the table holds. The functions read
//! the secret when they are deployed.

use serde_json::{Value, json};

use super::confirm::Confirmation;
use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, OperatorError, SecretDocument};

/// Printed after each change.
const NEXT: &str = "raise SecretsRevision by one and deploy, before anything else is changed";

/// Commands about seal keys.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the ids of the keys, and which one seals
    List {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Add a new key, which seals nothing yet
    Add {
        #[command(flatten)]
        target: TargetOptions,
        /// Add the key that seals credentials of carriers instead, if it is missing
        #[arg(long)]
        carriers: bool,
    },
    /// Let a key seal new values
    Use {
        #[command(flatten)]
        target: TargetOptions,
        /// Id of the key, such as k2
        id: String,
    },
    /// Remove a key; what it has sealed cannot be opened any more
    Remove {
        #[command(flatten)]
        target: TargetOptions,
        /// Id of the key, such as k1
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// Runs a command.
pub(super) async fn run(command: Command) -> Result<(), OperatorError> {
    match command {
        Command::List { target } => list(&target).await,
        Command::Add { target, carriers } => add(&target, carriers).await,
        Command::Use { target, id } => {
            let deployment = target.open().await?;
            let mut secret = SecretDocument::read(&deployment).await?;
            existing(&secret, &id)?;
            secret.use_seal_key(&id);
            secret.write().await?;
            print(&target, &id, "seals from the next deployment on");
            Ok(())
        }
        Command::Remove {
            target,
            id,
            confirmation,
        } => remove(&target, &id, &confirmation).await,
    }
}

async fn list(target: &TargetOptions) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let secret = SecretDocument::read(&deployment).await?;
    let (ids, current) = secret.seal_keys();
    let rows: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "seals": *id == current}))
        .collect();
    match target.json {
        true => output::json(&json!({"seal_keys": rows})),
        false => output::table(&["id", "seals"], &rows),
    }
    Ok(())
}

async fn add(target: &TargetOptions, carriers: bool) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let mut secret = SecretDocument::read(&deployment).await?;
    let id = match carriers {
        true if !secret.add_carrier_seal() => {
            let problem = "the secret has a carrier_seal";
            return Err(OperatorError::Refused(problem.into()));
        }
        true => "carrier_seal".to_owned(),
        false => secret.add_seal_key(),
    };
    secret.write().await?;
    print(target, &id, "is in the secret");
    Ok(())
}

async fn remove(
    target: &TargetOptions,
    id: &str,
    confirmation: &Confirmation,
) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let mut secret = SecretDocument::read(&deployment).await?;
    existing(&secret, id)?;
    if secret.seal_keys().1 == id {
        let problem = format!("{id} seals new values; `seal-key use` lets another key do so");
        return Err(OperatorError::Refused(problem));
    }
    let configuration = Configuration::read(&deployment).await?;
    if let Some(current) = &configuration.current
        && current.seal_key == id
    {
        let problem = format!("the configuration is sealed under {id}: run `reseal` before");
        return Err(OperatorError::Refused(problem));
    }
    let history = configuration.history().await?;
    let under = history.iter();
    let under = under.filter(|version| version.seal_key == id && version.text.is_some());
    let under: Vec<String> = under
        .rev()
        .map(|version| version.version.to_string())
        .collect();
    if !under.is_empty() {
        let versions = under.join(", ");
        let problem = format!(
            "versions {versions} of the configuration are sealed under {id}: run `reseal` before, \
             so that `config rollback` can still read them"
        );
        return Err(OperatorError::Refused(problem));
    }
    confirmation.ask(&format!(
        "removes the seal key {id}; what is sealed under it can never be opened again"
    ))?;
    secret.remove_seal_key(id);
    secret.write().await?;
    print(target, id, "is removed");
    Ok(())
}

fn existing(secret: &SecretDocument<'_>, id: &str) -> Result<(), OperatorError> {
    let (ids, _) = secret.seal_keys();
    match ids.iter().any(|other| other == id) {
        true => Ok(()),
        false => {
            let ids = ids.join(", ");
            let problem = format!("there is no seal key {id}, but {ids}");
            Err(OperatorError::Refused(problem))
        }
    }
}

fn print(target: &TargetOptions, id: &str, what: &str) {
    if target.json {
        return output::json(&json!({"id": id}));
    }
    output::line(&format!("{id} {what}"));
    output::line(NEXT);
}
