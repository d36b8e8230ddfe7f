//! A stand-in for CloudFormation, Secrets Manager, SQS, SNS and STS: the few calls that
//! the commands of operators make, for a stack called `otp`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use super::listener::{Listener, Request, Response, response};

/// The ARN of the operator.
pub const OPERATOR_ARN: &str = "arn:aws:iam::123456789012:user/ada";

/// A stack, its secret, and its queue of dead letters.
pub struct AwsStandIn {
    pub listener: Listener,
    stack: Arc<Mutex<Stack>>,
}

/// What the stack has.
pub struct Stack {
    /// Name of the table.
    pub table: String,
    /// Bodies of dead letters.
    dead: Vec<String>,
    /// Those that were read and not put back.
    hidden: Vec<String>,
    enqueued: Vec<String>,
    /// By name. CloudFormation does not show the value of one with `NoEcho`.
    pub parameters: BTreeMap<&'static str, String>,
    pub api_url: String,
    /// ARNs of the subscriptions to alarms, or the word for one that is pending.
    pub subscriptions: Vec<&'static str>,
    /// Entries of the secret.
    pub secret: Map<String, Value>,
    /// Counted from 1.
    pub secret_version: u64,
    /// In seconds since 1970.
    pub secret_changed_at: i64,
    /// Whether another operator changes the secret after the next reading.
    pub changes_after_reading: bool,
    /// A new value that is not current yet.
    pending: Option<Map<String, Value>>,
}

impl AwsStandIn {
    /// A stack with the table called `otp`, with these `OTP_SECRETS` and these dead letters.
    pub async fn open(secrets: String, dead_letters: &[String]) -> Self {
        let parameters = [("OtpTestNumbers", "****"), ("OtpBrand", "Acme")];
        let parameters = parameters.map(|(name, value)| (name, value.to_owned()));
        let secrets = Value::from(secrets);
        let entries = ["otp_secrets", "otp_secrets_with_carriers"];
        let stack = Arc::new(Mutex::new(Stack {
            table: "otp".into(),
            dead: dead_letters.to_vec(),
            hidden: vec![],
            enqueued: vec![],
            parameters: parameters.into(),
            api_url: "https://api.example".into(),
            subscriptions: vec!["arn:aws:sns:eu-west-1:1:alarms:1"],
            secret: Map::from_iter(entries.map(|name| (name.to_owned(), secrets.clone()))),
            secret_version: 1,
            secret_changed_at: 1_795_291_200,
            changes_after_reading: false,
            pending: None,
        }));
        let state = stack.clone();
        let listener = Listener::open(0, move |request: Request| {
            let mut stack = state.lock().unwrap_or_else(PoisonError::into_inner);
            let answered = stack.answer(&request);
            async move { answered }
        })
        .await;
        Self { listener, stack }
    }

    /// What was enqueued again.
    pub fn enqueued(&self) -> Vec<String> {
        self.stack().enqueued.clone()
    }

    /// The dead letters that a reader would see.
    pub fn dead_letters(&self) -> Vec<String> {
        self.stack().dead.clone()
    }

    /// What the stack has, to change it.
    pub fn stack(&self) -> std::sync::MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An entry of the secret.
    pub fn secrets(&self, name: &str) -> Value {
        let stack = self.stack();
        let text = stack.secret[name].as_str().expect("a text");
        serde_json::from_str(text).expect("JSON")
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

impl Stack {
    fn answer(&mut self, request: &Request) -> Response {
        let target = request.headers.get("x-amz-target");
        let Some(target) = target.and_then(|target| target.to_str().ok()) else {
            return self.answer_form(&String::from_utf8_lossy(&request.body));
        };
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let answered = match target.split_once('.') {
            Some(("secretsmanager", call)) => self.answer_about_secret(call, &body),
            Some(("AmazonSQS", call)) => self.answer_about_queue(call, &body),
            _ => None,
        };
        let headers = [("content-type", "application/x-amz-json-1.0")];
        match answered {
            Some(answered) => response(200, &headers, answered.to_string()),
            None => response(400, &headers, r#"{"__type":"InvalidRequestException"}"#),
        }
    }

    fn answer_about_secret(&mut self, call: &str, body: &Value) -> Option<Value> {
        let next = format!("v{}", self.secret_version + 1);
        match call {
            "GetSecretValue" => Some(json!({
                "Name": body["SecretId"],
                "SecretString": json!(self.secret).to_string(),
                "VersionId": format!("v{}", self.secret_version),
                "CreatedDate": self.secret_changed_at,
            })),
            "PutSecretValue" => {
                assert_eq!(body["VersionStages"], json!(["lambda-otp-pending"]));
                self.secret_version += u64::from(std::mem::take(&mut self.changes_after_reading));
                self.pending = serde_json::from_str(body["SecretString"].as_str()?).ok();
                Some(json!({"VersionId": next}))
            }
            "UpdateSecretVersionStage" => {
                let is_current = body["RemoveFromVersionId"] == format!("v{}", self.secret_version);
                if !is_current || body["MoveToVersionId"] != next {
                    return None;
                }
                self.secret = self.pending.take()?;
                self.secret_version += 1;
                Some(json!({"Name": body["SecretId"]}))
            }
            _ => None,
        }
    }

    fn answer_about_queue(&mut self, call: &str, body: &Value) -> Option<Value> {
        let handle = || {
            let handle = body["ReceiptHandle"].as_str();
            handle.unwrap_or_default().to_owned()
        };
        match call {
            "ReceiveMessage" => {
                let dead = std::mem::take(&mut self.dead);
                self.hidden.extend(dead.clone());
                let message =
                    |body| json!({"MessageId": body, "ReceiptHandle": body, "Body": body});
                Some(json!({"Messages": dead.iter().map(message).collect::<Vec<_>>()}))
            }
            "ChangeMessageVisibility" => {
                self.hidden.retain(|body| *body != handle());
                self.dead.push(handle());
                Some(json!({}))
            }
            "DeleteMessage" => {
                self.hidden.retain(|body| *body != handle());
                Some(json!({}))
            }
            "SendMessage" => {
                let text = body["MessageBody"].as_str().unwrap_or_default().to_owned();
                self.enqueued.push(text);
                Some(json!({"MessageId": "1"}))
            }
            _ => None,
        }
    }

    /// A request in the query protocol.
    fn answer_form(&self, form: &str) -> Response {
        let action = form
            .split('&')
            .find_map(|field| field.strip_prefix("Action="));
        let is_of_stack = form.split('&').any(|field| field == "StackName=otp");
        let result = match action.unwrap_or_default() {
            "GetCallerIdentity" => format!(
                "<GetCallerIdentityResult><Arn>{OPERATOR_ARN}</Arn><UserId>AIDA</UserId>\
                 <Account>123456789012</Account></GetCallerIdentityResult>"
            ),
            "ListSubscriptionsByTopic" => {
                let subscriptions = self.subscriptions.iter();
                let members = subscriptions.map(|arn| {
                    format!("<member><SubscriptionArn>{arn}</SubscriptionArn></member>")
                });
                let members: String = members.collect();
                format!(
                    "<ListSubscriptionsByTopicResult><Subscriptions>{members}</Subscriptions>\
                     </ListSubscriptionsByTopicResult>"
                )
            }
            "DescribeStacks" if is_of_stack => self.described(),
            _ => {
                let error = "<ErrorResponse><Error><Code>ValidationError</Code>\
                             <Message>Stack does not exist</Message></Error></ErrorResponse>";
                return response(400, &[], error);
            }
        };
        let action = action.unwrap_or_default();
        let xml = format!("<{action}Response>{result}</{action}Response>");
        response(200, &[("content-type", "text/xml")], xml)
    }

    fn described(&self) -> String {
        let outputs = [
            ("TableName", self.table.as_str()),
            ("ApiUrl", &self.api_url),
            (
                "SecretsArn",
                "arn:aws:secretsmanager:eu-west-1:1:secret:otp",
            ),
            ("DispatchQueueUrl", "https://sqs.example/1/dispatch"),
            ("DeadLetterQueueUrl", "https://sqs.example/1/dead"),
            ("AlarmTopicArn", "arn:aws:sns:eu-west-1:1:alarms"),
        ];
        let outputs = outputs.map(|(key, value)| member("Output", key, value));
        let parameters = self.parameters.iter();
        let parameters = parameters.map(|(key, value)| member("Parameter", key, value));
        format!(
            "<DescribeStacksResult><Stacks><member><StackName>otp</StackName>\
             <CreationTime>2026-11-28T20:00:00Z</CreationTime>\
             <StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{}</Outputs>\
             <Parameters>{}</Parameters></member></Stacks></DescribeStacksResult>",
            outputs.concat(),
            parameters.collect::<String>()
        )
    }
}

fn member(kind: &str, key: &str, value: &str) -> String {
    let value = value.replace('&', "&amp;").replace('<', "&lt;");
    format!("<member><{kind}Key>{key}</{kind}Key><{kind}Value>{value}</{kind}Value></member>")
}
