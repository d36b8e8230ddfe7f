//! A file that the operator changes in an editor: `VISUAL`, or else `EDITOR`.
//!
//! Invariant: other users of this machine cannot read the file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::Command;

use data_encoding::HEXLOWER;
use otp::platform::environment::variable;
use otp::platform::random::random_bytes;

use crate::operator::OperatorError;

/// A file with a document.
pub(super) struct EditedFile(PathBuf);

impl EditedFile {
    /// A new file with this text.
    pub(super) fn create(text: &str) -> Result<Self, OperatorError> {
        let name = format!("lambda-otp-{}.json", HEXLOWER.encode(&random_bytes::<8>()));
        let directory = ["TMPDIR", "TEMP"].into_iter().find_map(variable);
        let directory = directory.unwrap_or_else(|| "/tmp".to_owned());
        let path = PathBuf::from(directory).join(name);
        let written = new_file(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        let file = Self(path);
        written.map_err(|error| file.failed(error))?;
        Ok(file)
    }

    /// Runs the editor; returns the text that it leaves.
    pub(super) fn edit(&self) -> Result<String, OperatorError> {
        let variables = ["VISUAL", "EDITOR"].into_iter();
        let mut values = variables.filter_map(variable);
        let editor = values.find(|editor| !editor.trim().is_empty());
        if editor.is_none() && !io::stdin().is_terminal() {
            self.delete();
            let problem = "nothing was changed: without a terminal, set EDITOR, or use `config \
                           export` and `config apply`";
            return Err(OperatorError::Refused(problem.to_owned()));
        }
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // Like other programs, with the arguments that the variable may contain.
        let mut words = editor.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or("vi"));
        let status = command.args(words).arg(&self.0).status();
        let status = status.map_err(|error| OperatorError::File(editor.clone(), error))?;
        if !status.success() {
            self.delete();
            let problem = format!("nothing was changed: {editor} has failed");
            return Err(OperatorError::Refused(problem));
        }
        fs::read_to_string(&self.0).map_err(|error| self.failed(error))
    }

    /// Says where the text is.
    pub(super) fn keep(&self) {
        eprintln!("your text is in {}", self.0.display());
    }

    /// Deletes the file.
    pub(super) fn delete(&self) {
        // A file that stays contains no secret.
        let _ = fs::remove_file(&self.0);
    }

    fn failed(&self, error: io::Error) -> OperatorError {
        OperatorError::File(self.0.display().to_string(), error)
    }
}

fn new_file(path: &PathBuf) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
