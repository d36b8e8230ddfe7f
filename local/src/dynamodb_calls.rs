//! Calls of the embedded engine with the values of the SDK, by handlers in this process.
//!
//! Parameters that the store never sets, such as those of the API before expressions, are not
//! passed on.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::error::ErrorMetadata;
use aws_sdk_dynamodb::operation::get_item::{GetItemError, GetItemInput, GetItemOutput};
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemInput, PutItemOutput};
use aws_sdk_dynamodb::operation::update_item::{
    UpdateItemError, UpdateItemInput, UpdateItemOutput,
};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::error::ConditionalCheckFailedException;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::errors::DynoxideError;
use otp::platform::in_process::{InProcessTable, TableCall};

use crate::dynamodb::Engine;

type Item = HashMap<String, AttributeValue>;
type EngineValue = dynoxide::AttributeValue;
type EngineItem = HashMap<String, EngineValue>;

/// The engine, as handlers in this process call it.
pub(crate) struct EngineTable(pub(crate) Engine);

impl InProcessTable for EngineTable {
    fn get_item(&self, input: GetItemInput) -> TableCall<'_, GetItemOutput, GetItemError> {
        let request = GetItemRequest {
            table_name: input.table_name.unwrap_or_default(),
            key: input.key.map(engine_item).unwrap_or_default(),
            consistent_read: input.consistent_read,
            projection_expression: input.projection_expression,
            expression_attribute_names: input.expression_attribute_names,
            ..GetItemRequest::default()
        };
        Box::pin(async move {
            match self.0.in_turn(|database| database.get_item(request)).await {
                Ok(response) => Ok(GetItemOutput::builder()
                    .set_item(response.item.map(item))
                    .build()),
                Err(error) => Err(GetItemError::generic(metadata(&error))),
            }
        })
    }

    fn put_item(&self, input: PutItemInput) -> TableCall<'_, PutItemOutput, PutItemError> {
        let returned = input.return_values_on_condition_check_failure;
        let request = PutItemRequest {
            table_name: input.table_name.unwrap_or_default(),
            item: input.item.map(engine_item).unwrap_or_default(),
            return_values: input.return_values.map(|kind| kind.as_str().to_owned()),
            condition_expression: input.condition_expression,
            expression_attribute_names: input.expression_attribute_names,
            expression_attribute_values: input.expression_attribute_values.map(engine_item),
            return_values_on_condition_check_failure: returned.map(|kind| kind.as_str().to_owned()),
            ..PutItemRequest::default()
        };
        Box::pin(async move {
            match self.0.in_turn(|database| database.put_item(request)).await {
                Ok(response) => Ok(PutItemOutput::builder()
                    .set_attributes(response.attributes.map(item))
                    .build()),
                Err(error) => Err(match condition_failed(error) {
                    Ok(failed) => PutItemError::ConditionalCheckFailedException(failed),
                    Err(metadata) => PutItemError::generic(metadata),
                }),
            }
        })
    }

    fn update_item(
        &self,
        input: UpdateItemInput,
    ) -> TableCall<'_, UpdateItemOutput, UpdateItemError> {
        let returned = input.return_values_on_condition_check_failure;
        let request = UpdateItemRequest {
            table_name: input.table_name.unwrap_or_default(),
            key: input.key.map(engine_item).unwrap_or_default(),
            update_expression: input.update_expression,
            condition_expression: input.condition_expression,
            expression_attribute_names: input.expression_attribute_names,
            expression_attribute_values: input.expression_attribute_values.map(engine_item),
            return_values: input.return_values.map(|kind| kind.as_str().to_owned()),
            return_values_on_condition_check_failure: returned.map(|kind| kind.as_str().to_owned()),
            ..UpdateItemRequest::default()
        };
        Box::pin(async move {
            match self
                .0
                .in_turn(|database| database.update_item(request))
                .await
            {
                Ok(response) => Ok(UpdateItemOutput::builder()
                    .set_attributes(response.attributes.map(item))
                    .build()),
                Err(error) => Err(match condition_failed(error) {
                    Ok(failed) => UpdateItemError::ConditionalCheckFailedException(failed),
                    Err(metadata) => UpdateItemError::generic(metadata),
                }),
            }
        })
    }
}

impl fmt::Debug for EngineTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EngineTable")
    }
}

/// A failed condition, or what another error says.
fn condition_failed(
    error: DynoxideError,
) -> Result<ConditionalCheckFailedException, ErrorMetadata> {
    let metadata = metadata(&error);
    let DynoxideError::ConditionalCheckFailedException(message, stored) = error else {
        return Err(metadata);
    };
    let failed = ConditionalCheckFailedException::builder()
        .message(message)
        .set_item(stored.map(item));
    Ok(failed.meta(metadata).build())
}

fn metadata(error: &DynoxideError) -> ErrorMetadata {
    let kind = error.error_type();
    let code = kind.rsplit_once('#').map_or(kind, |(_, code)| code);
    ErrorMetadata::builder()
        .code(code)
        .message(error.to_string())
        .build()
}

fn engine_item(item: Item) -> EngineItem {
    let entries = item.into_iter();
    entries
        .map(|(name, value)| (name, engine_value(value)))
        .collect()
}

fn engine_value(value: AttributeValue) -> EngineValue {
    match value {
        AttributeValue::S(text) => EngineValue::S(text),
        AttributeValue::N(number) => EngineValue::N(number),
        AttributeValue::B(bytes) => EngineValue::B(bytes.into_inner()),
        AttributeValue::Bool(value) => EngineValue::BOOL(value),
        AttributeValue::L(values) => EngineValue::L(values.into_iter().map(engine_value).collect()),
        AttributeValue::M(item) => EngineValue::M(engine_item(item)),
        AttributeValue::Ss(texts) => EngineValue::SS(texts),
        AttributeValue::Ns(numbers) => EngineValue::NS(numbers),
        AttributeValue::Bs(blobs) => {
            EngineValue::BS(blobs.into_iter().map(Blob::into_inner).collect())
        }
        AttributeValue::Null(value) => EngineValue::NULL(value),
        // Of a later version of the SDK. The engine rejects this value.
        _ => EngineValue::NULL(false),
    }
}

fn item(item: EngineItem) -> Item {
    let entries = item.into_iter();
    entries
        .map(|(name, value)| (name, sdk_value(value)))
        .collect()
}

fn sdk_value(value: EngineValue) -> AttributeValue {
    match value {
        EngineValue::S(text) => AttributeValue::S(text),
        EngineValue::N(number) => AttributeValue::N(number),
        EngineValue::B(bytes) => AttributeValue::B(Blob::new(bytes)),
        EngineValue::BOOL(value) => AttributeValue::Bool(value),
        EngineValue::NULL(value) => AttributeValue::Null(value),
        EngineValue::L(values) => AttributeValue::L(values.into_iter().map(sdk_value).collect()),
        EngineValue::M(inner) => AttributeValue::M(item(inner)),
        EngineValue::SS(texts) => AttributeValue::Ss(texts),
        EngineValue::NS(numbers) => AttributeValue::Ns(numbers),
        EngineValue::BS(all) => AttributeValue::Bs(all.into_iter().map(Blob::new).collect()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
    use aws_sdk_dynamodb::operation::get_item::GetItem;
    use aws_sdk_dynamodb::operation::get_item::builders::GetItemInputBuilder;
    use aws_sdk_dynamodb::operation::put_item::PutItem;
    use aws_sdk_dynamodb::operation::put_item::builders::PutItemInputBuilder;
    use aws_sdk_dynamodb::operation::update_item::UpdateItem;
    use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemInputBuilder;
    use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
    use otp::platform::aws::{Aws, AwsSettings, Service};
    use otp::platform::aws_client::AwsClient;
    use tokio::net::TcpListener;

    use super::*;
    use crate::dynamodb::create_table_request;

    /// The item of an output, or code, text and item of an error.
    type Outcome = Result<Option<Item>, (Option<String>, Option<String>, Option<Item>)>;

    fn engine() -> Engine {
        let engine = Engine::in_memory().expect("an engine");
        let create = create_table_request("otp", "pk", "B");
        engine.create_table(create).expect("a table");
        engine
    }

    /// The client of an engine that listens.
    async fn client() -> AwsClient {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        engine().serve(listener);
        let settings = AwsSettings {
            region: "local".into(),
            access_key_id: "local".into(),
            secret_access_key: "local".into(),
            session_token: None,
            endpoint_urls: [Some(format!("http://{address}/")), None, None],
        };
        Aws::new(settings).client(Service::DynamoDb)
    }

    fn outcome<E: ProvideErrorMetadata>(
        result: Result<Option<Item>, E>,
        item: impl FnOnce(&E) -> Option<Item>,
    ) -> Outcome {
        result.map_err(|error| {
            let (code, message) = (error.code(), error.message());
            let text = |text: Option<&str>| text.map(str::to_owned);
            (text(code), text(message), item(&error))
        })
    }

    /// A call of both: of the engine in this process, and of the other one over HTTP.
    enum Call {
        Get(GetItemInputBuilder),
        Put(PutItemInputBuilder),
        Update(UpdateItemInputBuilder),
    }

    impl Call {
        async fn in_process(self, engine: &EngineTable) -> Outcome {
            match self {
                Self::Get(call) => {
                    let result = engine.get_item(call.build().expect("an input")).await;
                    outcome(result.map(|output| output.item), |_| None)
                }
                Self::Put(call) => {
                    let result = engine.put_item(call.build().expect("an input")).await;
                    outcome(result.map(|output| output.attributes), item_of_put)
                }
                Self::Update(call) => {
                    let result = engine.update_item(call.build().expect("an input")).await;
                    outcome(result.map(|output| output.attributes), item_of_update)
                }
            }
        }

        async fn over_http(self, client: &AwsClient) -> Outcome {
            match self {
                Self::Get(call) => {
                    let result = client.call(GetItem::new(), call.build()).await;
                    let result = result.map_err(SdkError::into_service_error);
                    outcome(result.map(|output| output.item), |_| None)
                }
                Self::Put(call) => {
                    let result = client.call(PutItem::new(), call.build()).await;
                    let result = result.map_err(SdkError::into_service_error);
                    outcome(result.map(|output| output.attributes), item_of_put)
                }
                Self::Update(call) => {
                    let result = client.call(UpdateItem::new(), call.build()).await;
                    let result = result.map_err(SdkError::into_service_error);
                    outcome(result.map(|output| output.attributes), item_of_update)
                }
            }
        }
    }

    fn item_of_put(error: &PutItemError) -> Option<Item> {
        match error {
            PutItemError::ConditionalCheckFailedException(failed) => failed.item.clone(),
            _ => None,
        }
    }

    fn item_of_update(error: &UpdateItemError) -> Option<Item> {
        match error {
            UpdateItemError::ConditionalCheckFailedException(failed) => failed.item.clone(),
            _ => None,
        }
    }

    fn bytes(bytes: &[u8]) -> AttributeValue {
        AttributeValue::B(Blob::new(bytes))
    }

    fn number(number: i64) -> AttributeValue {
        AttributeValue::N(number.to_string())
    }

    /// An item with a value of each kind.
    fn stored() -> Item {
        let text = AttributeValue::S("é".to_owned());
        let list = vec![
            text.clone(),
            number(2),
            AttributeValue::L(vec![bytes(&[3])]),
        ];
        let map = Item::from([("inner".to_owned(), AttributeValue::Bool(true))]);
        let blobs = vec![Blob::new([7]), Blob::new([8])];
        let entries = [
            ("pk", bytes(&[0, 1, 2])),
            ("n", number(1)),
            ("text", text),
            ("list", AttributeValue::L(list)),
            ("map", AttributeValue::M(map)),
            ("null", AttributeValue::Null(true)),
            ("texts", AttributeValue::Ss(vec!["a".into(), "b".into()])),
            ("numbers", AttributeValue::Ns(vec!["1".into(), "2".into()])),
            ("blobs", AttributeValue::Bs(blobs)),
        ];
        entries.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn get(table: &str, key: &[u8]) -> Call {
        let call = GetItemInput::builder().table_name(table);
        Call::Get(call.key("pk", bytes(key)).consistent_read(true))
    }

    fn put(item: Item) -> Call {
        let call = PutItemInput::builder()
            .table_name("otp")
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Call::Put(call)
    }

    /// Counts up to 3.
    fn count(expression: &str, returned: ReturnValue) -> Call {
        let call = UpdateItemInput::builder()
            .table_name("otp")
            .key("pk", bytes(&[0, 1, 2]))
            .update_expression(expression)
            .condition_expression("NOT #n >= :max")
            .expression_attribute_names("#n", "n")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":max", number(3))
            .return_values(returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Call::Update(call)
    }

    /// In an order in which each meets what the earlier ones have written.
    fn calls() -> Vec<Call> {
        vec![
            get("otp", &[0, 1, 2]),
            put(stored()),
            put(stored()),
            put(Item::from([("n".to_owned(), number(1))])),
            get("otp", &[0, 1, 2]),
            get("other", &[0, 1, 2]),
            count("ADD #n :one", ReturnValue::AllNew),
            count("SET #n = #n + :one", ReturnValue::None),
            count("ADD #n :one", ReturnValue::AllNew),
            count("SET", ReturnValue::None),
        ]
    }

    #[tokio::test]
    async fn engine_responds_in_process_as_over_http() {
        let (engine, client) = (EngineTable(engine()), client().await);
        let mut outcomes = vec![];
        for (number, (ours, theirs)) in calls().into_iter().zip(calls()).enumerate() {
            let outcome = ours.in_process(&engine).await;
            assert_eq!(outcome, theirs.over_http(&client).await, "call {number}");
            outcomes.push(outcome);
        }
        assert_eq!(outcomes[4], Ok(Some(stored())));
        let failed: Vec<_> = outcomes.iter().map(Result::is_err).collect();
        let expected = [0, 0, 1, 1, 0, 1, 0, 0, 1, 1].map(|failed| failed == 1);
        assert_eq!(failed, expected, "{outcomes:?}");
        let with_item = matches!(&outcomes[8], Err((_, _, Some(item))) if item["n"] == number(3));
        assert!(with_item, "{:?}", outcomes[8]);
    }
}
