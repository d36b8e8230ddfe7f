//! `lambda-otp completions`: prints what a shell needs to complete commands and options, or the
//! manual page.

use std::io;

use clap::ValueEnum;
use clap_complete::{Generator, Shell};
use clap_mangen::Man;

/// What to print.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell, or `man` for the manual page
    #[arg(value_name = "SHELL")]
    output: Output,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Bash,
    Elvish,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
    Zsh,
    /// The manual page, with a section for each command
    Man,
}

/// Prints the completions of `command`, or its manual page.
///
/// # Errors
/// Standard output cannot be written. A reader that has closed it has what it needs.
pub(super) fn run(arguments: &Arguments, command: clap::Command) -> io::Result<()> {
    match print(arguments, command) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn print(arguments: &Arguments, mut command: clap::Command) -> io::Result<()> {
    let shell = match arguments.output {
        Output::Bash => Shell::Bash,
        Output::Elvish => Shell::Elvish,
        Output::Fish => Shell::Fish,
        Output::PowerShell => Shell::PowerShell,
        Output::Zsh => Shell::Zsh,
        Output::Man => return manual(command),
    };
    let name = command.get_name().to_owned();
    command.set_bin_name(name);
    command.build();
    shell.try_generate(&command, &mut io::stdout())
}

/// One page after another: the program, then each command with its options.
fn manual(mut command: clap::Command) -> io::Result<()> {
    command.build();
    pages(&command, &mut io::stdout())
}

fn pages(command: &clap::Command, output: &mut impl io::Write) -> io::Result<()> {
    Man::new(command.clone()).render(output)?;
    for subcommand in command.get_subcommands() {
        if subcommand.get_name() != "help" {
            pages(subcommand, output)?;
        }
    }
    Ok(())
}
