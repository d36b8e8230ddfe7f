//! The local server as a process: its command line, what it prints, how it ends, and what outlives it. The binary is the
//! one that `cargo run` starts, under another name.

mod data;

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::delivery::phone;
use crate::harness::{Answer, Service, other_than};
use crate::listener::Listener;

const TO: &str = "+12025550143";
const OFTEN: [(&str, &str); 2] = [
    ("OTP_COOLDOWN_SECONDS", "0"),
    ("OTP_PREFIX_SENDS", "1000/600"),
];

fn command(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local-under-test"));
    command
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs it to an end that it should find by itself.
async fn ended(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(arguments, variables)
        .output()
        .await
        .expect("it ran")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A process that listens.
struct Process {
    child: Child,
    service: Service,
    /// What it printed, up to and with the curl line.
    lines: Vec<String>,
}

impl Process {
    async fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = command(&[&["--port", "0"], arguments].concat(), variables)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut lines = vec![];
        while let Some(line) = out.next_line().await.expect("a line") {
            let is_last = line.starts_with("curl ");
            lines.push(line);
            if is_last {
                break;
            }
        }
        let base = lines
            .first()
            .and_then(|line| line.strip_prefix("listening on "))
            .unwrap_or_else(|| panic!("{lines:?}"));
        Self {
            service: Service::at(base),
            child,
            lines,
        }
    }

    /// App and key, as printed.
    fn keys(&self) -> Vec<(String, String)> {
        let keys = self
            .lines
            .iter()
            .filter_map(|line| line.strip_prefix("api key ")?.split_once(' '));
        keys.map(|(app, key)| (app.to_owned(), key.to_owned()))
            .collect()
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.service
            .call_as(&self.keys()[0].1, method, path, body, &[])
            .await
    }

    /// Ends it with `signal`; returns its exit code.
    async fn end(mut self, signal: &str) -> Option<i32> {
        ended_by(signal, &mut self.child).await
    }
}

/// Ends `child` with `signal`; returns its exit code.
async fn ended_by(signal: &str, child: &mut Child) -> Option<i32> {
    let id = child.id().expect("it runs").to_string();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {id}")])
        .status()
        .await
        .expect("a shell");
    assert!(sent.success());
    child.wait().await.expect("it ended").code()
}

/// A directory of this test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = data_encoding::HEXLOWER.encode(&otp::platform::random::random_bytes::<8>());
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a plain path")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn it_says_where_it_listens_and_prints_a_curl_line_that_works() {
    let process = Process::start(&[], &[]).await;
    let port = process.lines[0]
        .strip_prefix("listening on http://127.0.0.1:")
        .and_then(|port| port.parse::<u16>().ok());
    assert!(port.is_some_and(|port| port > 0), "{:?}", process.lines);
    let (app, key) = process.keys().remove(0);
    assert_eq!(
        (app.as_str(), &process.lines[1]),
        ("default", &format!("api key default {key}"))
    );
    assert!(key.starts_with("otp_test_") && key.len() >= 20, "{key}");
    assert_eq!(process.lines.len(), 3, "{:?}", process.lines);
    // What a shell would make of the line.
    let quoted: Vec<&str> = process.lines[2].split('\'').collect();
    let url = quoted[0]
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .expect("a URL");
    let path = url
        .strip_prefix(&process.service.base)
        .expect("this server");
    let headers: Vec<(String, &str)> = [quoted[1], quoted[3]]
        .iter()
        .filter_map(|h| h.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let answer = process
        .service
        .raw("POST", path, &headers, quoted[5].to_owned())
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let to = answer.body["to"].as_str().expect("a number").to_owned();
    assert_eq!(
        process.service.messages(&to).await.len(),
        1,
        "and the text arrives"
    );
}

#[tokio::test]
async fn serve_command_starts_the_server() {
    let mut child = command(&["serve", "--port", "0"], &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let first = out.next_line().await.expect("a line").unwrap_or_default();
    assert!(first.starts_with("listening on http://"), "{first}");
    assert_eq!(ended_by("TERM", &mut child).await, Some(0));
}

#[tokio::test]
async fn each_start_without_data_has_a_key_of_its_own() {
    let (first, second) = (
        Process::start(&[], &[]).await,
        Process::start(&[], &[]).await,
    );
    assert_ne!(first.keys(), second.keys());
    let answer = first
        .service
        .call_as(&second.keys()[0].1, "GET", "/v1/verifications/x", None, &[])
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn keys_that_are_given_make_apps() {
    let (shop, bank) = ("otp_test_shop_0000000000000", "otp_test_bank_0000000000000");
    let process = Process::start(
        &[],
        &[
            ("OTP_LOCAL_API_KEYS", &format!("shop={shop},bank={bank}")),
            ("OTP_BRAND", ""),
        ],
    )
    .await;
    assert_eq!(
        process.keys(),
        [
            ("shop".to_owned(), shop.to_owned()),
            ("bank".to_owned(), bank.to_owned())
        ]
    );
    let id = process
        .call("POST", "/v1/verifications", Some(json!({"to": TO})))
        .await
        .id();
    let path = format!("/v1/verifications/{id}");
    assert_eq!(
        process
            .service
            .call_as(shop, "GET", &path, None, &[])
            .await
            .status,
        200
    );
    assert_eq!(
        process
            .service
            .call_as(bank, "GET", &path, None, &[])
            .await
            .status,
        404,
        "nothing of one app is visible to another"
    );
}

#[tokio::test]
async fn bad_usage_ends_with_2() {
    for arguments in [
        &["--nonsense"][..],
        &["--port"],
        &["--port", "x"],
        &["--port", "70000"],
        &["--port", "-1"],
        &["extra"],
        &["serve", "--nonsense"],
        &["serve", "extra"],
        &["--port", "0", "serve"],
        &["--data"],
        &["--dynamodb", "x"],
    ] {
        let output = ended(arguments, &[]).await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    let help = ended(&["--help"], &[]).await;
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    assert_eq!(help.status.code(), Some(0));
    assert!(
        text.contains("--port") && text.contains("--data") && text.contains("8080"),
        "{text}"
    );
}

#[tokio::test]
async fn a_port_in_use_ends_with_1_and_says_so() {
    let process = Process::start(&[], &[]).await;
    let port = process
        .service
        .base
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let output = ended(&["--port", &port], &[]).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true)
    );
    assert!(stderr(&output).contains(&port), "{}", stderr(&output));
    assert_eq!(
        process.service.raw("GET", "/healthz", &[], "").await.status,
        200,
        "the one that runs is not disturbed"
    );
}

/// Holds that a start with these values ends with 1 and names each of the variables on a line of standard error.
async fn is_named(variables: &[(&str, &str)]) {
    let output = ended(&["--port", "0"], variables).await;
    assert_eq!(
        (output.status.code(), output.stdout.is_empty()),
        (Some(1), true),
        "{variables:?}: {}",
        stderr(&output)
    );
    for (name, _) in variables {
        assert!(
            stderr(&output).lines().any(|line| line.contains(name)),
            "{name} in: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn every_wrong_setting_is_named_at_once() {
    is_named(&[
        ("OTP_BRAND", "a\u{7}b"),
        ("OTP_LOCALE", "!"),
        ("OTP_CODE_LENGTH", "3"),
        ("OTP_CODE_ALPHABET", "runes"),
        ("OTP_CODE_TTL_SECONDS", "59"),
        ("OTP_MAX_ATTEMPTS", "11"),
        ("OTP_GUESS_BUDGET", "0"),
        ("OTP_RESEND_CODE", "other"),
        ("OTP_COOLDOWN_SECONDS", "soon"),
        ("OTP_SENDS_PER_HOUR", "1001"),
        ("OTP_SENDS_PER_DAY", "0"),
        ("OTP_ALLOWED_COUNTRIES", "France"),
        ("OTP_BLOCKED_PREFIXES", "44"),
        ("OTP_SENDER_ID", "much too long a sender"),
        ("OTP_ANDROID_HASH", "short"),
        ("OTP_CARRIERS", "[]"),
        ("OTP_FALLBACK_SECONDS", "0"),
        ("OTP_UNKNOWN_WAIT_SECONDS", "never"),
        ("OTP_PUBLIC_URL", "ftp://x"),
        ("OTP_APPS", "[]"),
        ("OTP_DISPATCH", "pigeon"),
    ])
    .await;
}

#[tokio::test]
async fn wrong_keys_and_secrets_are_named_along_with_the_rest() {
    is_named(&[
        ("OTP_LOCAL_API_KEYS", "default=short"),
        ("OTP_CODE_LENGTH", "3"),
    ])
    .await;
    is_named(&[("OTP_SECRETS", "nonsense"), ("OTP_CODE_LENGTH", "3")]).await;
    is_named(&[("OTP_SECRETS", "{\"seal\":7}"), ("OTP_MAX_ATTEMPTS", "0")]).await;
    is_named(&[
        ("OTP_SECRETS", "{\"seal\":7}"),
        ("OTP_LOCAL_API_KEYS", "default=short"),
    ])
    .await;
    is_named(&[
        ("OTP_SECRETS", "{\"api_keys\":7}"),
        ("OTP_LOCAL_API_KEYS", "default"),
    ])
    .await;
    is_named(&[(
        "OTP_LOCAL_API_KEYS",
        "shop=otp_test_of_both_00000000,bank=otp_test_of_both_00000000",
    )])
    .await;
}

#[tokio::test]
async fn a_value_that_is_no_text_is_wrong_and_not_absent() {
    use std::os::unix::ffi::OsStrExt as _;
    for name in [
        "OTP_BRAND",
        "OTP_CODE_LENGTH",
        "OTP_LOCAL_API_KEYS",
        "OTP_SECRETS",
        "OTP_CARRIERS",
    ] {
        let mut command = command(&["--port", "0"], &[]);
        let output = command
            .env(name, std::ffi::OsStr::from_bytes(b"6\xff"))
            .output()
            .await
            .expect("it ran");
        assert_eq!(
            (output.status.code(), stderr(&output).contains(name)),
            (Some(1), true),
            "{name}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn a_policy_that_is_guessed_too_easily_does_not_start() {
    let output = ended(
        &["--port", "0"],
        &[("OTP_CODE_LENGTH", "4"), ("OTP_GUESS_BUDGET", "20")],
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("OTP_GUESS_BUDGET"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test]
async fn data_that_cannot_be_kept_ends_with_1() {
    let unreadable = Directory::new();
    std::fs::create_dir_all(unreadable.0.join("secrets.json"))
        .expect("a directory in the place of the file");
    for path in ["/proc/nothing/here", "/dev/null", unreadable.path()] {
        let output = ended(&["--port", "0", "--data", path], &[]).await;
        assert_eq!(
            (output.status.code(), output.stdout.is_empty()),
            (Some(1), true),
            "{path}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains("--data"),
            "{path}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test]
async fn it_ends_cleanly_when_told_to() {
    for signal in ["TERM", "INT"] {
        let process = Process::start(&[], &[]).await;
        process
            .call("POST", "/v1/verifications", Some(json!({"to": TO})))
            .await;
        assert_eq!(process.end(signal).await, Some(0), "SIG{signal}");
    }
}

#[tokio::test]
async fn it_ends_cleanly_when_told_to_as_soon_as_it_listens() {
    for signal in ["TERM", "INT"].into_iter().cycle().take(10) {
        let mut child = command(&["--port", "0"], &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = out.next_line().await.expect("a line").unwrap_or_default();
        assert!(first.starts_with("listening on "), "{first}");
        assert_eq!(ended_by(signal, &mut child).await, Some(0), "SIG{signal}");
    }
}

/// At a table that never answers the start takes for ever.
#[tokio::test]
async fn it_ends_cleanly_when_told_to_while_it_starts() {
    for signal in ["TERM", "INT"] {
        let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
        let table = Listener::open(0, move |_| {
            let _ = called.send(());
            std::future::pending()
        });
        let table = table.await;
        let mut child = command(&["--port", "0", "--dynamodb", &table.url()], &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        assert_eq!(calls.recv().await, Some(()), "it is starting");
        assert_eq!(ended_by(signal, &mut child).await, Some(0), "SIG{signal}");
        let mut said = String::new();
        child
            .stdout
            .take()
            .expect("a pipe")
            .read_to_string(&mut said)
            .await
            .expect("a text");
        assert_eq!(said, "", "it never listened");
    }
}

#[tokio::test]
async fn data_outlives_a_restart() {
    let directory = Directory::new();
    let arguments = ["--data", directory.path()];
    let first = Process::start(&arguments, &OFTEN).await;
    let sent = first
        .call("POST", "/v1/verifications", Some(json!({"to": TO})))
        .await
        .id();
    let code = first.service.code(TO).await;
    for name in ["sim-a", "sim-b"] {
        first.service.carrier(name, json!({"mode": "error"})).await;
    }
    let waiting = first
        .call("POST", "/v1/verifications", Some(json!({"to": phone(1)})))
        .await
        .id();
    first.service.advance(100).await;
    let path = format!("/v1/verifications/{sent}/check");
    assert_eq!(
        first
            .call("POST", &path, Some(json!({"code": other_than(&code)})))
            .await
            .body["attempts_left"],
        4
    );
    let (keys, now, table) = (
        first.keys(),
        first.service.now().await,
        first.service.state().await["table"].clone(),
    );
    assert_eq!(first.end("TERM").await, Some(0));

    let second = Process::start(&arguments, &OFTEN).await;
    assert_eq!(second.keys(), keys, "the same key");
    assert!(
        second.service.now().await >= now,
        "a restart does not turn back time"
    );
    assert_eq!(
        second.service.state().await["table"]
            .as_array()
            .map(Vec::len),
        table.as_array().map(Vec::len)
    );
    let shown = second
        .call("GET", &format!("/v1/verifications/{sent}"), None)
        .await;
    assert_eq!(
        (
            shown.status,
            &shown.body["attempts_left"],
            &shown.body["delivery"]["status"]
        ),
        (200, &json!(4), &json!("sent"))
    );
    second.service.advance(60).await;
    let messages = second.service.messages(&phone(1)).await;
    assert_eq!(
        (messages.len(), messages[0]["verification_id"].as_str()),
        (1, Some(waiting.as_str())),
        "the queue went on where it was"
    );
    assert_eq!(
        second
            .call("POST", &path, Some(json!({"code": code})))
            .await
            .body["valid"],
        true
    );
    assert_eq!(second.end("INT").await, Some(0));
}

/// What one caller was told before the process died.
#[derive(Debug, Default)]
struct Told {
    id: String,
    code: String,
    attempts_left: Option<u64>,
    /// The right code was presented and the answer came.
    approved: bool,
    /// The right code was presented and no answer came.
    maybe: bool,
}

/// One life of a verification, as far as the process lives: sent, checked wrong twice, checked right.
async fn life(
    service: Service,
    key: String,
    to: String,
    answers: Arc<AtomicUsize>,
) -> Option<Told> {
    let bearer = format!("Bearer {key}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json"),
    ];
    let post = async |path: &str, body: Value| {
        let answer = service
            .try_raw("POST", path, &headers, body.to_string())
            .await
            .ok();
        answers.fetch_add(usize::from(answer.is_some()), Ordering::SeqCst);
        answer
    };
    let sent = post("/v1/verifications", json!({"to": to}))
        .await
        .filter(|answer| answer.status == 201)?;
    let mut told = Told {
        id: sent.id(),
        ..Told::default()
    };
    let path = format!("/v1/verifications/{}/check", told.id);
    let wrong = json!({"code": "000000", "purpose": "other"});
    for _ in 0..2 {
        let Some(answer) = post(&path, wrong.clone()).await else {
            return Some(told);
        };
        told.attempts_left = answer.body["attempts_left"].as_u64();
    }
    let Some(_) = post("/local/clock", json!({"advance_seconds": 0})).await else {
        return Some(told);
    };
    let messages = service
        .try_raw(
            "GET",
            &format!("/local/messages?to={}", to.replace('+', "%2B")),
            &[],
            "",
        )
        .await;
    let Some(code) = messages
        .ok()
        .and_then(|m| m.body["messages"][0]["code"].as_str().map(str::to_owned))
    else {
        return Some(told);
    };
    told.code = code;
    match post(&path, json!({"code": told.code})).await {
        Some(answer) => told.approved = answer.body["valid"] == true,
        None => told.maybe = true,
    }
    Some(told)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_under_load_loses_nothing_that_was_told() {
    let directory = Directory::new();
    let arguments = ["--data", directory.path()];
    let mut seen = 0;
    let mut next_phone = 0;
    for enough in [3, 40, 90] {
        let mut process = Process::start(&arguments, &OFTEN).await;
        let (key, answers) = (process.keys()[0].1.clone(), Arc::new(AtomicUsize::new(0)));
        let mut lives = tokio::task::JoinSet::new();
        for n in next_phone..next_phone + 40 {
            lives.spawn(life(
                process.service.clone(),
                key.clone(),
                phone(n),
                answers.clone(),
            ));
        }
        next_phone += 40;
        while answers.load(Ordering::SeqCst) < enough {
            tokio::task::yield_now().await;
        }
        process.child.start_kill().expect("it runs");
        let told: Vec<Told> = lives.join_all().await.into_iter().flatten().collect();
        drop(process.child.wait().await);

        let after = Process::start(&arguments, &OFTEN).await;
        assert_eq!(after.keys()[0].1, key, "the same API key");
        for told in &told {
            let path = format!("/v1/verifications/{}", told.id);
            let shown = after.call("GET", &path, None).await;
            assert_eq!(shown.status, 200, "every 201 is there: {told:?}");
            let left = shown.body["attempts_left"].as_u64();
            assert!(
                told.attempts_left
                    .is_none_or(|told| left.is_some_and(|left| left <= told)),
                "no attempt came back: {told:?} {shown:?}"
            );
            if !told.code.is_empty() {
                let checked = after
                    .call(
                        "POST",
                        &format!("{path}/check"),
                        Some(json!({"code": told.code})),
                    )
                    .await;
                assert!(
                    !(told.approved && checked.body["valid"] == true),
                    "approved twice: {told:?}"
                );
                let once = checked.body["valid"] == true || told.approved || told.maybe;
                assert!(
                    once,
                    "the right code of a living verification: {told:?} {checked:?}"
                );
            }
        }
        seen += told.len();
        assert_eq!(after.end("TERM").await, Some(0));
    }
    assert!(seen >= 3, "there was a load");
}
