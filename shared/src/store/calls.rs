//! The calls that decide a request: GetItem, PutItem and UpdateItem.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemInputBuilder;
use aws_sdk_dynamodb::operation::get_item::{GetItem, GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemInputBuilder;
use aws_sdk_dynamodb::operation::put_item::{PutItem, PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemInputBuilder;
use aws_sdk_dynamodb::operation::update_item::{
    UpdateItem, UpdateItemError, UpdateItemInput, UpdateItemOutput,
};

use super::Store;

impl Store {
    /// A call of GetItem, for [`Self::send_get`].
    pub(super) fn get_item(&self) -> GetItemInputBuilder {
        GetItemInput::builder().table_name(&self.table)
    }

    /// A call of PutItem, for [`Self::send_put`].
    pub(super) fn put_item(&self) -> PutItemInputBuilder {
        PutItemInput::builder().table_name(&self.table)
    }

    /// A call of UpdateItem, for [`Self::send_update`].
    pub(super) fn update_item(&self) -> UpdateItemInputBuilder {
        UpdateItemInput::builder().table_name(&self.table)
    }

    pub(super) async fn send_get(
        &self,
        call: GetItemInputBuilder,
    ) -> Result<GetItemOutput, SdkError<GetItemError>> {
        match &self.server {
            // The futures are large, and those of the use cases would contain several of them.
            Some(server) => Box::pin(server.call(GetItem::new(), call.build())).await,
            None => Box::pin(call.send_with(&self.client)).await,
        }
    }

    pub(super) async fn send_put(
        &self,
        call: PutItemInputBuilder,
    ) -> Result<PutItemOutput, SdkError<PutItemError>> {
        match &self.server {
            Some(server) => Box::pin(server.call(PutItem::new(), call.build())).await,
            None => Box::pin(call.send_with(&self.client)).await,
        }
    }

    pub(super) async fn send_update(
        &self,
        call: UpdateItemInputBuilder,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        match &self.server {
            Some(server) => Box::pin(server.call(UpdateItem::new(), call.build())).await,
            None => Box::pin(call.send_with(&self.client)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::StatusCode;
    use serde_json::json;

    use super::super::attributes::{Item, number};
    use super::super::expression::{Update, WriteResult};
    use super::super::versioned::{Condition, PutResult};
    use super::super::{Store, WriteId};
    use crate::platform::aws::{Aws, AwsSettings, Service};
    use crate::platform::in_process::{InProcessServer, InProcessServers, Response};
    use crate::store::tests::{KEY, keyring};

    const URL: &str = "http://127.0.0.1:1";

    /// A store whose server in this process gives one response to every call.
    fn store(status: StatusCode, document: &serde_json::Value) -> Store {
        let body = document.to_string();
        let server = InProcessServer {
            url: URL.into(),
            respond: Arc::new(move |_, _| {
                let body = body.clone();
                Box::pin(async move { Response { status, body } })
            }),
        };
        let settings = AwsSettings {
            endpoint_urls: [Some(URL.into()), None, None],
            ..AwsSettings::default()
        };
        let aws = Aws::new(settings).with_servers(InProcessServers {
            dynamodb: Some(server),
            sqs: None,
        });
        let config = aws.config(Service::DynamoDb);
        Store::new(&config, "otp".into(), Arc::new(keyring(&["k1"])))
    }

    #[tokio::test]
    async fn responses_of_a_server_in_process_are_read() {
        let found = store(StatusCode::OK, &json!({"Item": {"n": {"N": "7"}}}));
        let item = found.read_item(KEY).await.expect("a response");
        assert_eq!(number(&item.expect("an item"), "n"), 7);

        let written = store(StatusCode::OK, &json!({"Attributes": {"n": {"N": "7"}}}));
        let result = written.update(KEY, Update::default(), None).await;
        assert!(
            matches!(&result, Ok(WriteResult::Written(Some(item))) if number(item, "n") == 7),
            "{result:?}"
        );

        let failed = json!({
            "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
            "Item": {"n": {"N": "7"}},
        });
        let failed = store(StatusCode::BAD_REQUEST, &failed);
        let result = failed.update(KEY, Update::default(), None).await;
        assert!(
            matches!(&result, Ok(WriteResult::ConditionFailed(Some(item))) if number(item, "n") == 7),
            "{result:?}"
        );
        let result = failed
            .put_surely(WriteId([1; 8]), KEY, Item::new(), Condition::Loaded(None))
            .await;
        assert!(matches!(result, Ok(PutResult::Conflict(_))), "{result:?}");
    }

    #[tokio::test]
    async fn failures_of_a_server_in_process_are_errors() {
        for (status, document) in [
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                json!({"__type": "InternalServerError"}),
            ),
            (StatusCode::BAD_REQUEST, json!(7)),
            (StatusCode::OK, json!({"Item": 7})),
        ] {
            let store = store(status, &document);
            let read = store.read_item(KEY).await;
            assert!(read.is_err(), "{document}: {read:?}");
        }
    }
}
