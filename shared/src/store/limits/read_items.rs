//! Reads of items, one or many at once.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::domain::ids::RecordKey;
use crate::store::attributes::{self, Item, binary, bytes};
use crate::store::{Store, StoreError};

/// Keys of one BatchGetItem.
const KEYS_MAX: usize = 100;

impl Store {
    /// The item under `key`.
    pub(super) async fn get(
        &self,
        key: RecordKey,
        is_consistent: bool,
    ) -> Result<Option<Item>, StoreError> {
        let read = self
            .get_item()
            .key(attributes::KEY, binary(&key.0))
            .consistent_read(is_consistent);
        let read = self.send_get(read).await;
        Ok(read.map_err(StoreError::request)?.item)
    }

    /// The items under `keys`, none of which is repeated: `None` where there is no item. Keys that
    /// the table left unprocessed are missing in the result.
    pub(super) async fn batch_get(
        &self,
        keys: &[RecordKey],
        is_consistent: bool,
    ) -> Result<HashMap<RecordKey, Option<Item>>, StoreError> {
        let mut items = HashMap::new();
        for keys in keys.chunks(KEYS_MAX) {
            self.batch_get_chunk(keys, is_consistent, &mut items)
                .await?;
        }
        Ok(items)
    }

    async fn batch_get_chunk(
        &self,
        keys: &[RecordKey],
        is_consistent: bool,
        items: &mut HashMap<RecordKey, Option<Item>>,
    ) -> Result<(), StoreError> {
        let mut request = KeysAndAttributes::builder().consistent_read(is_consistent);
        for key in keys {
            request = request.keys(Item::from([(attributes::KEY.into(), binary(&key.0))]));
        }
        let request = request.build().map_err(StoreError::request)?;
        let read = self.send_batch_get(request).await;
        let mut output = read.map_err(StoreError::request)?;
        let found = output
            .responses
            .as_mut()
            .and_then(|tables| tables.remove(&self.table));
        let unprocessed = output
            .unprocessed_keys
            .as_mut()
            .and_then(|tables| tables.remove(&self.table));
        items.extend(keys.iter().map(|key| (*key, None)));
        for key in unprocessed.iter().flat_map(|left| &left.keys) {
            if let Some(key) = key_of(key) {
                items.remove(&key);
            }
        }
        for item in found.into_iter().flatten() {
            if let Some(key) = key_of(&item) {
                items.insert(key, Some(item));
            }
        }
        Ok(())
    }
}

fn key_of(item: &Item) -> Option<RecordKey> {
    bytes(item, attributes::KEY).try_into().ok().map(RecordKey)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::attributes::{number, number_value};
    use crate::store::expression::Update;
    use crate::store::tests::TestTable;

    #[tokio::test]
    async fn items_are_read_one_or_many_at_once() {
        let table = TestTable::start().await;
        let store = table.store();
        let keys: Vec<_> = (0..=100).map(|n| RecordKey([n; 12])).collect();
        for (n, key) in keys.iter().enumerate().skip(1) {
            let update = Update::default().set("n = :n").value(":n", number_value(n));
            store.update(*key, update, None).await.expect("a write");
        }
        let items = store.batch_get(&keys, true).await.expect("a read");
        assert_eq!(items.len(), 101);
        for (n, key) in (0..).zip(&keys) {
            let stored = items[key].as_ref().map(|item| number(item, "n"));
            assert_eq!(stored, (n > 0).then_some(n));
            let one = store.get(*key, true).await.expect("a read");
            assert_eq!(one.map(|item| number(&item, "n")), stored);
        }
        assert!(
            store
                .batch_get(&[], true)
                .await
                .expect("no read")
                .is_empty()
        );
    }
}
