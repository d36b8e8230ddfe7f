//! `lambda-otp serve`: runs the local server until Ctrl-C or SIGTERM.

use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use otp::platform::environment::variable;
use otp::platform::logging;

use crate::functions::BuiltFunctions;
use crate::listen::{Listen, local_url};
use crate::mistyped_variables::mistyped_variables;
use crate::preset::Preset;
use crate::proxy_urls::Wires;
use crate::server::{Options, Server};
use crate::template::Template;

/// Options of `serve`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Port on 127.0.0.1 and ::1; 0 picks a free one
    #[arg(long, default_value_t = 8080, value_name = "N")]
    pub(super) port: u16,
    /// Address to listen on instead, such as 0.0.0.0 in a container
    #[arg(long, value_name = "ADDR")]
    host: Option<IpAddr>,
    /// Name that is allowed in `Host`, beside those of this machine; may be repeated
    #[arg(long, value_name = "NAME", value_parser = host_name, value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Set of variables; a variable that is set explicitly has precedence
    #[arg(long)]
    preset: Option<Preset>,
    /// Directory for all data, created if missing; without it all data is in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Run the built functions, DIR/NAME or DIR/NAME/bootstrap, as processes under a Lambda Runtime
    /// API
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// Processes per function, with --functions
    #[arg(long, default_value_t = 2, value_name = "N", requires = "functions")]
    processes: usize,
    /// URL of another DynamoDB, such as DynamoDB Local, to use instead of the embedded engine
    #[arg(long, value_name = "URL", value_parser = http_url)]
    dynamodb: Option<String>,
}

/// The URL of another DynamoDB. TLS is not supported here.
fn http_url(url: &str) -> Result<String, &'static str> {
    let is_http = url.starts_with("http://") && otp::platform::url::is_base_url(url);
    is_http
        .then(|| url.to_owned())
        .ok_or("must be an http URL with a host, without user, query and fragment")
}

/// A name in `Host`, without a port.
fn host_name(name: &str) -> Result<String, &'static str> {
    if let Ok(address) = name.trim_matches(['[', ']']).parse::<Ipv6Addr>() {
        return Ok(format!("[{address}]"));
    }
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_name = !name.is_empty() && name.bytes().all(is_allowed);
    is_name
        .then(|| name.to_owned())
        .ok_or("must be a host name or an IP address, without scheme and port")
}

/// Runs the command; returns the exit code of the process.
pub(super) async fn run(arguments: Arguments) -> ExitCode {
    // Before the server starts, so that a signal during the start also ends the process with 0.
    let shutdown = match shutdown_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            eprintln!("cannot listen for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    tokio::select! {
        code = serve(arguments) => code,
        () = shutdown => ExitCode::SUCCESS,
    }
}

/// Starts the server, prints where it listens, and runs it.
async fn serve(arguments: Arguments) -> ExitCode {
    logging::init(logging::Format::Text);
    for line in Template::read().map_or(vec![], |template| mistyped_variables(&template)) {
        tracing::warn!("{line}");
    }
    let functions = arguments.functions.map(|directory| BuiltFunctions {
        directory,
        processes: arguments.processes,
        moved_clock: None,
    });
    let options = Options {
        listen: Listen {
            port: arguments.port,
            host: arguments.host,
            allowed_hosts: arguments.allow_host,
        },
        preset: arguments.preset,
        data: arguments.data,
        variables: Box::new(variable),
        wires: Wires::default(),
        functions,
        dynamodb: arguments.dynamodb,
    };
    let server = match Server::start(options).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    if arguments.host.is_some_and(|host| !host.is_loopback()) {
        tracing::warn!(
            address = server.address.to_string(),
            "other machines can reach this server: everyone who can reads every code and uses \
             every local endpoint, without a key"
        );
    }
    // The server is of use to other programs even if the reader of standard output is gone.
    let _ = std::io::stdout().write_all(greeting(&server).as_bytes());
    server.run().await;
    ExitCode::FAILURE
}

/// The lines that scripts read: the address, one line per API key, one line per app with its sids
/// in Twilio's dialect, then a curl line that works.
fn greeting(server: &Server) -> String {
    let mut lines = format!("listening on http://{}\n", server.address);
    for (app, key) in &server.api_keys {
        lines += &format!("api key {app} {key}\n");
    }
    for account in &server.accounts {
        let (app, account_sid, service_sid) =
            (&account.app, &account.account_sid, &account.service_sid);
        lines += &format!("twilio {app} {account_sid} {service_sid}\n");
    }
    if let Some((_, key)) = server.api_keys.first() {
        lines += &format!(
            "curl -s {}/v1/verifications -H 'Authorization: Bearer {key}' \
             -H 'Content-Type: application/json' -d '{{\"to\":\"+12025550143\"}}'\n",
            local_url(server.address)
        );
    }
    lines
}

/// Completes at Ctrl-C or SIGTERM. Signals count from the call of this function on.
#[cfg(unix)]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes at Ctrl-C.
#[cfg(not(unix))]
fn shutdown_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            // The signal cannot be received, so the server runs until the process is killed.
            std::future::pending::<()>().await;
        }
    })
}
