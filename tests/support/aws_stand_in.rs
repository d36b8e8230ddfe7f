//! A stand-in for CloudFormation, Secrets Manager and SQS: the few calls that the commands of
//! operators make, for a stack called `otp`.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::listener::{Listener, Request, Response, response};

/// A stack, its secret, and its queue of dead letters.
pub struct AwsStandIn {
    pub listener: Listener,
    queues: Arc<Mutex<Queues>>,
}

/// Bodies of messages.
#[derive(Default)]
struct Queues {
    dead: Vec<String>,
    /// Read and not put back.
    hidden: Vec<String>,
    enqueued: Vec<String>,
}

impl AwsStandIn {
    /// A stack with the table called `otp`, with these `OTP_SECRETS` and these dead letters.
    pub async fn open(secrets: String, dead_letters: &[String]) -> Self {
        let dead = dead_letters.to_vec();
        let queues = Arc::new(Mutex::new(Queues {
            dead,
            ..Queues::default()
        }));
        let state = queues.clone();
        let listener = Listener::open(0, move |request: Request| {
            let answered = answer(&request, &secrets, &state);
            async move { answered }
        })
        .await;
        Self { listener, queues }
    }

    /// What was enqueued again.
    pub fn enqueued(&self) -> Vec<String> {
        self.queues().enqueued.clone()
    }

    /// The dead letters that a reader would see.
    pub fn dead_letters(&self) -> Vec<String> {
        self.queues().dead.clone()
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Variables of an operator: credentials, and these endpoints instead of those of AWS.
    pub fn variables(&self, dynamodb_url: &str) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_REGION", "eu-west-1".into()),
            ("AWS_ACCESS_KEY_ID", "AKIDOPERATOR".into()),
            ("AWS_SECRET_ACCESS_KEY", "not-a-secret".into()),
            ("AWS_ENDPOINT_URL", self.listener.url()),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_url.into()),
        ]
    }
}

fn answer(request: &Request, secrets: &str, state: &Mutex<Queues>) -> Response {
    let target = request.headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut queues = state.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = || {
        body["ReceiptHandle"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let answered = match target {
        None => return described_stack(&String::from_utf8_lossy(&request.body)),
        Some("secretsmanager.GetSecretValue") => {
            let entries = json!({"otp_secrets_with_carriers": secrets}).to_string();
            json!({"Name": body["SecretId"], "SecretString": entries})
        }
        Some("AmazonSQS.ReceiveMessage") => {
            let dead = std::mem::take(&mut queues.dead);
            queues.hidden.extend(dead.clone());
            let message = |body| json!({"MessageId": body, "ReceiptHandle": body, "Body": body});
            json!({"Messages": dead.iter().map(message).collect::<Vec<_>>()})
        }
        Some("AmazonSQS.ChangeMessageVisibility") => {
            queues.hidden.retain(|body| *body != handle());
            queues.dead.push(handle());
            json!({})
        }
        Some("AmazonSQS.DeleteMessage") => {
            queues.hidden.retain(|body| *body != handle());
            json!({})
        }
        Some("AmazonSQS.SendMessage") => {
            let text = body["MessageBody"].as_str().unwrap_or_default().to_owned();
            queues.enqueued.push(text);
            json!({"MessageId": "1"})
        }
        Some(_) => return response(400, &[], r#"{"__type":"UnknownOperationException"}"#),
    };
    let headers = [("content-type", "application/x-amz-json-1.0")];
    response(200, &headers, answered.to_string())
}

fn described_stack(form: &str) -> Response {
    if !form.contains("Action=DescribeStacks")
        || !form.contains("StackName=otp&") && !form.ends_with("StackName=otp")
    {
        let error = "<ErrorResponse><Error><Code>ValidationError</Code>\
                     <Message>Stack does not exist</Message></Error></ErrorResponse>";
        return response(400, &[], error);
    }
    let outputs = [
        ("TableName", "otp"),
        (
            "SecretsArn",
            "arn:aws:secretsmanager:eu-west-1:1:secret:otp",
        ),
        ("DispatchQueueUrl", "https://sqs.example/1/dispatch"),
        ("DeadLetterQueueUrl", "https://sqs.example/1/dead"),
    ];
    let outputs = outputs.map(|(key, value)| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    });
    let xml = format!(
        "<DescribeStacksResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
         <DescribeStacksResult><Stacks><member><StackName>otp</StackName>\
         <CreationTime>2026-11-28T20:00:00Z</CreationTime>\
         <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{}</Outputs>\
         </member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
        outputs.concat()
    );
    response(200, &[("content-type", "text/xml")], xml)
}
