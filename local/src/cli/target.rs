//! The options that name a deployment, common to the commands of operators.

use std::path::PathBuf;

use crate::operator::{Deployment, OperatorError, Target};

/// Which deployment, and in which form to print.
#[derive(clap::Args)]
#[group(skip)]
#[command(group = clap::ArgGroup::new("required_place").required(true)
    .args(["stack", "table", "url"]))]
pub(super) struct TargetOptions {
    #[command(flatten)]
    target: OptionalTarget,
    /// Print JSON for programs
    #[arg(long)]
    pub(super) json: bool,
}

/// Which deployment, if any.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct OptionalTarget {
    #[command(flatten)]
    place: Place,
    /// Name or ARN of the secret, with --table
    #[arg(long, value_name = "NAME", requires = "table")]
    secret: Option<String>,
    /// Data directory of the local server, with --url
    #[arg(long, value_name = "DIR", requires = "url")]
    data: Option<PathBuf>,
}

#[derive(clap::Args)]
#[group(multiple = false)]
struct Place {
    /// Name of a CloudFormation stack
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// Name or ARN of a table, with --secret
    #[arg(long, value_name = "NAME", requires = "secret")]
    table: Option<String>,
    /// URL of a local server, with --data
    #[arg(long, value_name = "URL", requires = "data", value_parser = local_url)]
    url: Option<String>,
}

fn local_url(url: &str) -> Result<String, &'static str> {
    let url = url.trim_end_matches('/');
    let is_http = url.starts_with("http://") && otp::platform::url::is_base_url(url);
    is_http
        .then(|| url.to_owned())
        .ok_or("must be the http URL of a local server")
}

impl TargetOptions {
    /// Opens the deployment, and prints on standard error which one it is and with which
    /// credentials.
    pub(super) async fn open(&self) -> Result<Deployment, OperatorError> {
        // The group of arguments requires one.
        let deployment = self.target.open().await?;
        deployment.ok_or(OperatorError::NoTarget)
    }
}

impl OptionalTarget {
    /// As [`TargetOptions::open`]; `None` if no target is named.
    pub(super) async fn open(&self) -> Result<Option<Deployment>, OperatorError> {
        let target = match (&self.place, &self.secret, &self.data) {
            (
                Place {
                    table: Some(table), ..
                },
                Some(secret),
                _,
            ) => Target::Table {
                table: table.clone(),
                secret: secret.clone(),
            },
            (Place { url: Some(url), .. }, _, Some(data)) => Target::Local {
                url: url.clone(),
                data: data.clone(),
            },
            (place, ..) => match &place.stack {
                Some(stack) => Target::Stack(stack.clone()),
                None => return Ok(None),
            },
        };
        let deployment = Deployment::open(target, |line| eprintln!("{line}")).await?;
        let mistyped = deployment.mistyped_variables();
        mistyped.iter().for_each(|line| eprintln!("{line}"));
        Ok(Some(deployment))
    }
}
