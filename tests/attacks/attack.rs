//! An attack, the table of all attacks, and assertions that several attacks share.

use std::fmt::Write as _;
use std::pin::Pin;

use support::{Service, TestResponse, at_once};

/// One row of the table.
pub struct Attack {
    /// Selects it on the command line, after `attacks::`.
    pub name: &'static str,
    /// Where it was published, or the kind of fault.
    pub published: &'static str,
    /// What is tried here.
    pub tried: &'static str,
    /// What must hold.
    pub bound: &'static str,
    /// Runs the attack and returns what the service answered. Panics if the bound does not hold.
    pub run: fn() -> Running,
}

pub type Running = Pin<Box<dyn Future<Output = String> + Send>>;

impl Attack {
    pub fn full_name(&self) -> String {
        format!("attacks::{}", self.name)
    }
}

/// All attacks with the answers to them, in Markdown.
pub fn table(attacks: &[&Attack], answers: &[Result<String, String>]) -> String {
    let mut table =
        "| published attack | what was tried | what the service answered | bound |\n|---|---|---|---|\n".to_owned();
    for (attack, answer) in attacks.iter().zip(answers) {
        let answer = match answer {
            Ok(answer) => answer.clone(),
            Err(message) => format!("**does not hold**: {}", message.replace('\n', " ")),
        };
        let Attack {
            published,
            tried,
            bound,
            ..
        } = attack;
        let _ = writeln!(table, "| {published} | {tried} | {answer} | {bound} |");
    }
    table
}

/// The responses to `count` checks of one code at once.
pub async fn checks_at_once(
    service: &Service,
    count: usize,
    id: &str,
    code: &str,
) -> Vec<TestResponse> {
    at_once(count, |_| {
        let (service, id, code) = (service.clone(), id.to_owned(), code.to_owned());
        async move { service.check(&id, &code).await }
    })
    .await
}

/// How many checks were carried out and ended with `reason`; an empty one is a success.
pub fn count(responses: &[TestResponse], reason: &str) -> usize {
    let carried_out = responses.iter().filter(|response| response.status == 200);
    let results = carried_out.map(TestResponse::check_result);
    results.filter(|result| result.reason == reason).count()
}

/// The seconds in `Retry-After`.
pub fn retry_after(response: &TestResponse) -> i64 {
    let seconds = response
        .header("retry-after")
        .and_then(|value| value.parse().ok());
    seconds.unwrap_or_else(|| panic!("no Retry-After in {response:?}"))
}

/// The stored items, the queue and the dead letters, once all due work is done.
pub async fn stored_state(service: &Service) -> String {
    service.settle().await;
    let state = service.state().await;
    [&state["table"], &state["queue"], &state["dead_letters"]]
        .map(ToString::to_string)
        .concat()
}
