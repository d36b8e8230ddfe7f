//! `lambda-otp config`: the configuration document as a whole.

mod edit;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use otp::config::document::Document;
use serde_json::{Map, Value, json};

use super::change::Change;
use super::confirm::Confirmation;
use super::output;
use super::prompt::BYTE_ORDER_MARK;
use super::target::TargetOptions;
use crate::operator::{Configuration, Deployment, OperatorError, document_changes, parse};

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";
/// Longest file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Commands about the document.
#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Show the document, with its version and its author
    Show {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Check the stored document, or a file, as the functions do
    Check {
        #[command(flatten)]
        target: TargetOptions,
        /// File with a document; - is standard input
        file: Option<PathBuf>,
    },
    /// Change the document in an editor
    Edit {
        #[command(flatten)]
        target: TargetOptions,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Print the document alone, for `apply`
    Export {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Replace the document by that of a file
    Apply {
        #[command(flatten)]
        target: TargetOptions,
        /// File with a document; - is standard input
        file: PathBuf,
        /// Show the changes, and write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Show the last versions
    History {
        #[command(flatten)]
        target: TargetOptions,
    },
    /// Write an earlier version again, as a new one
    Rollback {
        #[command(flatten)]
        target: TargetOptions,
        /// The version; 0 is what counted before the first one
        version: u64,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// Runs a command.
pub(super) async fn run(command: Command) -> Result<(), OperatorError> {
    match command {
        Command::Show { target } => show(&target).await,
        Command::Check { target, file } => check(&target, file.as_deref()).await,
        Command::Edit {
            target,
            confirmation,
        } => edit(&target, &confirmation).await,
        Command::Export { target } => {
            let deployment = target.open().await?;
            let configuration = Configuration::read(&deployment).await?.usable()?;
            output::line(&pretty(&configuration.document));
            Ok(())
        }
        Command::Apply {
            target,
            file,
            dry_run,
            confirmation,
        } => {
            let document = read_document(&read(&file)?)?;
            let deployment = target.open().await?;
            let mut configuration = Configuration::read(&deployment).await?;
            configuration.check_names(&document)?;
            if dry_run {
                return show_changes(&target, &configuration, &document);
            }
            replace(
                &target,
                &deployment,
                &mut configuration,
                document,
                &confirmation,
            )
            .await
        }
        Command::History { target } => history(&target).await,
        Command::Rollback {
            target,
            version,
            confirmation,
        } => rollback(&target, version, &confirmation).await,
    }
}

/// Replaces the document. Credentials of carriers that it does not list are removed after it.
async fn replace(
    target: &TargetOptions,
    deployment: &Deployment,
    configuration: &mut Configuration<'_>,
    document: Document,
    confirmation: &Confirmation,
) -> Result<(), OperatorError> {
    let left = configuration.credentials_of(&document);
    configuration.check(&document, &left)?;
    for problem in &configuration.problems {
        eprintln!("the stored document cannot be used, and is replaced: {problem}");
    }
    let stored = &configuration.document.api_keys;
    let is_new = |id: &str| stored.iter().all(|key| key.id != id);
    let keys = document.api_keys.iter().map(|key| key.id.as_str());
    let new: Vec<&str> = keys.filter(|id| is_new(id)).collect();
    if !new.is_empty() {
        let new = new.join(", ");
        eprintln!("these API keys become valid, also if one was revoked before: {new}");
    }
    let change = Change {
        target,
        deployment,
        configuration,
        document: document.clone(),
        confirmation: Some(confirmation),
    };
    change.write(Map::new()).await?;
    configuration.remove_credentials_beside(&document).await
}

async fn show(target: &TargetOptions) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let document = configuration.document.to_json();
    let current = configuration.current.as_ref();
    if target.json {
        output::json(&json!({
            "version": configuration.version,
            "written_at": current.map(|current| current.written_at.to_string()),
            "author": current.map(|current| &current.author),
            "document": document,
        }));
        return Ok(());
    }
    match current {
        Some(current) => output::line(&format!(
            "version {}, written at {} by {}",
            current.version, current.written_at, current.author
        )),
        None => output::line(match document == Document::default().to_json() {
            true => "no document is stored; the variables count alone",
            false => "no document is stored; that of the first deployment counts",
        }),
    }
    output::line(&pretty(&configuration.document));
    Ok(())
}

async fn check(target: &TargetOptions, file: Option<&Path>) -> Result<(), OperatorError> {
    let given = file.map(read).transpose()?;
    let given = given.map(|text| read_document(&text)).transpose()?;
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?;
    match given {
        Some(document) => {
            configuration.check(&document, &configuration.credentials_of(&document))?;
            configuration.check_names(&document)?;
        }
        None => {
            let configuration = configuration.usable()?;
            configuration.check(&configuration.document, &configuration.credentials)?;
            configuration.check_names(&configuration.document)?;
        }
    }
    match target.json {
        true => output::json(&json!({"problems": []})),
        false => output::line("no problem"),
    }
    Ok(())
}

fn show_changes(
    target: &TargetOptions,
    configuration: &Configuration<'_>,
    document: &Document,
) -> Result<(), OperatorError> {
    configuration.check(document, &configuration.credentials_of(document))?;
    let changes = document_changes(&configuration.document, document);
    match target.json {
        true => output::json(&json!({"changes": changes})),
        false if changes.is_empty() => output::line("no difference"),
        false => changes.iter().for_each(|line| output::line(line)),
    }
    Ok(())
}

async fn edit(target: &TargetOptions, confirmation: &Confirmation) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let mut configuration = Configuration::read(&deployment).await?;
    let before = pretty(&configuration.document);
    let file = edit::EditedFile::create(&before)?;
    let after = file.edit()?;
    if after.trim() == before.trim() {
        file.delete();
        output::line("no difference");
        return Ok(());
    }
    let document = read_document(&after).inspect_err(|_| file.keep())?;
    let named = configuration.check_names(&document);
    named.inspect_err(|_| file.keep())?;
    let configuration = &mut configuration;
    let written = replace(target, &deployment, configuration, document, confirmation).await;
    match &written {
        Ok(()) => file.delete(),
        Err(_) => file.keep(),
    }
    written
}

async fn history(target: &TargetOptions) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let configuration = Configuration::read(&deployment).await?;
    let versions = configuration.history().await?;
    let row = |version| {
        let document: Option<Document> = parse(version).ok();
        let count = |list: &Option<Value>| list.as_ref().and_then(Value::as_array).map(Vec::len);
        json!({
            "version": version.version,
            "written_at": version.written_at.to_string(),
            "author": version.author,
            "seal_key": version.seal_key,
            "apps": document.as_ref().map(|document| document.apps.len()),
            "keys": document.as_ref().map(|document| document.api_keys.len()),
            "carriers": document.as_ref().and_then(|document| count(&document.carriers)),
        })
    };
    let rows: Vec<Value> = versions.iter().map(row).collect();
    if target.json {
        output::json(&json!({"versions": rows}));
        return Ok(());
    }
    let columns = [
        "version",
        "written_at",
        "author",
        "seal_key",
        "apps",
        "keys",
        "carriers",
    ];
    output::table(&columns, &rows);
    Ok(())
}

async fn rollback(
    target: &TargetOptions,
    version: u64,
    confirmation: &Confirmation,
) -> Result<(), OperatorError> {
    let deployment = target.open().await?;
    let mut configuration = Configuration::read(&deployment).await?;
    let document = match version {
        0 => configuration.first_document.clone(),
        version => {
            let versions = configuration.history().await?;
            let found = versions.iter().find(|other| other.version == version);
            let found = found.ok_or_else(|| {
                let problem = format!("version {version} is not kept; see `config history`");
                OperatorError::Refused(problem)
            })?;
            parse(found).map_err(OperatorError::Settings)?
        }
    };
    let configuration = &mut configuration;
    replace(target, &deployment, configuration, document, confirmation).await
}

fn read(path: &Path) -> Result<String, OperatorError> {
    let failed = |error| OperatorError::File(path.display().to_string(), error);
    let input: Box<dyn std::io::Read> = match path.as_os_str() == STANDARD_INPUT {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let mut text = String::new();
    let read = input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let bytes = read.map_err(failed)?;
    match u64::try_from(bytes).is_ok_and(|bytes| bytes <= FILE_BYTES_MAX) {
        true => Ok(text.trim_start_matches(BYTE_ORDER_MARK).to_owned()),
        false => Err(OperatorError::Refused(format!(
            "{}: must be at most {FILE_BYTES_MAX} bytes",
            path.display()
        ))),
    }
}

fn read_document(text: &str) -> Result<Document, OperatorError> {
    Document::parse(text).map_err(|error| OperatorError::Settings(error.0))
}

fn pretty(document: &Document) -> String {
    format!("{:#}", document.to_json())
}
