//! `lambda-otp recipient`: the support desk, on the command line.

use otp::api::v1::recipient::{read_to, render_lookup};
use otp::domain::address::Address;
use otp::service::recipients;
use otp::service::sending::Sending;
use serde_json::{Map, Value, json};

use super::app::unknown;
use super::confirm::Confirmation;
use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, Deployment, OperatorError, known_apps};

/// Commands about one recipient.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the verifications and wrong attempts of a recipient
    Lookup(Arguments),
    /// Clear the wrong attempts of a recipient
    Unlock(Arguments),
    /// Erase the verifications and the address of a recipient
    Forget {
        #[command(flatten)]
        arguments: Arguments,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// The recipient.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetOptions,
    /// App that sends to the recipient
    #[arg(long, value_name = "NAME")]
    app: String,
    /// Phone number in E.164, or e-mail address
    #[arg(allow_hyphen_values = true)]
    to: String,
}

impl Arguments {
    /// The recipient, read as the API reads it.
    fn address(&self) -> Result<Address, OperatorError> {
        let body = Map::from_iter([("to".to_owned(), Value::from(self.to.as_str()))]);
        read_to(body).map_err(|_| OperatorError::To)
    }

    /// What the use cases need, if the app exists: a typing error must not look like a success.
    async fn sending(&self, deployment: &Deployment) -> Result<Sending, OperatorError> {
        let configuration = Configuration::read(deployment).await?.usable()?;
        let apps = known_apps(deployment, &configuration.document);
        match apps.contains_key(&self.app) {
            true => configuration.sending(),
            false => Err(unknown(&self.app, &apps)),
        }
    }

    fn print_done(&self, to: &Address, what: &str) {
        match self.target.json {
            true => output::json(&json!({"to": to.reveal()})),
            false => output::line(what),
        }
    }
}

/// Runs a command.
pub(super) async fn run(command: Command) -> Result<(), OperatorError> {
    match command {
        Command::Lookup(arguments) => lookup(&arguments).await,
        Command::Unlock(arguments) => {
            let to = arguments.address()?;
            let deployment = arguments.target.open().await?;
            let sending = arguments.sending(&deployment).await?;
            recipients::unlock(&sending, &arguments.app, &to, deployment.now()).await?;
            arguments.print_done(&to, "the wrong attempts are cleared");
            Ok(())
        }
        Command::Forget {
            arguments,
            confirmation,
        } => {
            let to = arguments.address()?;
            let deployment = arguments.target.open().await?;
            let sending = arguments.sending(&deployment).await?;
            confirmation.ask(&format!(
                "erases the verifications and the address of {} in app {}",
                to.reveal(),
                arguments.app
            ))?;
            recipients::forget(&sending, &arguments.app, &to, deployment.now()).await?;
            arguments.print_done(&to, "the recipient is forgotten");
            Ok(())
        }
    }
}

async fn lookup(arguments: &Arguments) -> Result<(), OperatorError> {
    let to = arguments.address()?;
    let deployment = arguments.target.open().await?;
    let (sending, now) = (arguments.sending(&deployment).await?, deployment.now());
    let found = recipients::lookup(&sending, &arguments.app, &to, now).await?;
    let policy = sending.apps.policy(&arguments.app);
    let shown = render_lookup(&to, &found, policy, now);
    if arguments.target.json {
        output::json(&shown);
        return Ok(());
    }
    let verifications = shown["verifications"].as_array().cloned();
    let rows: Vec<Value> = verifications.unwrap_or_default().iter().map(row).collect();
    let columns = [
        "id",
        "status",
        "purpose",
        "created_at",
        "attempts_left",
        "channel",
        "carrier",
        "message",
    ];
    output::table(&columns, &rows);
    output::line(&format!(
        "wrong attempts in 24 hours: {}",
        shown["failures_24h"]
    ));
    if let Some(at) = shown["next_send_at"].as_str() {
        output::line(&format!("next send at: {at}"));
    }
    Ok(())
}

/// A verification with its last message, in one line.
fn row(verification: &Value) -> Value {
    let mut row = verification.clone();
    let delivery = &verification["delivery"];
    row["channel"] = delivery["channel"].clone();
    row["carrier"] = delivery["carrier"].clone();
    row["message"] = delivery["status"].clone();
    row
}
