//! The command line of `lambda-otp`. A command is one file in this folder, one variant of
//! `Command` and one arm of `run`.
//!
//! Exit codes: 0 after Ctrl-C or SIGTERM, 1 for what cannot work (a port in use, an invalid
//! setting), 2 for wrong usage.

mod carrier;
mod decide;
mod serve;
mod twilio_check;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One-time passcodes on this machine: the functions, an embedded table, a queue, and simulated
/// phones.
#[derive(Parser)]
#[command(name = "lambda-otp", version, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    /// Options without a command are those of `serve`.
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service on this machine (the default command)
    Serve(serve::Arguments),
    /// Evaluate rules of decisions on one request, and explain the result
    Decide(decide::Arguments),
    /// Check a deployed stack with the requests of Twilio's SDKs
    TwilioCheck(twilio_check::Arguments),
    /// Try a carrier of `OTP_CARRIERS`
    #[command(subcommand)]
    Carrier(carrier::Command),
}

/// Parses the command line of this process and runs the command. Wrong usage ends the process.
pub async fn run() -> ExitCode {
    let CommandLine { command, serve } = CommandLine::parse();
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Decide(arguments) => decide::run(arguments),
        Command::TwilioCheck(arguments) => twilio_check::run(arguments).await,
        Command::Carrier(command) => carrier::run(command).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn port(arguments: &[&str]) -> Option<u16> {
        let line = CommandLine::try_parse_from([&["lambda-otp"], arguments].concat()).ok()?;
        match line.command.unwrap_or(Command::Serve(line.serve)) {
            Command::Serve(arguments) => Some(arguments.port),
            Command::Decide(_) => None,
            Command::TwilioCheck(_) => None,
            Command::Carrier(_) => None,
        }
    }

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn serve_is_the_default_command() {
        assert_eq!(port(&[]), Some(8080));
        assert_eq!(port(&["serve"]), Some(8080));
        assert_eq!(port(&["--port", "0"]), Some(0));
        assert_eq!(port(&["serve", "--port", "0"]), Some(0));
    }

    #[test]
    fn options_before_a_command_are_rejected() {
        assert_eq!(port(&["--port", "0", "serve"]), None);
        assert_eq!(port(&["other"]), None);
    }
}
