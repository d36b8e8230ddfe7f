//! Configuration error: everything that keeps a function from starting.

use std::fmt;

/// Why a function does not start: one line for each problem.
#[derive(Debug)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl ConfigError {
    /// Prints the problems on standard error and ends the process.
    pub fn exit(self) -> ! {
        eprintln!("{self}");
        std::process::exit(1);
    }
}
