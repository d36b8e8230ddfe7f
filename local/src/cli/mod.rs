//! The command line of `lambda-otp`. A command is one file in this folder, one variant of
//! `Command` and one arm of `run`.
//!
//! Exit codes: 0 when the work is done and after Ctrl-C or SIGTERM, 1 for what cannot work (a port
//! in use, an invalid setting) or was refused, 2 for wrong usage.

mod app;
mod carrier;
mod change;
mod completions;
mod config;
mod confirm;
mod dead_letters;
mod decide;
mod doctor;
mod exit;
mod key;
mod openapi;
mod output;
mod prompt;
mod recipient;
mod reseal;
mod seal_key;
mod serve;
mod target;
mod twilio_check;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use exit::{exit_code, failure};

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
    /// Apps and their settings
    #[command(subcommand)]
    App(app::Command),
    /// API keys of apps
    #[command(subcommand)]
    Key(key::Command),
    /// Carriers in order of preference
    #[command(subcommand)]
    Carrier(carrier::Command),
    /// The configuration document: apps, keys, carriers, test numbers, rules
    #[command(subcommand)]
    Config(config::Command),
    /// Support desk: look up, unlock or forget a recipient
    #[command(subcommand)]
    Recipient(recipient::Command),
    /// Dispatches that failed three times
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Seal again, under the current key, what is sealed under an older one
    Reseal(reseal::Arguments),
    /// Keys that seal what the table holds
    #[command(subcommand)]
    SealKey(seal_key::Command),
    /// Check a deployment, and print what to do
    Doctor(doctor::Arguments),
    /// Print the API document (OpenAPI 3.1)
    Openapi(openapi::Arguments),
    /// Print the completions of a shell, or the manual page
    Completions(completions::Arguments),
}

/// The commands with their options, to compare them with the documentation.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Parses the command line of this process and runs the command. Wrong usage ends the process.
pub async fn run() -> ExitCode {
    let CommandLine { command, serve } = CommandLine::parse();
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(arguments) => serve::run(arguments).await,
        Command::Decide(arguments) => decide::run(arguments),
        Command::TwilioCheck(arguments) => twilio_check::run(arguments).await,
        Command::App(command) => exit_code(app::run(command).await),
        Command::Key(command) => exit_code(key::run(command).await),
        Command::Carrier(command) => carrier::run(command).await,
        Command::Config(command) => exit_code(config::run(command).await),
        Command::Recipient(command) => exit_code(recipient::run(command).await),
        Command::DeadLetters(command) => exit_code(dead_letters::run(command).await),
        Command::Reseal(arguments) => exit_code(reseal::run(arguments).await),
        Command::SealKey(command) => exit_code(seal_key::run(command).await),
        Command::Doctor(arguments) => exit_code(doctor::run(arguments).await),
        Command::Openapi(arguments) => exit_code(openapi::run(&arguments)),
        Command::Completions(arguments) => {
            match completions::run(&arguments, CommandLine::command()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failure(&error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(arguments: &[&str]) -> Option<u16> {
        let line = CommandLine::try_parse_from([&["lambda-otp"], arguments].concat()).ok()?;
        match line.command.unwrap_or(Command::Serve(line.serve)) {
            Command::Serve(arguments) => Some(arguments.port),
            Command::Decide(_)
            | Command::TwilioCheck(_)
            | Command::App(_)
            | Command::Key(_)
            | Command::Carrier(_)
            | Command::Config(_)
            | Command::Recipient(_)
            | Command::DeadLetters(_)
            | Command::Reseal(_)
            | Command::SealKey(_)
            | Command::Doctor(_)
            | Command::Openapi(_)
            | Command::Completions(_) => None,
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
