//! The options that name a deployment, common to the commands of operators.

use std::path::PathBuf;

use crate::operator::{Deployment, OperatorError, Target};

/// Which deployment, and in which form to print.
#[derive(clap::Args)]
pub(super) struct TargetOptions {
    #[command(flatten)]
    place: Place,
    /// Name or ARN of the secret, with --table
    #[arg(long, value_name = "NAME", requires = "table")]
    secret: Option<String>,
    /// Data directory of the local server, with --url
    #[arg(long, value_name = "DIR", requires = "url")]
    data: Option<PathBuf>,
    /// Print JSON for programs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
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
            // One of the three is required.
            (place, ..) => Target::Stack(place.stack.clone().unwrap_or_default()),
        };
        let deployment = Deployment::open(target).await?;
        eprintln!("{}", deployment.description);
        Ok(deployment)
    }
}
