//! The built functions on disk.

use std::path::PathBuf;

use otp::platform::environment::LAMBDA_BYTES_MAX;

use crate::simulated_clock::MovedClock;
use crate::template::Template;

/// The functions as built, which run as processes.
pub struct BuiltFunctions {
    /// Their directory: `DIR/send` as cargo builds it, `DIR/send/bootstrap` as `cargo lambda build`
    /// does, or `DIR/SendFunction/bootstrap` as `sam build` does.
    pub directory: PathBuf,
    /// Most processes per function.
    pub processes: usize,
    /// Moves the clock of the processes. Without it the processes, and the server, have real time.
    pub moved_clock: Option<MovedClock>,
}

/// Why the built functions cannot run.
#[derive(Debug, thiserror::Error)]
pub enum BuiltFunctionsError {
    /// A function was not built.
    #[error("--functions: {} does not exist", .0.display())]
    NotFound(PathBuf),
    /// Lambda would reject the variables.
    #[error(
        "--functions: the variables of {function} have {bytes} bytes, the largest of them is \
         {largest}; Lambda allows {LAMBDA_BYTES_MAX} bytes per function"
    )]
    TooManyBytes {
        /// Its name.
        function: &'static str,
        /// As Lambda counts them.
        bytes: usize,
        /// Name of the largest variable.
        largest: String,
    },
    /// `OTP_SECRETS` is not JSON.
    #[error("OTP_SECRETS: must be a JSON object")]
    Secrets(#[source] serde_json::Error),
}

impl BuiltFunctions {
    /// The path of the program of the function called `name`.
    ///
    /// # Errors
    /// [`BuiltFunctionsError::NotFound`] if there is none.
    pub fn program(&self, name: &str) -> Result<PathBuf, BuiltFunctionsError> {
        let resource = Template::FUNCTIONS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or(name, |(_, resource)| resource);
        let own = self.directory.join(name);
        let candidates = [
            own.join("bootstrap"),
            self.directory.join(resource).join("bootstrap"),
            own.clone(),
        ];
        let found = candidates.into_iter().find(|path| path.is_file());
        found.ok_or(BuiltFunctionsError::NotFound(own))
    }
}
