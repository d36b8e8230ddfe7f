//! Runs published attacks on one-time passcodes against the local server. Prints a table in
//! Markdown: the attack, what was tried, what the service answered, and the bound that held. The
//! table is a part of `docs/security.md`.
//!
//! Ends with an error if a bound does not hold, or if `docs/security.md` has another table.
//! Arguments that do not start with `-` select attacks by their names, as for other tests.
#![allow(
    missing_docs,
    clippy::expect_used,
    reason = "an attack ends at the first value that it did not expect"
)]

mod attack;
mod callbacks;
mod codes;
mod guessing;
mod input;
mod recipients;
mod sends;

use std::process::ExitCode;

use attack::{Attack, table};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// As many as the two cores of a small machine serve without time-outs.
const AT_ONCE_MAX: usize = 2;
const PAGE: &str = include_str!("../../docs/security.md");

fn attacks() -> Vec<&'static Attack> {
    [
        guessing::ATTACKS,
        codes::ATTACKS,
        recipients::ATTACKS,
        sends::ATTACKS,
        callbacks::ATTACKS,
        input::ATTACKS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[tokio::main(worker_threads = 4)]
async fn main() -> ExitCode {
    let (flags, names): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with('-'));
    let is_selected = |attack: &&Attack| {
        names.is_empty() || names.iter().any(|name| attack.full_name().contains(name))
    };
    let selected: Vec<_> = attacks().into_iter().filter(is_selected).collect();
    if flags.iter().any(|flag| flag == "--list") {
        selected
            .iter()
            .for_each(|attack| println!("{}: test", attack.full_name()));
        return ExitCode::SUCCESS;
    }
    let answers = run(&selected).await;
    let table = table(&selected, &answers);
    println!("{table}");
    let broken = answers.iter().filter(|answer| answer.is_err()).count();
    if broken > 0 {
        eprintln!("{broken} of {} bounds do not hold", selected.len());
        return ExitCode::FAILURE;
    }
    if names.is_empty() && !PAGE.contains(&table) {
        eprintln!("docs/security.md has another table: replace it by the one above");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What the service answered to each, or why its bound does not hold.
async fn run(selected: &[&'static Attack]) -> Vec<Result<String, String>> {
    let mut answers: Vec<_> = selected.iter().map(|_| Err("not run".to_owned())).collect();
    let (mut running, mut next) = (JoinSet::new(), selected.iter().enumerate());
    loop {
        while running.len() < AT_ONCE_MAX
            && let Some((n, attack)) = next.next()
        {
            let (attack, attempt) = (*attack, tokio::spawn((attack.run)()));
            running.spawn(async move {
                let started = Instant::now();
                let answer = attempt.await;
                eprintln!("{} ({:.1?})", attack.full_name(), started.elapsed());
                (n, answer)
            });
        }
        let Some(ended) = running.join_next().await else {
            return answers;
        };
        let (n, answer) = ended.expect("it only waits");
        answers[n] = answer.map_err(|error| match error.try_into_panic() {
            Ok(panic) => message(panic.as_ref()),
            Err(error) => error.to_string(),
        });
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without a message".to_owned())
}
