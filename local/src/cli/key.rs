//! `lambda-otp key`: the API keys of the document.
//!
//! Invariant: a key is printed once, when it is created, and the first one of a stack by
//! `key first`; its hash is stored.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use otp::config::document::ApiKeyEntry;
use otp::config::hidden_character;
use otp::crypto::hashes::sha256;
use otp::domain::time::{DAY_SECONDS, HOUR_SECONDS, Timestamp};
use otp::platform::logging::causes;
use otp::platform::random::random_bytes;
use otp::platform::spelling::did_you_mean;
use serde_json::{Map, Value, json};

use super::app::unknown;
use super::change::{Change, max_age_seconds};
use super::confirm::Confirmation;
use super::output;
use super::target::TargetOptions;
use crate::operator::{Configuration, OperatorError, SecretDocument, known_apps, secret_keys};

/// Random bytes of a key, as in the first one of a stack.
const KEY_BYTES: usize = 24;
/// Random bytes of an id: eight characters.
const ID_BYTES: usize = 5;
/// Longest life of a key that expires: ten years.
const DAYS_MAX: i64 = 3650;

/// Commands about API keys.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Create a key, and print it once
    Create {
        #[command(flatten)]
        target: TargetOptions,
        /// App that the key belongs to
        #[arg(long, value_name = "NAME")]
        app: String,
        /// What the key is for
        #[arg(long, value_name = "TEXT", default_value = "", value_parser = key_name)]
        name: String,
        /// How long it is valid, such as 90d or 12h; without it, until it is revoked
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        expires: Option<i64>,
    },
    /// Print the first key of a stack, of app default, and remove it from the secret
    First {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Show the keys, of which none is readable
    List {
        #[command(flatten)]
        target: TargetOptions,
        /// Only the keys of this app
        #[arg(long, value_name = "NAME")]
        app: Option<String>,
    },
    /// Make a key invalid
    Revoke {
        #[command(flatten)]
        target: TargetOptions,
        /// Id of the key, such as ak_7f3k2m9q
        id: String,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

fn key_name(text: &str) -> Result<String, String> {
    // About control characters, the check of the document has a sentence.
    let visible = (!text.contains(char::is_control)).then_some(text);
    match visible.and_then(hidden_character) {
        Some(character) => Err(format!("{character}; it does not show")),
        None => Ok(text.to_owned()),
    }
}

fn seconds(text: &str) -> Result<i64, &'static str> {
    const EXPECTED: &str = "must be a number of days or hours, such as 90d or 12h";
    let split_at = text.len().saturating_sub(1);
    let (number, unit) = text.split_at_checked(split_at).ok_or(EXPECTED)?;
    let unit = match unit {
        "d" => DAY_SECONDS,
        "h" => HOUR_SECONDS,
        _ => return Err(EXPECTED),
    };
    let number: u32 = number.parse().map_err(|_| EXPECTED)?;
    let seconds = i64::from(number) * unit;
    let is_allowed = (HOUR_SECONDS..=DAYS_MAX * DAY_SECONDS).contains(&seconds);
    is_allowed.then_some(seconds).ok_or("must be 1h to 3650d")
}

/// Runs a command.
pub(super) async fn run(command: Command) -> Result<(), OperatorError> {
    match command {
        Command::Create {
            target,
            app,
            name,
            expires,
        } => create(&target, app, name, expires).await,
        Command::First { target } => first(&target).await,
        Command::List { target, app } => list(&target, app.as_deref()).await,
        Command::Revoke {
            target,
            id,
            confirmation,
        } => revoke(&target, &id, &confirmation).await,
    }
}

async fn create(
    target: &TargetOptions,
    app: String,
    name: String,
    expires: Option<i64>,
) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let mut document = configuration.document.clone();
    let apps = known_apps(&deployment, &document);
    if !apps.contains_key(&app) {
        return Err(unknown(&app, &apps));
    }
    let key = format!("otp_live_{}", HEXLOWER.encode(&random_bytes::<KEY_BYTES>()));
    let id = BASE32_NOPAD.encode(&random_bytes::<ID_BYTES>());
    let id = format!("ak_{}", id.to_lowercase());
    let now = deployment.now();
    document.api_keys.push(ApiKeyEntry {
        id: id.clone(),
        app,
        name,
        sha256: sha256(key.as_bytes()),
        last4: key[key.len() - 4..].to_owned(),
        created_at: now,
        expires_at: expires.map(|seconds| now + seconds),
    });
    let change = Change {
        target,
        deployment: &deployment,
        configuration: &configuration,
        document,
        confirmation: None,
    };
    let printed = [
        ("id".to_owned(), id.clone().into()),
        ("key".to_owned(), key.into()),
    ];
    change.write(Map::from_iter(printed)).await?;
    match output::failure() {
        None => Ok(()),
        Some(error) => Err(OperatorError::Refused(format!(
            "the key was not printed ({error}): revoke {id}, and create another"
        ))),
    }
}

async fn first(target: &TargetOptions) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let mut secret = SecretDocument::read(&deployment).await?;
    let key = secret.take_first_key().ok_or_else(|| {
        let problem = "the secret has no first key any more; `key create --app default` makes one";
        OperatorError::Refused(problem.into())
    })?;
    match target.json {
        true => output::json(&json!({"app": "default", "key": key})),
        false => output::line(&key),
    }
    if let Some(error) = output::failure() {
        let problem =
            format!("the key is still in the secret, because it was not printed: {error}");
        return Err(OperatorError::Refused(problem));
    }
    // The key is printed also to an operator who may not write the secret.
    match secret.write().await {
        Ok(()) => eprintln!("keep this key: it is no longer in the secret"),
        Err(error) => eprintln!("the key is still in the secret: {}", causes(&error)),
    }
    Ok(())
}

async fn list(target: &TargetOptions, app: Option<&str>) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let now = deployment.now();
    let stored = configuration.document.api_keys.iter();
    let mut rows: Vec<Value> = stored.map(|key| row(key, now)).collect();
    let of_secret = secret_keys(&deployment).into_iter();
    rows.extend(of_secret.map(|app| {
        json!({
            "id": null, "app": app, "name": "in OTP_SECRETS", "last4": null,
            "age_days": null, "expires_at": null, "state": "valid",
        })
    }));
    rows.retain(|row| app.is_none_or(|app| row["app"] == app));
    if target.json {
        output::json(&json!({"keys": rows}));
        return Ok(());
    }
    let columns = [
        "id",
        "app",
        "name",
        "last4",
        "age_days",
        "expires_at",
        "state",
    ];
    output::table(&columns, &rows);
    Ok(())
}

fn row(key: &ApiKeyEntry, now: Timestamp) -> Value {
    let is_expired = key.expires_at.is_some_and(|at| at <= now);
    json!({
        "id": key.id,
        "app": key.app,
        "name": key.name,
        "last4": key.last4,
        "age_days": now.seconds_since(key.created_at) / DAY_SECONDS,
        "expires_at": key.expires_at.map(|at| at.to_string()),
        "state": if is_expired { "expired" } else { "valid" },
    })
}

async fn revoke(
    target: &TargetOptions,
    id: &str,
    confirmation: &Confirmation,
) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let mut document = configuration.document.clone();
    document.api_keys.retain(|key| key.id != id);
    if document.api_keys.len() == configuration.document.api_keys.len() {
        let ids = document.api_keys.iter().map(|key| key.id.as_str());
        let question = did_you_mean(id, ids);
        let problem = format!("the document has no key {id}{question}; `key list` shows all");
        return Err(OperatorError::Refused(problem));
    }
    let seconds = max_age_seconds(&deployment);
    eprintln!("once it is revoked, all functions refuse the key within {seconds} s");
    let change = Change {
        target,
        deployment: &deployment,
        configuration: &configuration,
        document,
        confirmation: Some(confirmation),
    };
    change.write(Map::new()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_with_its_unit() {
        assert_eq!(seconds("90d"), Ok(7_776_000));
        assert_eq!(seconds("12h"), Ok(43_200));
        for text in ["", "d", "90", "0d", "-1d", "90m", "4000d", "9é"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
