//! Processes that are killed between the writes of an approval: the attempt, the record of the
//! subject, and the owner. The same check, a read of the verification or the next send writes what
//! is missing, once.

use serde_json::{Value, json};

use crate::support::{
    Decision, Fault, FunctionProcesses, ProxiedService, Service, TestResponse, assert_status,
    no_send_limits_and, phone, stored_owners,
};

/// How many writes a check makes that approves a verification and makes its subject the owner.
const WRITES: usize = 3;

/// When the process of a check is killed. Writes are counted from 1.
#[derive(Clone, Copy, Debug)]
enum Killed {
    /// The table has not got this write.
    Before(usize),
    /// The table has this write, and the process has no response.
    After(usize),
}

/// Every moment at which the attempt is stored and something else is missing, or at least not known
/// to be stored.
const BETWEEN_WRITES: [Killed; 5] = [
    Killed::After(1),
    Killed::Before(2),
    Killed::After(2),
    Killed::Before(WRITES),
    Killed::After(WRITES),
];

/// A service whose functions are processes, behind a proxy that holds writes.
struct Killing {
    proxied: ProxiedService,
    processes: FunctionProcesses,
    /// Calls held so far.
    held: usize,
}

/// A check that names a decision.
struct Check {
    to: String,
    subject: String,
    id: String,
    code: String,
    decision: Decision,
}

impl Check {
    async fn run(&self, service: &Service) -> TestResponse {
        let body = json!({"code": self.code, "subject": self.subject,
            "decision": self.decision.id});
        service.check_with_key(&self.id, body, "k").await
    }
}

impl Killing {
    async fn start() -> Self {
        let variables = no_send_limits_and(&[("OTP_UNIQUE_RECIPIENTS", "on")]);
        let (mut proxied, processes) = ProxiedService::start_processes(&[], &variables, 2).await;
        proxied.service.allows_gateway_errors = true;
        Self {
            proxied,
            processes,
            held: 0,
        }
    }

    /// Opens a verification of a number for a subject that has nothing, and a decision.
    async fn open(&self, n: u32) -> Check {
        let service = &self.proxied.service;
        let (subject, to) = (format!("user-{n}"), phone(n));
        let decision = service.challenge(&subject, "login").await;
        let (id, code) = service.open_for(&subject, &to).await;
        Check {
            to,
            subject,
            id,
            code,
            decision,
        }
    }

    /// Runs `check` and kills its process while its `write` is held by `fault`. Later calls do not
    /// get through, such as those of a client that repeats the held one.
    async fn kill(&mut self, check: &Check, write: usize, fault: Fault) {
        let (mut writes, table) = (0, &self.proxied.table);
        table.break_by(move |call| {
            writes += usize::from(call.is_write());
            match (call.is_write(), writes.cmp(&write)) {
                (true, std::cmp::Ordering::Equal) => Some(fault),
                (_, std::cmp::Ordering::Less) => None,
                _ => Some(Fault::DropRequest),
            }
        });
        let service = &self.proxied.service;
        let kill = async {
            self.held += 1;
            table.wait_for_held_calls(self.held).await;
            self.processes.signal("KILL", "verify").await;
        };
        let (killed, ()) = tokio::join!(check.run(service), kill);
        assert_status(&killed, 500);
        table.clear_faults();
    }

    /// A check that was killed at `killed`.
    async fn killed_check(&mut self, n: u32, killed: Killed) -> Check {
        let check = self.open(n).await;
        match killed {
            Killed::Before(write) => self.kill(&check, write, Fault::Freeze).await,
            Killed::After(write) => self.kill(&check, write, Fault::HoldResponse).await,
        }
        check
    }

    /// Asserts that everything is recorded, and that the owner is stored.
    async fn assert_complete(&self, check: &Check, owners: u32, context: &str) {
        let service = &self.proxied.service;
        let shown = service.show_subject(&check.subject).await;
        let recipients = shown["recipients"].as_array().expect("a list");
        let unique: Vec<_> = recipients
            .iter()
            .map(|known| (&known["to"], &known["unique"]))
            .collect();
        let expected = (&json!(check.to), &Value::from(true));
        assert_eq!(unique, [expected], "{context}");
        let decision = service.call("GET", &check.decision.path, None).await.body;
        assert_eq!(decision["status"], "approved", "{context}");
        assert_eq!(decision["approved_by"], json!(["sms"]), "{context}");
        assert_eq!(stored_owners(service).await, owners as usize, "{context}");
    }

    /// Asserts that another subject cannot verify the recipient.
    async fn assert_taken(&self, check: &Check, context: &str) {
        let taken = self.proxied.service.verify_for("bob", &check.to).await;
        assert_eq!(taken.body["reason"], "recipient_taken", "{context}");
    }
}

#[tokio::test]
async fn repeated_check_completes_a_killed_approval() {
    let mut killing = Killing::start().await;
    let moments = [Killed::Before(1)].into_iter().chain(BETWEEN_WRITES);
    for (n, killed) in (1..).zip(moments) {
        let context = format!("{killed:?}");
        let check = killing.killed_check(n, killed).await;
        let again = check.run(&killing.proxied.service).await;
        assert!(again.is_valid(), "{context}: {again:?}");
        assert_eq!(again.body["decision"]["status"], "approved", "{context}");
        killing.assert_complete(&check, n, &context).await;
        killing.assert_taken(&check, &context).await;
    }
}

#[tokio::test]
async fn read_completes_a_killed_approval() {
    let mut killing = Killing::start().await;
    for (n, killed) in (1..).zip(BETWEEN_WRITES) {
        let context = format!("{killed:?}");
        let check = killing.killed_check(n, killed).await;
        let shown = killing.proxied.service.show(&check.id).await;
        assert_eq!(shown.body["status"], "approved", "{context}");
        killing.assert_complete(&check, n, &context).await;
        killing.assert_taken(&check, &context).await;
    }
}

#[tokio::test]
async fn next_send_completes_a_killed_approval() {
    let mut killing = Killing::start().await;
    for (n, killed) in (1..).zip(BETWEEN_WRITES) {
        let context = format!("{killed:?}");
        let check = killing.killed_check(n, killed).await;
        let service = &killing.proxied.service;
        let (id, code) = service.open_for("bob", &check.to).await;
        killing.assert_complete(&check, n, &context).await;
        let body = json!({"code": code, "subject": "bob"});
        let checked = killing.proxied.service.check_body(&id, body).await;
        assert_eq!(checked.body["reason"], "recipient_taken", "{context}");
        let again = check.run(&killing.proxied.service).await;
        assert!(again.is_replayed() && again.is_valid(), "{context}");
        killing.assert_complete(&check, n, &context).await;
    }
}

#[tokio::test]
async fn check_killed_before_its_first_write_leaves_nothing() {
    let mut killing = Killing::start().await;
    let check = killing.killed_check(1, Killed::Before(1)).await;
    let service = &killing.proxied.service;
    assert_eq!(service.show(&check.id).await.body["status"], "pending");
    let shown = service.show_subject(&check.subject).await;
    assert_eq!(shown["recipients"], json!([]));
    assert!(service.verify_for("bob", &check.to).await.is_valid());
    let late = check.run(service).await;
    assert_eq!(late.body["reason"], "superseded", "{late:?}");
}

/// The write of a killed process is on its way, and arrives after the approval was completed and
/// the recipient removed.
#[tokio::test]
async fn late_write_of_a_killed_check_changes_nothing() {
    for write in 1..=WRITES {
        let mut killing = Killing::start().await;
        let check = killing.open(1).await;
        killing.kill(&check, write, Fault::HoldRequest).await;
        let (service, table) = (&killing.proxied.service, &killing.proxied.table);
        assert!(check.run(service).await.is_valid(), "{write}");
        let shown = service.show_subject(&check.subject).await;
        let id = shown["recipients"][0]["id"].as_str().expect("an id");
        let path = format!("/recipients/{id}");
        let removed = service.subject("DELETE", &check.subject, &path, None).await;
        assert_status(&removed, 200);
        table.take_calls();
        table.release();
        table.wait_for_calls(1).await;
        assert!(table.take_calls()[0].condition_failed, "{write}");
        assert_eq!(stored_owners(service).await, 0, "{write}");
        let shown = service.show_subject(&check.subject).await;
        assert_eq!(shown["recipients"], json!([]), "{write}");
        assert!(service.verify_for("bob", &check.to).await.is_valid());
    }
}
