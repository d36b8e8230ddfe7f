//! `lambda-otp app`: the apps and their settings.

use std::collections::BTreeMap;

use otp::config::document::{Document, StoredConfig};
use otp::config::{Reader, SETTINGS, SendConfig, is_app_name};
use otp::platform::spelling::did_you_mean;
use serde_json::{Map, Value, json};

use super::change::{Assignment, Change, assignment};
use super::confirm::Confirmation;
use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, Deployment, KnownApp, OperatorError, known_apps, shown};

/// Commands about apps.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show all apps, with the settings that differ from the common ones
    List {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Show every setting of an app, and what defines it
    Show {
        #[command(flatten)]
        target: TargetOptions,
        /// The app
        name: String,
    },
    /// Define an app
    Create(Arguments),
    /// Change settings of an app; NAME= removes one
    Set(Arguments),
    /// Remove an app from the document, with its keys and rules
    Delete {
        #[command(flatten)]
        target: TargetOptions,
        /// The app
        name: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// Options of `app create` and `app set`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetOptions,
    /// The app
    name: String,
    /// Settings, such as `code_length=8`: those of docs/configuration.md in lower case
    #[arg(value_name = "SETTING=VALUE", value_parser = assignment)]
    settings: Vec<Assignment>,
}

/// Runs a command.
pub(super) async fn run(command: Command) -> Result<(), OperatorError> {
    match command {
        Command::List { target } => list(&target).await,
        Command::Show { target, name } => show(&target, &name).await,
        Command::Create(arguments) => write(&arguments, true).await,
        Command::Set(arguments) => write(&arguments, false).await,
        Command::Delete {
            target,
            name,
            confirmation,
        } => delete(&target, &name, &confirmation).await,
    }
}

async fn list(target: &TargetOptions) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let apps = known_apps(&deployment, &configuration.document);
    let rows: Vec<Value> = apps.iter().map(|(name, app)| row(name, app)).collect();
    if target.json {
        output::json(&json!({"apps": rows}));
        return Ok(());
    }
    let shown = rows.into_iter().map(|mut row| {
        row["settings"] = row["settings"].to_string().into();
        row
    });
    let rows: Vec<Value> = shown.collect();
    output::table(&["app", "keys", "from", "settings"], &rows);
    Ok(())
}

fn row(name: &str, app: &KnownApp) -> Value {
    let (settings, from) = app.settings();
    json!({"app": name, "keys": app.keys, "from": from, "settings": settings})
}

async fn show(target: &TargetOptions, name: &str) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let apps = known_apps(&deployment, &configuration.document);
    let app = apps.get(name).ok_or_else(|| unknown(name, &apps))?;
    let (own, source) = app.settings();
    let rows: Vec<Value> = SETTINGS
        .iter()
        .map(|setting| {
            let variable = format!("OTP_{}", setting.name.to_uppercase());
            let own = own.get(setting.name).map(|value| (value.clone(), source));
            let (value, from) = own.unwrap_or_else(|| common(&deployment, &variable));
            json!({"setting": setting.name, "value": value, "from": from})
        })
        .collect();
    let guess = guess_probability(&deployment, &configuration, &configuration.document, name)?;
    if target.json {
        let document = json!({
            "app": name, "keys": app.keys, "settings": rows, "guess_probability": guess,
        });
        output::json(&document);
        return Ok(());
    }
    output::table(&["setting", "value", "from"], &rows);
    output::line(&format!("keys: {}", app.keys));
    output::line(&sentence(guess));
    Ok(())
}

/// A setting that the app does not have itself.
fn common(deployment: &Deployment, variable: &str) -> (Value, &'static str) {
    let is_set = deployment.set_variable(variable).is_some();
    let value = deployment.variable(variable);
    let value = value.filter(|value| !value.is_empty());
    let value = value.map_or(Value::Null, Value::String);
    (value, if is_set { "variable" } else { "default" })
}

async fn write(arguments: &Arguments, is_new: bool) -> Result<(), OperatorError> {
    let name = arguments.name.as_str();
    if !is_app_name(name) {
        let problem = "NAME: must have 1 to 32 letters, digits, - and _";
        return Err(OperatorError::Refused(problem.into()));
    }
    let deployment = arguments.target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let mut apps = known_apps(&deployment, &configuration.document);
    let app = match (apps.remove(name), is_new) {
        (Some(app), true) if app.stored.is_some() || app.variable.is_some() => {
            let problem = format!("the app {name} exists; `app set` changes it");
            return Err(OperatorError::Refused(problem));
        }
        (None, false) => return Err(unknown(name, &apps)),
        (app, _) => app.unwrap_or_default(),
    };
    let (mut settings, _) = app.settings();
    apply(&mut settings, &arguments.settings)?;
    let mut document = configuration.document.clone();
    document.apps.insert(name.to_owned(), settings.into());
    configuration.check(&document, &configuration.credentials)?;
    let before = guess_probability(&deployment, &configuration, &configuration.document, name)?;
    let after = guess_probability(&deployment, &configuration, &document, name)?;
    if !arguments.target.json {
        output::line(&sentence(after));
        if before.to_bits() != after.to_bits() {
            output::line(&format!("before this change: {before:.1e}"));
        }
    }
    let change = Change {
        target: &arguments.target,
        deployment: &deployment,
        configuration: &configuration,
        document,
        confirmation: None,
    };
    change.write(Map::new()).await
}

/// Whole numbers are stored as numbers, which is how people write them.
fn apply(
    settings: &mut Map<String, Value>,
    assignments: &[Assignment],
) -> Result<(), OperatorError> {
    for Assignment { name, value } in assignments {
        if !SETTINGS.iter().any(|setting| setting.name == *name) {
            let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
            let question = did_you_mean(name, names.iter().copied());
            let names = names.join(", ");
            let problem = format!("{name}: is not a setting of an app{question}; {names}");
            return Err(OperatorError::Refused(problem));
        }
        if value.is_empty() {
            settings.remove(name);
            continue;
        }
        let number = value.parse::<u32>().ok();
        let number = number.filter(|number| number.to_string() == *value);
        let value = number.map_or_else(|| value.as_str().into(), Value::from);
        settings.insert(name.clone(), value);
    }
    Ok(())
}

/// How likely it is at most that a recipient's code is guessed in a day.
fn guess_probability(
    deployment: &Deployment,
    configuration: &Configuration<'_>,
    document: &Document,
    app: &str,
) -> Result<f64, OperatorError> {
    let stored = StoredConfig {
        document: Some(document),
        credentials: Some(&configuration.credentials),
    };
    let config = SendConfig::read(Reader::new(&|name| deployment.variable(name), stored));
    let config = config.map_err(|error| OperatorError::Settings(error.0))?;
    Ok(config.apps.policy(app).guess_probability())
}

fn sentence(probability: f64) -> String {
    format!("probability that a code of a recipient is guessed in a day: at most {probability:.1e}")
}

async fn delete(
    target: &TargetOptions,
    name: &str,
    confirmation: &Confirmation,
) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let mut document = configuration.document.clone();
    let had_settings = document.apps.remove(name).is_some();
    let had_rules = document.rules.remove(name).is_some();
    document.api_keys.retain(|key| key.app != name);
    let had_keys = document.api_keys.len() < configuration.document.api_keys.len();
    if !(had_settings || had_rules || had_keys) {
        let names = configuration.document.apps.keys().map(String::as_str);
        let question = did_you_mean(name, names);
        let problem = format!("the document has no app {name}{question}");
        return Err(OperatorError::Refused(problem));
    }
    let left = known_apps(&deployment, &document);
    if left
        .get(name)
        .is_some_and(|app| app.keys > 0 || app.variable.is_some())
    {
        eprintln!("the app {name} is also in OTP_APPS or OTP_SECRETS, which count again");
    }
    let change = Change {
        target,
        deployment: &deployment,
        configuration: &configuration,
        document,
        confirmation: Some(confirmation),
    };
    change.write(Map::new()).await
}

/// The error about an app that is none of `apps`.
pub(super) fn unknown(name: &str, apps: &BTreeMap<String, KnownApp>) -> OperatorError {
    let question = did_you_mean(name, apps.keys().map(String::as_str));
    OperatorError::Refused(format!(
        "there is no app {}{question}; `app create` defines it, `app list` shows all",
        shown(name)
    ))
}
