//! `cargo run`: the whole service on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use local::{BuiltFunctions, Options, Server, Wires};
use otp::platform::environment::variable;
use otp::platform::logging;

/// One-time passcodes on this machine: the real functions, an embedded table, a queue, and phones that you can see.
#[derive(Parser)]
#[command(name = "local")]
struct Arguments {
    /// Port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Directory in which everything is kept; without it everything is in memory
    #[arg(long)]
    data: Option<PathBuf>,
    /// Directory of the built functions, which run as processes under a Lambda Runtime API: DIR/NAME or DIR/NAME/bootstrap
    #[arg(long, value_name = "DIR")]
    functions: Option<PathBuf>,
    /// Processes per function, with --functions
    #[arg(long, default_value_t = 2, value_name = "N", requires = "functions")]
    processes: usize,
    /// URL of another DynamoDB, such as DynamoDB Local, in the place of the embedded engine
    #[arg(long, value_name = "URL", value_parser = http_url)]
    dynamodb: Option<String>,
}

/// The URL of another DynamoDB: no TLS on this machine.
fn http_url(url: &str) -> Result<String, &'static str> {
    let is_http = url.starts_with("http://") && otp::platform::url::is_base_url(url);
    is_http
        .then(|| url.to_owned())
        .ok_or("must be an http URL with a host, and without user, query and fragment")
}

#[tokio::main]
async fn main() -> ExitCode {
    // Before anything that takes time: whoever stops the start sees a clean end as well.
    let stopped = match told_to_stop() {
        Ok(stopped) => stopped,
        Err(error) => {
            eprintln!("signals cannot be heard: {error}");
            return ExitCode::FAILURE;
        }
    };
    let arguments = Arguments::parse();
    tokio::select! {
        code = serve(arguments) => code,
        () = stopped => ExitCode::SUCCESS,
    }
}

/// Starts the server, says where it is, and runs it.
async fn serve(arguments: Arguments) -> ExitCode {
    logging::init(logging::Format::Text);
    let functions = arguments.functions.map(|directory| BuiltFunctions {
        directory,
        processes: arguments.processes,
        moved_clock: None,
    });
    let options = Options {
        port: arguments.port,
        data: arguments.data,
        variables: Box::new(variable),
        wires: Wires::default(),
        functions,
        dynamodb: arguments.dynamodb,
    };
    let server = match Server::start(options).await {
        Ok(server) => server,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    println!("listening on http://{}", server.address);
    for (app, key) in &server.api_keys {
        println!("api key {app} {key}");
    }
    if let Some((_, key)) = server.api_keys.first() {
        let body = r#"{"to":"+12025550143"}"#;
        println!(
            "curl -s http://{}/v1/verifications -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'",
            server.address
        );
    }
    server.run().await;
    ExitCode::FAILURE
}

/// Ctrl-C or SIGTERM, heard from now on.
#[cfg(unix)]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupted, mut terminated) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
    );
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
fn told_to_stop() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without it there is nothing to wait for but the end.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
