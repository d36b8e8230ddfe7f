//! The embedded engine is atomic. If it were not, the tests of races would prove nothing.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::put_item::builders::PutItemInputBuilder;
use aws_sdk_dynamodb::operation::put_item::{PutItem, PutItemInput};
use aws_sdk_dynamodb::operation::update_item::{UpdateItem, UpdateItemInput};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use otp::platform::aws::{Aws, AwsSettings, Service as AwsService};
use otp::platform::aws_client::AwsClient;

use crate::support::{Service, at_once};

/// A client of the engine, and the name of its table.
async fn engine() -> (AwsClient, String) {
    let service = Service::start().await;
    let settings = AwsSettings {
        region: "local".into(),
        access_key_id: "local".into(),
        secret_access_key: "local".into(),
        session_token: None,
        endpoint_urls: [Some(service.dynamodb_url), None, None],
    };
    (
        Aws::new(settings).client(AwsService::DynamoDb),
        service.table,
    )
}

/// Whether the item was put.
async fn is_put(client: &AwsClient, put: PutItemInputBuilder) -> bool {
    client.call(PutItem::new(), put.build()).await.is_ok()
}

fn key(round: u8) -> AttributeValue {
    AttributeValue::B(Blob::new([round; 16]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engine_applies_conditional_updates_one_by_one() {
    let (client, table) = engine().await;
    for round in 0..5 {
        let update = |_| {
            let call = UpdateItemInput::builder()
                .table_name(&table)
                .key("pk", key(round))
                .return_values(ReturnValue::AllNew);
            let call = call.update_expression(
                "SET #log = list_append(if_not_exists(#log, :none), :one), #n = if_not_exists(#n, :zero) + :step",
            );
            let call = call.condition_expression("attribute_not_exists(#log) OR size(#log) < :cap");
            let call = call
                .expression_attribute_names("#log", "log")
                .expression_attribute_names("#n", "n");
            let number = |n: u32| AttributeValue::N(n.to_string());
            let values = [
                (":none", AttributeValue::L(vec![])),
                (":one", AttributeValue::L(vec![number(1)])),
                (":zero", number(0)),
                (":step", number(1)),
                (":cap", number(7)),
            ];
            let call = values.into_iter().fold(call, |call, (name, value)| {
                call.expression_attribute_values(name, value)
            });
            let client = client.clone();
            async move {
                let response = client.call(UpdateItem::new(), call.build()).await.ok()?;
                let item = response.attributes()?;
                Some((
                    item["log"].as_l().ok()?.len(),
                    item["n"].as_n().ok()?.clone(),
                ))
            }
        };
        let applied: BTreeSet<_> = at_once(64, update).await.into_iter().flatten().collect();
        let expected: BTreeSet<_> = (1..=7).map(|n: usize| (n, n.to_string())).collect();
        assert_eq!(
            applied, expected,
            "seven updates, each based on the one before"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engine_creates_and_replaces_an_item_once() {
    let (client, table) = engine().await;
    for round in 100..105 {
        let create = |n: usize| {
            let version = AttributeValue::N(n.to_string());
            let put = PutItemInput::builder()
                .table_name(&table)
                .item("pk", key(round))
                .item("ver", version);
            let put = put.condition_expression("attribute_not_exists(pk)");
            let client = client.clone();
            async move { is_put(&client, put).await.then_some(n) }
        };
        let created: Vec<_> = at_once(64, create).await.into_iter().flatten().collect();
        assert_eq!(created.len(), 1);
        let version = AttributeValue::N(created[0].to_string());
        let replace = |n: usize| {
            let next = AttributeValue::N((1000 + n).to_string());
            let put = PutItemInput::builder()
                .table_name(&table)
                .item("pk", key(round))
                .item("ver", next);
            let put = put
                .condition_expression("ver = :ver")
                .expression_attribute_values(":ver", version.clone());
            let client = client.clone();
            async move { is_put(&client, put).await }
        };
        assert_eq!(
            at_once(64, replace)
                .await
                .into_iter()
                .filter(|done| *done)
                .count(),
            1
        );
    }
}
