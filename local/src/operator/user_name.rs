//! The user of this machine, who is noted as the author of a change on a local server.

use std::process::Command;

use otp::platform::environment::variable;

/// The name in the environment, or else what `id` says about this process.
pub(super) fn user_name() -> String {
    let set = ["USER", "LOGNAME", "USERNAME"].into_iter();
    let mut set = set
        .filter_map(variable)
        .filter(|name| !name.trim().is_empty());
    set.next()
        .or_else(|| id("-un"))
        .or_else(|| id("-u").map(|number| format!("user {number}")))
        .unwrap_or_else(|| "unknown user".to_owned())
}

/// What `id` prints; `None` if it fails, as `-un` does for a number without a name.
fn id(option: &str) -> Option<String> {
    let output = Command::new("id").arg(option).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !name.is_empty()).then_some(name)
}
