//! What is wrong with a deployment, or could be better: the checks of `doctor`.
//!
//! Invariants: nothing is written. A check that cannot be made is a finding, and the others are
//! made.

mod finding;
mod keys;
mod network;
mod settings;

pub(crate) use self::finding::Finding;
use super::{Configuration, Deployment, OperatorError};

/// Makes all checks.
pub(crate) async fn diagnose(deployment: &Deployment) -> Vec<Finding> {
    let mut findings = network::clock(deployment).await;
    match Configuration::read(deployment).await {
        Ok(configuration) => of_configuration(deployment, &configuration, &mut findings),
        Err(OperatorError::Settings(problems)) => {
            let wrong = problems.into_iter();
            findings.extend(wrong.map(settings::wrong_setting));
        }
        Err(error) => findings.push(Finding::failed("table", &error)),
    }
    findings.extend(settings::variable_bytes(deployment));
    findings.extend(keys::seal_keys(deployment).await);
    findings.extend(network::public_url(deployment).await);
    findings.extend(network::alarm_subscribers(deployment).await);
    findings
}

fn of_configuration(
    deployment: &Deployment,
    configuration: &Configuration<'_>,
    findings: &mut Vec<Finding>,
) {
    for problem in &configuration.problems {
        let advice = "write a usable one with `config rollback` or `config apply`";
        findings.push(Finding::problem("document", problem, advice));
    }
    if let Some(problem) = &configuration.credentials_problem {
        let advice = "set those of one carrier again with `carrier set NAME --credentials`; with \
                      more carriers, `config rollback 0` and `carrier add`";
        findings.push(Finding::problem("document", problem, advice));
    }
    findings.extend(settings::settings(deployment, configuration));
    findings.extend(keys::api_keys(deployment, configuration));
    findings.extend(keys::document_seal(deployment, configuration));
}
