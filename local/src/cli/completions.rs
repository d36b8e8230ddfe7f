//! `lambda-otp completions`: prints what a shell needs to complete commands and options.

use clap_complete::Shell;

/// The shell.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the completions of `command`.
pub(super) fn run(arguments: &Arguments, mut command: clap::Command) {
    let name = command.get_name().to_owned();
    let mut output = std::io::stdout();
    clap_complete::generate(arguments.shell, &mut command, name, &mut output);
}
