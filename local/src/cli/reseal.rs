//! `lambda-otp reseal`: seals again, under the current key, what is sealed under an older one, part
//! by part. It can be stopped at any time, and run again.

use std::io::{self, IsTerminal as _};

use data_encoding::BASE64URL_NOPAD;
use otp::service::factors::reseal::reseal;
use serde_json::json;

use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, OperatorError};

/// Options of `reseal`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetOptions,
    /// Continue at the position that a stopped run printed
    #[arg(long, value_name = "POSITION", value_parser = position)]
    after: Option<Position>,
}

/// The key of the item after which a run continues.
#[derive(Clone)]
struct Position(Vec<u8>);

fn position(text: &str) -> Result<Position, &'static str> {
    let key = BASE64URL_NOPAD.decode(text.as_bytes());
    key.map(Position)
        .map_err(|_| "must be a position that a stopped run printed")
}

/// Says which versions of the document cannot be carried over, before anything is written.
async fn name_unreadable_versions(configuration: &Configuration<'_>) -> Result<(), OperatorError> {
    for version in configuration.history().await? {
        if version.text.is_none() {
            let (number, key) = (version.version, version.seal_key);
            eprintln!(
                "version {number} of the configuration does not open with the keys in OTP_SECRETS \
                 and is not sealed again: `config rollback {number}` is impossible, unless the \
                 secret gets its key {key:?} back"
            );
        }
    }
    Ok(())
}

/// Runs the command.
pub(super) async fn run(arguments: Arguments) -> Result<(), OperatorError> {
    let deployment = arguments.target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    name_unreadable_versions(&configuration).await?;
    let subjects = configuration.subjects()?;
    let (mut scanned, mut resealed, mut after) = (0, 0, arguments.after.map(|position| position.0));
    loop {
        let part = reseal(&subjects, after.as_deref(), deployment.now()).await;
        let part = part.map_err(|cause| match &after {
            None => OperatorError::Store(cause),
            Some(key) => OperatorError::Stopped {
                after: BASE64URL_NOPAD.encode(key),
                cause,
            },
        })?;
        scanned += part.scanned;
        resealed += part.resealed;
        after = part.after;
        if io::stderr().is_terminal() {
            eprint!("\r{scanned} items read, {resealed} sealed again");
        }
        if after.is_none() {
            break;
        }
    }
    if io::stderr().is_terminal() {
        eprintln!();
    }
    // A document under an old key is written again, as a new version.
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let versions = configuration.reseal_history().await?;
    resealed += usize::from(configuration.reseal().await?);
    match arguments.target.json {
        true => output::json(&json!({
            "scanned": scanned, "resealed": resealed, "versions": versions,
        })),
        false => output::line(&format!(
            "{scanned} items read, {resealed} sealed again, and {versions} earlier versions of the \
             configuration"
        )),
    }
    Ok(())
}
