//! Sends and checks beside more and more recipients in the table. The tables take turns call by
//! call, so that what else this machine does falls upon all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use hyper::body::Bytes;
use otp::crypto::hashes::sha256;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::{SAMPLES, WARM_UP};
use benches::home::Home;
use benches::table::{latencies, print, quantile, ratio};

/// Recipients in each table.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];
/// Items in one write, as DynamoDB takes them.
const BATCH: usize = 25;
/// Writes at a time.
const WRITERS: usize = 4;

/// Prints the table.
pub fn measure(caller: &Runtime, recipients_max: usize) {
    let sizes: Vec<usize> = SIZES
        .into_iter()
        .filter(|size| *size <= recipients_max)
        .collect();
    let homes: Vec<Arc<Home>> = sizes.iter().map(|_| Arc::new(Home::start(&[]))).collect();
    for (home, size) in homes.iter().zip(&sizes) {
        caller.block_on(fill(home, *size));
    }
    eprintln!("calls beside so many");
    let mut times: Vec<[Vec<Duration>; 2]> = sizes.iter().map(|_| [vec![], vec![]]).collect();
    for n in 0..WARM_UP + SAMPLES {
        // Each begins as often as any other: whoever comes after a rest is slower.
        for place in (0..sizes.len()).map(|turn| (turn + n) % sizes.len()) {
            let (sent, checked) = caller.block_on(round(&homes[place]));
            if n >= WARM_UP {
                times[place][0].push(sent);
                times[place][1].push(checked);
            }
        }
    }
    let rows = |column: usize, name: &'static str| {
        let (sizes, times) = (&sizes, &times);
        sizes.iter().zip(times).map(move |(size, of_size)| {
            let median = |times: &[Duration]| quantile(times, 0.5).as_secs_f64();
            let to_first = ratio(median(&of_size[column]), median(&times[0][column]));
            [
                vec![format!("{name}, {size} recipients")],
                latencies(&of_size[column]),
                vec![to_first],
            ]
            .concat()
        })
    };
    let rows: Vec<Vec<String>> = rows(0, "send").chain(rows(1, "check")).collect();
    let header = ["ms", "median", "90 %", "99 %", "median to the first"];
    print(
        &format!("Growth: one call at a time ({SAMPLES} rounds)"),
        &header,
        &rows,
    );
}

async fn round(home: &Home) -> (Duration, Duration) {
    let to = home.phone();
    let (id, sent) = home.send(&to).await;
    let code = home.code(&to).await;
    (sent, home.approve(&id, &code).await)
}

/// Writes copies of a real recipient under other keys, which are hashes as the real ones are.
async fn fill(home: &Arc<Home>, size: usize) {
    let (id, key) = real(home).await;
    let item = Arc::new((id, key));
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (home, item, next) = (home.clone(), item.clone(), next.clone());
        writers.spawn(async move {
            loop {
                let first = next.fetch_add(BATCH, Ordering::SeqCst);
                if first >= size {
                    return;
                }
                if first.is_multiple_of(50_000) {
                    eprintln!("recipients in the table: {first} of {size}");
                }
                let puts: Vec<Value> = (first..size.min(first + BATCH))
                    .map(|n| json!({"PutRequest": {"Item": copy(&item.0, item.1, n)}}))
                    .collect();
                let batch = json!({"RequestItems": {"otp": puts}});
                let answer = home
                    .table("BatchWriteItem", Bytes::from(batch.to_string()))
                    .await;
                assert_eq!(
                    (answer.status, &answer.body["UnprocessedItems"]),
                    (200, &json!({})),
                    "{}",
                    answer.body
                );
            }
        });
    }
    writers.join_all().await;
}

/// The item of a recipient who was approved, and the length of its key.
async fn real(home: &Home) -> (Value, usize) {
    round(home).await;
    let scan = json!({"TableName": "otp"}).to_string();
    let found = home.table("Scan", scan.into()).await.body;
    let items = found["Items"].as_array().expect("items");
    let item = items
        .iter()
        .find(|item| item.get("addr").is_some())
        .unwrap_or_else(|| panic!("no recipient in {found}"));
    let key = BASE64
        .decode(item["pk"]["B"].as_str().expect("a key").as_bytes())
        .expect("base64");
    (item.clone(), key.len())
}

fn copy(item: &Value, key_bytes: usize, n: usize) -> Value {
    let mut copy = item.clone();
    copy["pk"] = json!({"B": BASE64.encode(&sha256(&n.to_be_bytes())[..key_bytes])});
    copy
}
