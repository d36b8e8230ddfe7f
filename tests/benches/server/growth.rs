//! Sends and checks with tables of different sizes. The servers take turns request by request, so
//! that other work on this machine affects them equally.

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
use benches::local_server::LocalServer;
use benches::table::{latencies, print, quantile, ratio};

/// Recipients in each table.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];
/// Items in one write: the most that DynamoDB accepts.
const BATCH: usize = 25;
/// Concurrent writes.
const WRITERS: usize = 4;

/// Prints the table.
pub fn measure(caller: &Runtime, recipients_max: usize) {
    let sizes: Vec<usize> = SIZES
        .into_iter()
        .filter(|size| *size <= recipients_max)
        .collect();
    let servers: Vec<Arc<LocalServer>> = sizes
        .iter()
        .map(|_| Arc::new(LocalServer::start(&[])))
        .collect();
    for (server, size) in servers.iter().zip(&sizes) {
        caller.block_on(fill(server, *size));
    }
    eprintln!("requests with all tables");
    let mut times: Vec<[Vec<Duration>; 2]> = sizes.iter().map(|_| [vec![], vec![]]).collect();
    for n in 0..WARM_UP + SAMPLES {
        // Each server is first equally often: the first request after a pause is slower.
        for place in (0..sizes.len()).map(|turn| (turn + n) % sizes.len()) {
            let (sent, checked) = caller.block_on(round(&servers[place]));
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
    let header = ["ms", "median", "90 %", "99 %", "median / first median"];
    print(
        &format!("Growth: one request at a time ({SAMPLES} rounds)"),
        &header,
        &rows,
    );
}

async fn round(server: &LocalServer) -> (Duration, Duration) {
    let to = server.phone();
    let (id, sent) = server.send(&to).await;
    let code = server.code(&to).await;
    (sent, server.approve(&id, &code).await)
}

/// Writes copies of a real recipient with other keys, which are hashes like the real ones.
async fn fill(server: &Arc<LocalServer>, size: usize) {
    let (id, key) = approved_recipient(server).await;
    let item = Arc::new((id, key));
    let next = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (server, item, next) = (server.clone(), item.clone(), next.clone());
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
                let response = server
                    .table("BatchWriteItem", Bytes::from(batch.to_string()))
                    .await;
                assert_eq!(
                    (response.status, &response.body["UnprocessedItems"]),
                    (200, &json!({})),
                    "{}",
                    response.body
                );
            }
        });
    }
    writers.join_all().await;
}

/// The item of a recipient with an approved verification, and the length of its key.
async fn approved_recipient(server: &LocalServer) -> (Value, usize) {
    round(server).await;
    let scan = json!({"TableName": "otp"}).to_string();
    let found = server.table("Scan", scan.into()).await.body;
    let items = found["Items"].as_array().expect("items");
    let item = items
        .iter()
        .find(|item| item.get("sealed_address").is_some())
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
