//! Limits over many recipients: client networks, prefixes, countries, the money of a day. Each lets its count through and
//! not one more, says truly when it ends, and takes nothing of the others.

mod conversion;
mod shares;
mod spend;
mod windows;

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, Service};

/// Numbers that differ in their last four digits only.
fn neighbour(n: u32) -> String {
    format!("+3361234{n:04}")
}

/// Numbers of another country, no two of them with one prefix.
fn american(n: u32) -> String {
    format!("+1202{:03}0143", 200 + n)
}

/// What happens to a send, in a word: `sent`, or the limit that refused it.
fn word(answer: &Answer) -> String {
    match answer.status {
        201 | 200 => "sent".to_owned(),
        429 => answer.body["limit"].as_str().unwrap_or_default().to_owned(),
        status => format!("{status}"),
    }
}

/// How often each word came.
fn words<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> BTreeMap<String, usize> {
    let mut words = BTreeMap::new();
    for answer in answers {
        *words.entry(word(answer)).or_default() += 1;
    }
    words
}

fn counts<const N: usize>(counts: [(&str, usize); N]) -> BTreeMap<String, usize> {
    counts
        .into_iter()
        .map(|(word, count)| (word.to_owned(), count))
        .collect()
}

/// Tests run side by side; their bursts do not, or the calls of one would time out behind those of another.
static BURST: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// All these sends, as many at once as two cores answer before the table's clients give up.
async fn at_once(service: &Service, bodies: impl IntoIterator<Item = Value>) -> Vec<Answer> {
    together(service, 25, bodies).await
}

/// All these sends, so many of them at a time.
async fn together(
    service: &Service,
    at_a_time: usize,
    bodies: impl IntoIterator<Item = Value>,
) -> Vec<Answer> {
    let _turn = BURST.lock().await;
    let (mut sends, mut answers) = (JoinSet::new(), vec![]);
    for body in bodies {
        if sends.len() == at_a_time {
            answers.extend(sends.join_next().await.transpose().expect("an answer"));
        }
        let service = service.clone();
        sends.spawn(async move { service.send_body(body).await });
    }
    answers.extend(sends.join_all().await);
    answers
}

/// A send from a client at this address.
async fn send_from(service: &Service, to: &str, client_ip: &str) -> Answer {
    service
        .send_body(json!({"to": to, "client_ip": client_ip}))
        .await
}

/// A directory of its own, which is removed with it.
struct Data(PathBuf);

impl Data {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!(
            "otp-limits-{}",
            HEXLOWER.encode(&otp::platform::random::random_bytes::<8>())
        )))
    }

    /// A service that keeps everything there.
    async fn start(&self, variables: &[(&str, &str)]) -> Service {
        Service::try_start(variables, Some(self.0.clone()))
            .await
            .expect("the service starts")
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
