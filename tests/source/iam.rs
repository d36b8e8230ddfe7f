//! Least privilege: the role of each function in template.yaml allows exactly the AWS actions that
//! the function can call, and what Lambda itself needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_norway::Value;

use super::assert_none;
use super::call_graph::{Program, reachable};
use super::rust_source::{functions, program_sources, read};

type Actions = BTreeSet<String>;

/// Operations of the AWS client, and texts that identify a call without it.
const CALLS: [(&str, &str); 15] = [
    ("(GetItem::new()", "dynamodb:GetItem"),
    ("(BatchGetItem::new()", "dynamodb:BatchGetItem"),
    ("(PutItem::new()", "dynamodb:PutItem"),
    ("(UpdateItem::new()", "dynamodb:UpdateItem"),
    ("(Scan::new()", "dynamodb:Scan"),
    ("(TransactWriteItems::new()", "dynamodb:PutItem"),
    ("(SendMessage::new()", "sqs:SendMessage"),
    ("(Publish::new()", "sns:Publish"),
    ("\"SendTextMessage\"", "sms-voice:SendTextMessage"),
    ("\"SendVoiceMessage\"", "sms-voice:SendVoiceMessage"),
    (
        "\"SendNotifyTextMessage\"",
        "sms-voice:SendNotifyTextMessage",
    ),
    (
        "\"SendNotifyVoiceMessage\"",
        "sms-voice:SendNotifyVoiceMessage",
    ),
    ("\"PutMessageFeedback\"", "sms-voice:PutMessageFeedback"),
    ("/v2/email/outbound-emails", "ses:SendEmail"),
    ("\"x-amz-invocation-type\"", "lambda:InvokeFunction"),
];

/// For the log group and X-Ray.
const OF_EVERY_FUNCTION: [&str; 4] = [
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
];
/// What the trigger does on behalf of a function that receives batches from the queue.
const OF_THE_QUEUE_TRIGGER: [&str; 3] = [
    "sqs:ReceiveMessage",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
];

/// Functions of the program that a Lambda function reaches by name only: its data never lead there.
const NEVER_CALLED: [(&str, &str); 1] = [
    // The worker counts in the spend cap, which has no conversion guard.
    ("carrier-worker", "reserve_at_guard"),
];

/// The crate `otp` and one Lambda function.
fn program_of(name: &str) -> Program {
    let own = format!("functions/{name}/");
    let mut sources = program_sources();
    sources.retain(|source| source.path.starts_with("shared/") || source.path.starts_with(&own));
    let never_called = NEVER_CALLED
        .iter()
        .filter(|(function, _)| *function == name);
    let never_called: Vec<&str> = never_called.map(|(_, callee)| *callee).collect();
    Program::read(&sources, &never_called)
}

/// The actions that a Lambda function can call, with the call of each.
fn called_by(name: &str) -> BTreeMap<String, String> {
    let program = program_of(name);
    let reached = reachable(&program, &format!("functions/{name}/"));
    let calls = CALLS.iter().filter_map(|(call, action)| {
        let mut reached = reached.iter();
        let found = reached.find(|reached| reached.function.body.contains(call))?;
        let callers = found.callers.join(" <- ");
        Some((
            (*action).to_owned(),
            format!("{} <- {callers}", found.function),
        ))
    });
    calls.collect()
}

fn template() -> Value {
    serde_norway::from_str(&read("template.yaml")).expect("YAML")
}

/// The statements of all policies in the template, with the name of the function.
fn statements(template: &Value) -> Vec<(String, Value)> {
    let resources = template["Resources"].as_mapping().expect("resources");
    let policies = resources.iter().flat_map(|(_, resource)| {
        let own = (resource["Type"] == "AWS::IAM::Policy").then_some(&resource["Properties"]);
        let of_role = resource["Properties"]["Policies"].as_sequence();
        own.into_iter().chain(of_role.into_iter().flatten())
    });
    let statements = policies.flat_map(|policy| {
        let name = policy["PolicyName"].as_str().unwrap_or_default();
        // A policy apart from the role is called after it.
        let name = name.split("-invokes-").next().unwrap_or_default();
        let statements = policy["PolicyDocument"]["Statement"].as_sequence();
        let statements = statements.into_iter().flatten();
        statements.map(|statement| (name.to_owned(), statement.clone()))
    });
    statements.collect()
}

fn actions_of(statement: &Value) -> Vec<String> {
    let actions = match &statement["Action"] {
        Value::Sequence(actions) => actions.clone(),
        action => vec![action.clone()],
    };
    let name = |action: Value| action.as_str().expect("the name of an action").to_owned();
    actions.into_iter().map(name).collect()
}

#[test]
fn roles_allow_exactly_what_functions_call() {
    let template = template();
    let mut problems = vec![];
    for name in functions() {
        let called = called_by(&name);
        let mut needed: Actions = called.keys().cloned().collect();
        needed.extend(OF_EVERY_FUNCTION.map(str::to_owned));
        if name == "carrier-worker" {
            needed.extend(OF_THE_QUEUE_TRIGGER.map(str::to_owned));
        }
        let own = statements(&template).into_iter();
        let own = own.filter(|(policy, _)| *policy == name);
        let allowed: Actions = own
            .flat_map(|(_, statement)| actions_of(&statement))
            .collect();
        let missing = needed.difference(&allowed);
        problems.extend(missing.map(|action| {
            let call = called.get(action).map_or("Lambda", String::as_str);
            format!("{name} calls {action}, which its role does not allow: {call}")
        }));
        let unused = allowed.difference(&needed);
        problems.extend(unused.map(|action| format!("{name} may call {action}, and never does")));
    }
    assert_none(&problems);
}

#[test]
fn calls_are_found_through_other_files() {
    let verify = called_by("verify");
    for action in [
        "dynamodb:UpdateItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
    ] {
        assert!(verify.contains_key(action), "{verify:?}");
    }
    for action in ["sqs:SendMessage", "sns:Publish", "dynamodb:BatchGetItem"] {
        assert!(!verify.contains_key(action), "{verify:?}");
    }
    assert!(called_by("carrier-worker").contains_key("ses:SendEmail"));
}

#[test]
fn every_call_to_aws_is_known() {
    let mut problems = vec![];
    let mut count = 0;
    for function in functions()
        .iter()
        .flat_map(|name| program_of(name).functions)
    {
        for (at, found) in function.body.match_indices("client.") {
            let call = &function.body[at + found.len()..];
            let call = call.split_inclusive(')').next().unwrap_or_default();
            count += 1;
            // The HTTP client of the carriers is called `client` as well.
            let is_http = call.starts_with("send(request");
            // So is the limit of a client network.
            let is_limit = call.starts_with("map(");
            // These make no request.
            let is_local = matches!(call, "table()" | "clone()");
            let operation = call.strip_prefix("call").unwrap_or_default();
            let is_known = CALLS.iter().any(|(known, _)| *known == operation);
            if !is_http && !is_limit && !is_local && !is_known {
                problems.push(format!("{}: client.{call}", function.path));
            }
        }
    }
    assert_none(&problems);
    assert!(count >= 9, "{count} calls");
}

#[test]
fn wildcards_are_allowed_only_without_a_named_resource() {
    let mut problems = vec![];
    for (policy, statement) in statements(&template()) {
        let sid = statement["Sid"].as_str().unwrap_or_default();
        let is_everywhere = statement["Resource"] == "*" || !statement["NotResource"].is_null();
        if is_everywhere && !matches!(sid, "Traces" | "TextsButNoTopics") {
            problems.push(format!("{policy}: {sid}: any resource"));
        }
        if actions_of(&statement)
            .iter()
            .any(|action| action.contains('*'))
        {
            problems.push(format!("{policy}: {sid}: any action"));
        }
        if statement["Effect"] != "Allow" {
            problems.push(format!("{policy}: {sid}: not an `Allow`"));
        }
    }
    assert_none(&problems);
}
