//! GetItem, BatchGetItem, PutItem and UpdateItem: the calls that functions make.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::batch_get_item::{
    BatchGetItem, BatchGetItemError, BatchGetItemInput, BatchGetItemOutput,
};
use aws_sdk_dynamodb::operation::get_item::builders::GetItemInputBuilder;
use aws_sdk_dynamodb::operation::get_item::{GetItem, GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemInputBuilder;
use aws_sdk_dynamodb::operation::put_item::{PutItem, PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemInputBuilder;
use aws_sdk_dynamodb::operation::update_item::{
    UpdateItem, UpdateItemError, UpdateItemInput, UpdateItemOutput,
};
use aws_sdk_dynamodb::types::KeysAndAttributes;
use http::StatusCode;

use super::Store;
use crate::platform::aws_client::{CallResult, Operation};

impl Operation for GetItem {
    type Input = GetItemInput;
    type Output = GetItemOutput;
    type Error = GetItemError;
}

impl Operation for BatchGetItem {
    type Input = BatchGetItemInput;
    type Output = BatchGetItemOutput;
    type Error = BatchGetItemError;
}

impl Operation for PutItem {
    type Input = PutItemInput;
    type Output = PutItemOutput;
    type Error = PutItemError;
}

impl Operation for UpdateItem {
    type Input = UpdateItemInput;
    type Output = UpdateItemOutput;
    type Error = UpdateItemError;
}

impl Store {
    /// Reads `keys`. The response may leave some of them unprocessed.
    pub(super) async fn send_batch_get(&self, keys: KeysAndAttributes) -> CallResult<BatchGetItem> {
        let call = BatchGetItemInput::builder().request_items(&self.table, keys);
        self.client.call(BatchGetItem::new(), call.build()).await
    }

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

    pub(super) async fn send_get(&self, call: GetItemInputBuilder) -> CallResult<GetItem> {
        match self.client.table() {
            Some(table) => {
                let input = call.build().map_err(SdkError::construction_failure)?;
                table.get_item(input).await.map_err(failed)
            }
            None => self.client.call(GetItem::new(), call.build()).await,
        }
    }

    pub(super) async fn send_put(&self, call: PutItemInputBuilder) -> CallResult<PutItem> {
        match self.client.table() {
            Some(table) => {
                let input = call.build().map_err(SdkError::construction_failure)?;
                table.put_item(input).await.map_err(failed)
            }
            None => self.client.call(PutItem::new(), call.build()).await,
        }
    }

    pub(super) async fn send_update(&self, call: UpdateItemInputBuilder) -> CallResult<UpdateItem> {
        match self.client.table() {
            Some(table) => {
                let input = call.build().map_err(SdkError::construction_failure)?;
                table.update_item(input).await.map_err(failed)
            }
            None => self.client.call(UpdateItem::new(), call.build()).await,
        }
    }
}

/// An error response without HTTP.
fn failed<E>(error: E) -> SdkError<E> {
    let response = HttpResponse::new(StatusCode::BAD_REQUEST.into(), "".into());
    SdkError::service_error(error, response)
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
    use http::StatusCode;

    use super::super::attributes::{Item, number, number_value};
    use super::super::expression::{Update, WriteResult};
    use super::super::versioned::{Condition, PutResult};
    use super::super::{Store, StoreError, WriteId};
    use super::*;
    use crate::platform::aws::{Aws, AwsSettings, Service};
    use crate::platform::in_process::{
        InProcessServer, InProcessServers, InProcessTable, Response, TableCall,
    };
    use crate::store::tests::{KEY, keyring};

    const URL: &str = "http://127.0.0.1:1";

    /// A table that responds in the same way to every call.
    #[derive(Debug)]
    enum Table {
        Succeeding,
        WithOtherItem,
        Failing,
    }

    fn item() -> Option<Item> {
        Some(Item::from([("n".to_owned(), number_value(7))]))
    }

    fn condition_failed() -> ConditionalCheckFailedException {
        let failed = ConditionalCheckFailedException::builder();
        failed.set_item(item()).build()
    }

    impl InProcessTable for Table {
        fn get_item(&self, _: GetItemInput) -> TableCall<'_, GetItemOutput, GetItemError> {
            Box::pin(ready(match self {
                Self::Succeeding | Self::WithOtherItem => {
                    Ok(GetItemOutput::builder().set_item(item()).build())
                }
                Self::Failing => Err(GetItemError::generic(ErrorMetadata::builder().build())),
            }))
        }

        fn put_item(&self, _: PutItemInput) -> TableCall<'_, PutItemOutput, PutItemError> {
            Box::pin(ready(match self {
                Self::Succeeding => Ok(PutItemOutput::builder().build()),
                Self::WithOtherItem => Err(PutItemError::ConditionalCheckFailedException(
                    condition_failed(),
                )),
                Self::Failing => Err(PutItemError::generic(ErrorMetadata::builder().build())),
            }))
        }

        fn update_item(
            &self,
            _: UpdateItemInput,
        ) -> TableCall<'_, UpdateItemOutput, UpdateItemError> {
            let written = UpdateItemOutput::builder().set_attributes(item());
            Box::pin(ready(match self {
                Self::Succeeding => Ok(written.build()),
                Self::WithOtherItem => Err(UpdateItemError::ConditionalCheckFailedException(
                    condition_failed(),
                )),
                Self::Failing => Err(UpdateItemError::generic(ErrorMetadata::builder().build())),
            }))
        }
    }

    fn store(table: Table) -> Store {
        let server = InProcessServer {
            url: URL.into(),
            respond: Arc::new(|_, _| {
                let (status, body) = (StatusCode::BAD_REQUEST, String::new());
                Box::pin(ready(Response { status, body }))
            }),
            table: Some(Arc::new(table)),
        };
        let settings = AwsSettings {
            endpoint_urls: [Some(URL.into()), None, None],
            ..AwsSettings::default()
        };
        let aws = Aws::new(settings).with_servers(InProcessServers {
            dynamodb: Some(server),
            sqs: None,
        });
        let dynamodb = aws.client(Service::DynamoDb);
        Store::new(dynamodb, "otp".into(), Arc::new(keyring(&["k1"])))
    }

    async fn put(store: &Store) -> Result<PutResult, StoreError> {
        let condition = Condition::Loaded(None);
        store
            .put_surely(WriteId([1; 8]), KEY, Item::new(), condition)
            .await
    }

    #[tokio::test]
    async fn outputs_of_a_table_in_process_are_used() {
        let succeeding = store(Table::Succeeding);
        let item = succeeding.read_item(KEY).await.expect("a response");
        assert_eq!(number(&item.expect("an item"), "n"), 7);
        let result = succeeding.update(KEY, Update::default(), None).await;
        assert!(
            matches!(&result, Ok(WriteResult::Written(Some(item))) if number(item, "n") == 7),
            "{result:?}"
        );
        let result = put(&succeeding).await;
        assert!(matches!(result, Ok(PutResult::Saved)), "{result:?}");
    }

    #[tokio::test]
    async fn failed_condition_in_process_has_the_item() {
        let failing = store(Table::WithOtherItem);
        let result = failing.update(KEY, Update::default(), None).await;
        assert!(
            matches!(&result, Ok(WriteResult::ConditionFailed(Some(item))) if number(item, "n") == 7),
            "{result:?}"
        );
        let result = put(&failing).await;
        assert!(matches!(result, Ok(PutResult::Conflict(_))), "{result:?}");
    }

    #[tokio::test]
    async fn failures_of_a_table_in_process_are_errors() {
        let failing = store(Table::Failing);
        let read = failing.read_item(KEY).await;
        assert!(read.is_err(), "{read:?}");
        let written = failing.update(KEY, Update::default(), None).await;
        assert!(written.is_err(), "{written:?}");
        let put = put(&failing).await;
        assert!(put.is_err(), "{put:?}");
    }
}
