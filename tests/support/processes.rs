//! The processes of functions: a test kills, stops and continues them.

use std::path::Path;
use std::process::Stdio;

use local::BuiltFunctions;
use tokio::process::Command;

/// A part of the environment that only the processes of these functions have.
pub fn mark_of(functions: &BuiltFunctions) -> String {
    let clock = functions.moved_clock.as_ref().expect("a clock");
    clock.offset_file.display().to_string()
}

/// The ids of the processes whose environment matches.
pub fn processes(matches: impl Fn(&str) -> bool) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    let environment = |path: &Path| {
        std::fs::read(path.join("environ"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let found = entries
        .filter(|entry| environment(&entry.path()).is_ok_and(|environment| matches(&environment)));
    found
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
        .collect()
}

/// Sends a signal, such as `KILL`, to processes; returns how many.
pub async fn signal(name: &str, ids: &[String]) -> usize {
    if !ids.is_empty() {
        // A process may have ended meanwhile.
        let _ = Command::new("kill")
            .arg(format!("-{name}"))
            .args(ids)
            .stderr(Stdio::null())
            .status()
            .await
            .expect("kill runs");
    }
    ids.len()
}

/// The processes of the functions of one service.
pub struct FunctionProcesses {
    mark: String,
}

impl FunctionProcesses {
    pub fn of(functions: &BuiltFunctions) -> Self {
        Self {
            mark: mark_of(functions),
        }
    }

    /// The ids of the processes of the function called `function`.
    pub fn ids(&self, function: &str) -> Vec<String> {
        let name = format!("AWS_LAMBDA_FUNCTION_NAME={function}\0");
        processes(|environment| environment.contains(&self.mark) && environment.contains(&name))
    }

    /// Sends a signal to all processes of `function`, of which there is one at least.
    pub async fn signal(&self, name: &str, function: &str) {
        let ids = self.ids(function);
        assert!(signal(name, &ids).await > 0, "no process of {function}");
    }
}
