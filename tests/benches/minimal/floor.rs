//! One `UpdateItem` per invocation and nothing else: what the table costs a function, through the
//! AWS clients of our functions. Like them, it opens its connection before the first invocation.

use aws_sdk_dynamodb::operation::get_item::{GetItem, GetItemInput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItem, UpdateItemInput};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use lambda_http::{Error, Request, run, service_fn};
use otp::platform::aws::{Aws, AwsSettings, Service};
use otp::platform::environment::variable;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let required = |name: &str| variable(name).unwrap_or_default();
    let settings = AwsSettings {
        region: required("AWS_REGION"),
        access_key_id: required("AWS_ACCESS_KEY_ID"),
        secret_access_key: required("AWS_SECRET_ACCESS_KEY"),
        session_token: variable("AWS_SESSION_TOKEN"),
        endpoint_urls: [variable("AWS_ENDPOINT_URL_DYNAMODB"), None, None],
    };
    let (client, table) = (
        &Aws::new(settings).client(Service::DynamoDb),
        &required("OTP_TABLE"),
    );
    let key = || AttributeValue::B(Blob::new(*b"bench-floor-0001"));
    // Only opens the connection: the response does not matter.
    let opening = GetItemInput::builder().table_name(table);
    let opening = opening.key("pk", key()).build();
    let _ = client.call(GetItem::new(), opening).await;
    run(service_fn(async |_: Request| {
        let one = AttributeValue::N("1".into());
        let update = UpdateItemInput::builder()
            .table_name(table)
            .key("pk", key())
            .update_expression("ADD calls :one")
            .expression_attribute_values(":one", one);
        client.call(UpdateItem::new(), update.build()).await?;
        Ok::<_, Error>("done")
    }))
    .await
}
