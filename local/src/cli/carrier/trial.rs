//! `lambda-otp carrier test`: sends one real message through a carrier, and prints what goes over
//! the wire.

use std::process::ExitCode;
use std::time::Duration;

use otp::domain::channel::Channel;
use otp::domain::device::Device;
use otp::platform::environment::variable;

use crate::carrier_test::{self, CarrierTestError, Message, Source};
use crate::cli::app::unknown;
use crate::cli::exit::failure;
use crate::cli::target::OptionalTarget;
use crate::operator::{Configuration, Deployment, known_apps};

/// Port to which a tunnel leads, unless an option names another one.
const PORT: u16 = 8080;

/// Options of `carrier test`.
#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Name of the carrier
    #[arg(required_unless_present = "carrier")]
    name: Option<String>,
    /// The same as NAME
    #[arg(long, value_name = "NAME", conflicts_with = "name")]
    carrier: Option<String>,
    /// Where the carrier is configured; without it, in the variables of this process
    #[command(flatten)]
    target: OptionalTarget,
    /// Phone number in E.164, or e-mail address
    #[arg(long, value_name = "ADDRESS")]
    to: String,
    /// sms, voice, whatsapp, email or push
    #[arg(long, default_value = "sms", value_parser = channel)]
    channel: Channel,
    /// Language of the text; that of the number's country if missing
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// Device of a notification, for channel push
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    push_to: Option<Device>,
    /// App whose name and texts are used
    #[arg(long, default_value = "default")]
    app: String,
    /// Port on 127.0.0.1 for reports, to which OTP_PUBLIC_URL leads: 8080, or a free one for a
    /// local server and without OTP_PUBLIC_URL. 0 picks a free one
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// How long to wait for reports
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u16,
}

fn channel(name: &str) -> Result<Channel, &'static str> {
    let words = "must be sms, voice, whatsapp, email or push";
    name.parse().map_err(|_| words)
}

fn device(text: &str) -> Result<Device, &'static str> {
    Device::parse(text).ok_or("must be 1 to 2048 characters, no control characters")
}

/// Runs the command; returns the exit code of the process: 0 if the carrier accepted the message.
pub(super) async fn run(arguments: Arguments) -> ExitCode {
    match send(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => failure(&error),
    }
}

async fn send(arguments: Arguments) -> Result<bool, CarrierTestError> {
    let message = Message {
        carrier: arguments.name.or(arguments.carrier).unwrap_or_default(),
        to: arguments.to,
        channel: arguments.channel,
        locale: arguments.locale,
        device: arguments.push_to,
        app: arguments.app,
    };
    let wait = Duration::from_secs(arguments.wait.into());
    let deployment = arguments.target.open().await?;
    // A local server has its own port, and may be the one whose URL is in the variable.
    let is_local = deployment.as_ref().is_some_and(Deployment::is_local);
    let has_tunnel = variable("OTP_PUBLIC_URL").is_some_and(|url| !url.is_empty());
    let default_port = if has_tunnel && !is_local { PORT } else { 0 };
    let port = arguments.port.unwrap_or(default_port);
    let Some(deployment) = deployment else {
        let source = Source::Variables(&variable);
        return carrier_test::run(&message, port, wait, source).await;
    };
    let configuration = Configuration::read(&deployment).await?.usable()?;
    let apps = known_apps(&deployment, &configuration.document);
    if !apps.contains_key(&message.app) {
        return Err(unknown(&message.app, &apps).into());
    }
    let source = Source::Deployment(&deployment, &configuration);
    carrier_test::run(&message, port, wait, source).await
}
