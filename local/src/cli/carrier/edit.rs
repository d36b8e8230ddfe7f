//! `lambda-otp carrier add`, `set` and `remove`.
//!
//! Invariant: a credential is read from a terminal or from standard input, never from an argument.

use otp::config::json_advice;
use otp::platform::json::FieldError;
use serde_json::{Map, Value};

use crate::cli::change::{Assignment, Change, assignment};
use crate::cli::confirm::Confirmation;
use crate::cli::prompt;
use crate::cli::target::TargetOptions;
use crate::operator::{
    CarrierList, Configuration, Deployment, OperatorError, is_credential, name_of,
};

/// Fields that make a carrier another one.
const FIXED: [&str; 2] = ["kind", "name"];

/// Options of `carrier add`.
#[derive(clap::Args)]
pub(in crate::cli) struct AddArguments {
    /// Name of the carrier
    name: String,
    /// Kind of the carrier, such as twilio: see docs/carriers.md
    #[arg(long, value_name = "KIND")]
    kind: String,
    #[command(flatten)]
    fields: FieldOptions,
}

/// Options of `carrier set`.
#[derive(clap::Args)]
pub(in crate::cli) struct SetArguments {
    /// Name of the carrier
    name: String,
    /// Credentials to ask for, such as auth_token
    #[arg(long, value_name = "FIELD", value_delimiter = ',')]
    ask: Vec<String>,
    #[command(flatten)]
    fields: FieldOptions,
}

/// What both have.
#[derive(clap::Args)]
struct FieldOptions {
    #[command(flatten)]
    target: TargetOptions,
    /// Put it before all other carriers
    #[arg(long)]
    first: bool,
    /// Read credentials from standard input, as a JSON object
    #[arg(long)]
    credentials: bool,
    /// Settings, such as `from=+15017122661` or `price=0.05`
    #[arg(value_name = "FIELD=VALUE", value_parser = assignment)]
    settings: Vec<Assignment>,
}

/// Options of `carrier remove`.
#[derive(clap::Args)]
pub(in crate::cli) struct RemoveArguments {
    /// Name of the carrier
    name: String,
    #[command(flatten)]
    target: TargetOptions,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Adds a carrier, as the last one unless `--first` is set.
pub(super) async fn add(arguments: AddArguments) -> Result<(), OperatorError> {
    let AddArguments { name, kind, fields } = arguments;
    let deployment = fields.target.open().await?;
    let mut configuration = Configuration::read(&deployment).await?.usable()?;
    let mut list = CarrierList::read(&deployment, &configuration)?;
    if list.position(&name).is_some() {
        let problem = format!("the carrier {name} exists; `carrier set` changes it");
        return Err(OperatorError::Refused(problem));
    }
    let entry = [
        ("kind".to_owned(), kind.into()),
        ("name".to_owned(), name.into()),
    ];
    let entry = fields.completed(&mut list, Map::from_iter(entry), &[])?;
    let position = if fields.first { 0 } else { list.entries.len() };
    list.entries.insert(position, entry);
    write(&fields.target, &deployment, &mut configuration, list, None).await
}

/// Changes settings, credentials or the position of a carrier.
pub(super) async fn set(arguments: SetArguments) -> Result<(), OperatorError> {
    let SetArguments { name, ask, fields } = arguments;
    let deployment = fields.target.open().await?;
    let mut configuration = Configuration::read(&deployment).await?.usable()?;
    let mut list = CarrierList::read(&deployment, &configuration)?;
    let position = list.existing(&name)?;
    let entry = list.entries.remove(position);
    let entry = fields.completed(&mut list, entry, &ask)?;
    let position = if fields.first { 0 } else { position };
    list.entries.insert(position, entry);
    write(&fields.target, &deployment, &mut configuration, list, None).await
}

/// Removes a carrier, then its credentials.
pub(super) async fn remove(arguments: RemoveArguments) -> Result<(), OperatorError> {
    let RemoveArguments {
        name,
        target,
        confirmation,
    } = arguments;
    let deployment = target.open().await?;
    let mut configuration = Configuration::read(&deployment).await?.usable()?;
    let mut list = CarrierList::read(&deployment, &configuration)?;
    let position = list.existing(&name)?;
    list.entries.remove(position);
    let mut left = list.credentials.clone();
    let confirmation = Some(&confirmation);
    write(&target, &deployment, &mut configuration, list, confirmation).await?;
    left.0.remove(&name);
    configuration.write_credentials(left).await
}

/// Writes the credentials, then the list.
async fn write(
    target: &TargetOptions,
    deployment: &Deployment,
    configuration: &mut Configuration<'_>,
    list: CarrierList,
    confirmation: Option<&Confirmation>,
) -> Result<(), OperatorError> {
    let mut document = configuration.document.clone();
    document.carriers = Some(list.to_json());
    // Nothing is written before all of it is known to be accepted.
    configuration.check(&document, &list.credentials)?;
    configuration.write_credentials(list.credentials).await?;
    let change = Change {
        target,
        deployment,
        configuration,
        document,
        confirmation,
    };
    change.write(Map::new()).await
}

impl FieldOptions {
    /// `entry` with the settings and credentials that are given, and those that its kind needs.
    fn completed(
        &self,
        list: &mut CarrierList,
        mut entry: Map<String, Value>,
        ask: &[String],
    ) -> Result<Map<String, Value>, OperatorError> {
        let name = name_of(&entry);
        if self.credentials {
            list.add_credentials(&name, prompt::credentials()?);
        }
        self.apply(list, &mut entry)?;
        for field in ask {
            if !is_credential(field) {
                let problem = format!("--ask: {field} is not a credential; use {field}=VALUE");
                return Err(OperatorError::Refused(problem));
            }
            let value = prompt::ask(field, "Its value is asked for.")?;
            list.add_credentials(&name, Map::from_iter([(field.clone(), value)]));
        }
        loop {
            let problems = list.problems(&entry)?;
            // A field that is asked for may be there under a mistyped name.
            let mut unknown = problems.iter();
            if let Some(FieldError { field, detail }) = unknown.find(|error| error.is_unknown()) {
                return Err(OperatorError::Refused(format!("{field}: {detail}")));
            }
            let mut missing = problems.into_iter();
            let Some(missing) = missing.find(|error| error.detail.starts_with("Is required"))
            else {
                return Ok(entry);
            };
            let value = prompt::ask(&missing.field, &missing.detail)?;
            let field = Map::from_iter([(missing.field.clone(), value)]);
            match is_credential(&missing.field) {
                true => list.add_credentials(&name, field),
                false => entry.extend(field),
            }
        }
    }

    /// A value that is a JSON document is read as one, unless the kind takes it as a text only.
    fn apply(
        &self,
        list: &CarrierList,
        entry: &mut Map<String, Value>,
    ) -> Result<(), OperatorError> {
        for Assignment { name, value } in &self.settings {
            let problem = match name.as_str() {
                name if FIXED.contains(&name) => "cannot be changed; add another carrier",
                name if is_credential(name) => {
                    "is a credential: it is asked for, or read with --credentials"
                }
                _ => "",
            };
            if !problem.is_empty() {
                return Err(OperatorError::Refused(format!("{name}: {problem}")));
            }
            match value.as_str() {
                "" => drop(entry.remove(name)),
                value => {
                    let json = serde_json::from_str(value).ok();
                    entry.insert(name.clone(), json.unwrap_or_else(|| value.into()));
                }
            }
        }
        let problems = list.problems(entry)?;
        let is_wrong = |name: &str| {
            problems
                .iter()
                .any(|FieldError { field, .. }| field == name)
        };
        for Assignment { name, value } in &self.settings {
            let is_json = value.starts_with(['{', '[']) && is_wrong(name);
            if let Some(advice) = json_advice(value).filter(|_| is_json) {
                return Err(OperatorError::Refused(format!("{name}: {advice}")));
            }
        }
        let texts = self.settings.iter().filter(|setting| {
            let is_text = entry.get(&setting.name).is_none_or(Value::is_string);
            !is_text && is_wrong(&setting.name)
        });
        let texts: Vec<&Assignment> = texts.collect();
        for Assignment { name, value } in texts {
            entry.insert(name.clone(), value.as_str().into());
        }
        Ok(())
    }
}
