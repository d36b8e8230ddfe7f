//! Least privilege: reads the sources and template.yaml. Each AWS action that a function can come
//! to call is in its role, and no other; what Lambda itself needs for logs, traces and the queue's
//! trigger is named here, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_norway::Value;

type Actions = BTreeSet<String>;

/// Calls of the SDK's clients, and texts that stand for a call without one.
const CALLS: [(&str, &str); 10] = [
    (".get_item()", "dynamodb:GetItem"),
    (".batch_get_item()", "dynamodb:BatchGetItem"),
    (".put_item()", "dynamodb:PutItem"),
    (".update_item()", "dynamodb:UpdateItem"),
    (".delete_item()", "dynamodb:DeleteItem"),
    (".send_message()", "sqs:SendMessage"),
    (".publish()", "sns:Publish"),
    ("\"SendTextMessage\"", "sms-voice:SendTextMessage"),
    ("\"SendVoiceMessage\"", "sms-voice:SendVoiceMessage"),
    ("/v2/email/outbound-emails", "ses:SendEmail"),
];

/// Who is called, by the name that its value goes by, and where its methods stand.
const CALLEES: [(&str, &[&str]); 5] = [
    (
        "store",
        &[
            "shared/src/store.rs",
            "shared/src/store/change.rs",
            "shared/src/store/counter.rs",
            "shared/src/store/breaker.rs",
        ],
    ),
    ("queue", &["shared/src/queue.rs"]),
    ("sns", &["shared/src/carrier/sns.rs"]),
    ("breakers", &["functions/carrier-worker/src/breaker.rs"]),
    (
        "carriers",
        &[
            "shared/src/carrier/mod.rs",
            "shared/src/carrier/end_user_messaging.rs",
            "shared/src/carrier/ses.rs",
        ],
    ),
];

/// For the log group, and X-Ray, of every function.
const OF_EVERY_FUNCTION: [&str; 4] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
];
/// What the trigger does in the name of the function that takes batches from the queue.
const OF_THE_TRIGGER: [&str; 3] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A source without comments and unit tests.
fn source(path: &Path) -> String {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let program = text
        .split("\n#[cfg(test)]\n")
        .next()
        .unwrap_or_default()
        .to_owned();
    program
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The functions of a source, by name; those of one name as one.
fn bodies(text: &str) -> BTreeMap<String, String> {
    let mut bodies: BTreeMap<String, String> = BTreeMap::new();
    for piece in text.split("fn ").skip(1) {
        let name: String = piece
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        bodies.entry(name).or_default().push_str(piece);
    }
    bodies
}

/// The names of methods that are called on something called `value` in `text`, over line breaks as
/// well.
fn called_on(value: &str, text: &str) -> BTreeSet<String> {
    let flat: String = text.split_whitespace().collect();
    let receiver = format!("{value}.");
    let starts = flat
        .match_indices(&receiver)
        .map(|(at, found)| at + found.len());
    starts
        .map(|at| {
            flat[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect()
        })
        .collect()
}

/// All AWS actions behind the method called `method` of `callee`.
fn behind(callee: &str, method: &str, seen: &mut BTreeSet<(String, String)>) -> Actions {
    if !seen.insert((callee.to_owned(), method.to_owned())) {
        return Actions::new();
    }
    let files = CALLEES
        .into_iter()
        .find(|(name, _)| *name == callee)
        .map(|(_, files)| files)
        .unwrap_or_default();
    let texts: Vec<String> = files
        .iter()
        .map(|file| source(&root().join(file)))
        .collect();
    let mut actions = Actions::new();
    for text in &texts {
        // A carrier that is handed a message makes its request, wherever that stands in its file.
        let is_adapter = callee == "carriers" && method == "hand_over";
        let whole = BTreeMap::from([(method.to_owned(), text.clone())]);
        let body = if is_adapter { whole } else { bodies(text) };
        let Some(body) = body.get(method) else {
            continue;
        };
        actions.extend(actions_in(body, Some(callee), seen));
    }
    actions
}

/// All AWS actions that `text` calls, or comes to call through those that it calls.
fn actions_in(text: &str, own: Option<&str>, seen: &mut BTreeSet<(String, String)>) -> Actions {
    let mut actions: Actions = CALLS
        .into_iter()
        .filter(|(call, _)| text.contains(call))
        .map(|(_, action)| action.to_owned())
        .collect();
    for (value, _) in CALLEES {
        for method in called_on(value, text) {
            actions.extend(behind(value, &method, seen));
        }
    }
    for method in own.iter().flat_map(|_| called_on("self", text)) {
        actions.extend(behind(own.unwrap_or_default(), &method, seen));
    }
    actions
}

/// What the sources of `function` come to call.
fn called_by(function: &str) -> Actions {
    let directory = root().join("functions").join(function).join("src");
    let files = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut seen = BTreeSet::new();
    files
        .flat_map(|file| actions_in(&source(&file.expect("a file").path()), None, &mut seen))
        .collect()
}

/// What the role of `function` allows, as template.yaml writes it.
fn allowed_to(function: &str, template: &Value) -> Actions {
    let roles = template["Resources"].as_mapping().expect("resources");
    let policies = roles.iter().flat_map(|(_, resource)| {
        resource["Properties"]["Policies"]
            .as_sequence()
            .into_iter()
            .flatten()
    });
    let policy = policies
        .into_iter()
        .find(|policy| policy["PolicyName"] == function)
        .unwrap_or_else(|| panic!("{function} has no policy"));
    let statements = policy["PolicyDocument"]["Statement"]
        .as_sequence()
        .expect("statements");
    assert!(
        statements
            .iter()
            .all(|statement| statement["Effect"] == "Allow"),
        "{function}"
    );
    let listed = statements
        .iter()
        .flat_map(|statement| match &statement["Action"] {
            Value::Sequence(actions) => actions.clone(),
            action => vec![action.clone()],
        });
    listed
        .map(|action| action.as_str().expect("the name of an action").to_owned())
        .collect()
}

fn template() -> Value {
    serde_norway::from_str(
        &std::fs::read_to_string(root().join("template.yaml")).expect("template.yaml"),
    )
    .expect("YAML")
}

#[test]
fn each_function_may_do_what_it_calls_and_nothing_else() {
    let template = template();
    for function in ["send", "verify", "delivery-callback", "carrier-worker"] {
        let mut needed = called_by(function);
        needed.extend(OF_EVERY_FUNCTION.map(str::to_owned));
        if function == "carrier-worker" {
            needed.extend(OF_THE_TRIGGER.map(str::to_owned));
        }
        assert_eq!(
            allowed_to(function, &template),
            needed,
            "{function}: what its role allows, and what it calls"
        );
    }
}

#[test]
fn the_calls_are_found_through_all_that_lies_between() {
    let verify = called_by("verify");
    let found = |action: &str| verify.contains(action);
    assert!(
        found("dynamodb:UpdateItem") && found("dynamodb:GetItem") && found("dynamodb:PutItem"),
        "{verify:?}"
    );
    assert!(
        !found("sqs:SendMessage") && !found("sns:Publish") && !found("dynamodb:BatchGetItem"),
        "{verify:?}"
    );
    assert!(called_by("carrier-worker").contains("ses:SendEmail"));
}

#[test]
fn every_call_of_a_client_is_one_that_is_known_here() {
    let mut clients = 0;
    for (_, files) in CALLEES {
        for file in files {
            let flat: String = source(&root().join(file)).split_whitespace().collect();
            for (at, found) in flat.match_indices("client.") {
                let call: String = flat[at + found.len()..]
                    .chars()
                    .take_while(|c| *c != ')')
                    .collect();
                assert!(
                    CALLS.iter().any(|(known, _)| *known == format!(".{call})")),
                    "{file}: {call})"
                );
                clients += 1;
            }
        }
    }
    assert!(clients >= 9, "{clients} calls");
}

#[test]
fn only_what_has_no_name_of_its_own_is_allowed_everywhere() {
    let template = template();
    for (name, resource) in template["Resources"].as_mapping().expect("resources") {
        for policy in resource["Properties"]["Policies"]
            .as_sequence()
            .into_iter()
            .flatten()
        {
            for statement in policy["PolicyDocument"]["Statement"]
                .as_sequence()
                .into_iter()
                .flatten()
            {
                let is_everywhere =
                    statement["Resource"] == "*" || !statement["NotResource"].is_null();
                let sid = statement["Sid"].as_str().unwrap_or_default();
                assert!(
                    !is_everywhere || matches!(sid, "Traces" | "TextsButNoTopics"),
                    "{name:?}: {sid}"
                );
                assert!(
                    !statement["Action"]
                        .as_str()
                        .unwrap_or_default()
                        .contains('*'),
                    "{name:?}: {sid}"
                );
            }
        }
    }
}
