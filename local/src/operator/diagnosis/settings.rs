//! Settings: those that functions refuse, and those that are allowed and cost money or messages.

use otp::config::Apps;
use otp::platform::environment::LAMBDA_BYTES_MAX;

use super::finding::Finding;
use crate::functions::most_bytes;
use crate::operator::{Configuration, Deployment};
use crate::settings::Settings;

/// Of [`LAMBDA_BYTES_MAX`], above which there is little room for another setting.
const BYTES_PERCENT: usize = 80;

/// What the functions refuse, or else what could be better.
pub(super) fn settings(deployment: &Deployment, configuration: &Configuration<'_>) -> Vec<Finding> {
    let variable = |name: &str| deployment.variable(name);
    let settings = match Settings::read_with(&variable, configuration.stored()) {
        Ok(settings) => settings,
        Err(problems) => return problems.into_iter().map(wrong_setting).collect(),
    };
    let mut findings = countries(&settings.send.apps);
    for carrier in &settings.carrier_worker.carriers {
        let policies = settings.send.apps.all().map(|(_, policy)| policy);
        for warning in carrier.sender_warnings(policies) {
            let finding = format!("carrier {}: {warning}", carrier.name);
            let advice = "see docs/carriers.md, Senders; `carrier set` changes the settings";
            findings.push(Finding::advice("senders", finding, advice));
        }
    }
    findings.extend(settings.warnings().into_iter().map(|warning| {
        let advice = "change the setting unless you need it";
        Finding::advice("settings", warning, advice)
    }));
    findings
}

/// A line of a function's configuration.
pub(super) fn wrong_setting(problem: String) -> Finding {
    let advice = "no function starts with this: `config edit` changes the document, the parameters \
                  of the stack change variables";
    match problem.contains("limits nothing") {
        true => Finding::problem(
            "prices",
            problem,
            "set `price` for each carrier: `carrier set`",
        ),
        false => Finding::problem("settings", problem, advice),
    }
}

fn countries(apps: &Apps) -> Vec<Finding> {
    let open = apps.all();
    let open = open.filter(|(_, policy)| policy.allowed_countries.is_empty());
    let names: Vec<&str> = open.map(|(app, _)| app.unwrap_or("all others")).collect();
    if names.is_empty() {
        return vec![];
    }
    let finding = format!("messages go to every country: {}", names.join(", "));
    let advice = "set `allowed_countries` to those of your customers: OtpAllowedCountries, or \
                  `app set`";
    vec![Finding::advice("countries", finding, advice)]
}

/// The variables of the function that has the most.
pub(super) fn variable_bytes(deployment: &Deployment) -> Option<Finding> {
    let variable = |name: &str| deployment.variable(name);
    let (function, bytes) = most_bytes(&deployment.template, variable);
    if bytes * 100 <= LAMBDA_BYTES_MAX * BYTES_PERCENT {
        return None;
    }
    let finding = format!("{function} has {bytes} of {LAMBDA_BYTES_MAX} bytes of variables");
    let advice = "move apps and carriers into the document: `app create`, `carrier add`";
    Some(match bytes > LAMBDA_BYTES_MAX {
        true => Finding::problem("variables", finding, advice),
        false => Finding::advice("variables", finding, advice),
    })
}
