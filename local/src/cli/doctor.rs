//! `lambda-otp doctor`: checks a deployment, and prints what to do.

use serde_json::{Value, json};

use super::output;
use super::target::TargetOptions;
use crate::operator::{Finding, OperatorError, diagnose, shown};

/// Options of `doctor`.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: TargetOptions,
}

/// Prints all findings; fails if one of them is a problem.
pub(super) async fn run(arguments: Arguments) -> Result<(), OperatorError> {
    let deployment = arguments.target.open().await?;
    let findings = diagnose(&deployment).await;
    if arguments.target.json {
        let findings: Vec<Value> = findings.iter().map(Finding::to_json).collect();
        output::json(&json!({"findings": findings}));
    } else {
        findings.iter().for_each(print);
    }
    let problems = findings.iter().filter(|finding| finding.is_problem);
    match problems.count() {
        0 if findings.is_empty() && !arguments.target.json => {
            output::line("no finding");
            Ok(())
        }
        0 => Ok(()),
        count => Err(OperatorError::Problems(count)),
    }
}

fn print(finding: &Finding) {
    let level = if finding.is_problem {
        "problem"
    } else {
        "advice"
    };
    let text = shown(&finding.finding);
    output::line(&format!("{level}  {}: {text}", finding.check));
    output::line(&format!("         {}", finding.advice));
}
