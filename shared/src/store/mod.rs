//! Store: the table, its keys and conditions. One item per app and recipient, one write per decision.
//! The only module that names the DynamoDB client. Counters are decided by conditions, never read and then written;
//! a failed condition brings the item, so a refusal costs no read.

mod breakers;
mod change;
mod counter;
mod item;
mod sample_codec;
mod codec;
mod scope;
mod update;
mod window;

use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

pub use breakers::BreakerState;
pub use change::{Begin, Change};
pub use codec::DEFAULT_PURPOSE;
pub use counter::{Counter, Take, Taken};
use item::{Item, blob, n};
use update::{CLAIMED, Update, names_in};

use crate::crypto::seal::{Keyring, RecordKey};
use crate::domain::address::Address;
use crate::domain::code::Code;
use crate::domain::delivery::{Delivery, DeliveryStatus, DeliveryTag, HANDOVER_MARGIN_SECONDS};
use crate::domain::recipient::Recipient;
use crate::domain::time::RETENTION_SECONDS;
use crate::domain::time::{HOUR_SECONDS, Timestamp};
use crate::domain::verification::{Attempt, ClaimId, Nonce, Verification};

/// Beyond every window that the item enforces.
const TTL_SECONDS: i64 = RETENTION_SECONDS + HOUR_SECONDS;

/// The table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    seal: Arc<Keyring>,
    /// Held by whoever learns what became of earlier sends, so that an instance with many calls at once does it once.
    learning: Arc<tokio::sync::Mutex<()>>,
}

/// The table did not do what was asked, or did not say so in time. For the log only.
#[derive(Debug)]
pub struct StoreError(pub String);

/// A conditional write: done, or refused by its condition, with the recipient as it is.
#[derive(Debug)]
pub enum Written {
    /// With this result.
    Done(Recipient),
    /// Because of what stands there; nothing stands there, if `None`.
    Refused(Option<Recipient>),
}

/// What [`Store::raise`] did.
#[derive(Debug)]
pub enum Raised {
    /// The state moved up.
    Done(Recipient),
    /// It was there or above already, or another carrier has the message.
    Unchanged(Recipient),
    /// Nothing is known of this message any more.
    Gone,
}

/// What a worker writes after it handed a message over, or decided not to.
#[derive(Clone, Debug)]
pub struct StepResult {
    /// The message, its new state and the carrier that has it.
    pub delivery: Option<(DeliveryTag, DeliveryStatus, Option<String>)>,
    /// What the handover of a message noted beside that.
    pub handover: Option<Handover>,
    /// When the next step may be taken; never, if `None`.
    pub due: Option<Timestamp>,
    /// Rounds in which nobody took the message.
    pub rounds: u8,
}

/// What is known of a message once it was handed over, whatever is reported of it.
#[derive(Clone, Debug)]
pub struct Handover {
    /// The message.
    pub tag: DeliveryTag,
    /// Text messages that it was cut into; 0 if it is no text message.
    pub parts: u8,
    /// The carrier's own name for it, where the carrier is asked about it.
    pub vendor_id: Option<String>,
}

/// A claim on a verification's deliveries: what it held is named by what follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// The record.
    pub key: RecordKey,
    /// The verification.
    pub nonce: Nonce,
    /// The dispatch that won.
    pub sequence: u16,
    /// Until when.
    pub held_until: Timestamp,
    /// Its random name: two claims of one dispatch in one second differ.
    pub holder: ClaimId,
}

/// A step that nobody planned: after it comes nothing, unless a report says otherwise.
pub const NEVER: Timestamp = Timestamp(u32::MAX as i64);

impl Store {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &aws_types::SdkConfig, table: String, seal: Arc<Keyring>) -> Self {
        Self {
            client: Client::new(config),
            table,
            seal,
            learning: Arc::default(),
        }
    }

    /// Opens the connection, by asking for an item that is not there. A failure is told later, by whoever needs it.
    pub async fn warm_up(&self) {
        let _ = self
            .client
            .get_item()
            .table_name(&self.table)
            .key(item::KEY, blob(&[0; 16]))
            .send()
            .await;
    }

    /// The recipient's record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(
        &self,
        key: &RecordKey,
        now: Timestamp,
    ) -> Result<Option<Recipient>, StoreError> {
        Ok(self.record(key, now).await?.map(|record| record.recipient))
    }

    /// Appends `attempt` to the log of a verification that is pending and below its cap. One write, whatever the
    /// outcome; what comes back decides.
    ///
    /// # Errors
    /// [`StoreError`]: nothing may be said about the attempt.
    pub async fn attempt(
        &self,
        key: &RecordKey,
        nonce: &Nonce,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let entry = item::log_entry(attempt);
        let live_keys: Vec<(String, &str)> = self
            .seal
            .live_key_ids()
            .enumerate()
            .map(|(n, id)| (format!(":kid{n}"), id))
            .collect();
        let tokens: Vec<&str> = live_keys.iter().map(|(token, _)| token.as_str()).collect();
        let mut update = Update::when("id = :id AND attribute_not_exists(gone) AND exp > :now")
            .set("tries = list_append(tries, :entry)")
            .and("size(tries) < cap AND NOT contains(tries, :nonce)")
            .and(&format!("kid IN ({})", tokens.join(", ")))
            .value(":entry", AttributeValue::L(entry.to_vec()))
            .value(":id", blob(nonce))
            .value(":now", n(now.0))
            .value(":nonce", blob(&attempt.nonce));
        for (token, id) in live_keys {
            update = update.value(token, AttributeValue::S(id.to_owned()));
        }
        self.update(key, update, now).await
    }

    /// Claims the deliveries of a verification for one worker. Only the dispatch with the current sequence number, at
    /// its time, wins, and only if nobody holds them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, claim: &Claim, now: Timestamp) -> Result<Written, StoreError> {
        let update = Update::when("id = :id AND seq = :seq AND due <= :now AND held <= :now")
            .set("held = :until, who = :who")
            .and("attribute_not_exists(gone) AND exp >= :in_time")
            .value(":in_time", n((now + HANDOVER_MARGIN_SECONDS).0))
            .value(":until", n(claim.held_until.0))
            .value(":who", blob(&claim.holder))
            .value(":id", blob(&claim.nonce))
            .value(":seq", n(claim.sequence))
            .value(":now", n(now.0));
        let written = self.update(key_of(claim), update, now).await?;
        Ok(match written {
            // Our own write, its answer lost, was repeated by the SDK.
            Written::Refused(Some(there))
                if there
                    .verification
                    .as_ref()
                    .is_some_and(|v| claim.is_held_by(v)) =>
            {
                Written::Done(there)
            }
            written => written,
        })
    }

    /// Adds `delivery` to a claimed verification, in the place of the `dropped` one if there are too many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn add_delivery(
        &self,
        claim: &Claim,
        delivery: &Delivery,
        fallbacks_used: u8,
        dropped: Option<DeliveryTag>,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut update = Update::when(CLAIMED)
            .set("msgs.#tag = :delivery, fb = :fb, try = :zero")
            .and("attribute_not_exists(msgs.#tag)")
            .named("#tag", item::tag_name(&delivery.tag))
            .value(":delivery", item::delivery_map(delivery))
            .value(":fb", n(fallbacks_used))
            .value(":zero", n(0))
            .claimed(claim);
        if let Some(tag) = dropped {
            update = update
                .remove("msgs.#dropped")
                .named("#dropped", item::tag_name(&tag));
        }
        self.update(key_of(claim), update, now).await
    }

    /// Ends a claimed step: the delivery's new state, if it is above the old one, and when the next step is due.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_step(
        &self,
        claim: &Claim,
        result: &StepResult,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut update = Update::when(CLAIMED)
            .set("seq = :next, due = :due, held = :now, try = :rounds")
            .value(":next", n(claim.sequence.saturating_add(1)))
            .value(":due", n(result.due.unwrap_or(NEVER).0))
            .value(":now", n(now.0))
            .value(":rounds", n(result.rounds))
            .claimed(claim);
        if let Some((tag, status, carrier)) = &result.delivery {
            update = update.raising(tag, *status, carrier.as_deref(), now);
        }
        if let Some(handover) = &result.handover {
            update = update.noting(handover);
        }
        self.update(key_of(claim), update, now).await
    }

    /// Raises the state of one message: one conditional write; for a verification that is not the one of now any more, a
    /// read and a write beside it. A bad end makes the next step due at once.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn raise(
        &self,
        key: &RecordKey,
        tag: &DeliveryTag,
        status: DeliveryStatus,
        carrier: Option<&str>,
        now: Timestamp,
    ) -> Result<Raised, StoreError> {
        let mut update =
            Update::when("attribute_exists(msgs.#tag)").raising(tag, status, carrier, now);
        if status.ended_badly() {
            update = update.set("due = :now").value(":now", n(now.0));
        }
        let there = match self.update(key, update, now).await? {
            Written::Done(recipient) => return Ok(Raised::Done(recipient)),
            Written::Refused(None) => return Ok(Raised::Gone),
            Written::Refused(Some(there)) => there,
        };
        if there
            .verification
            .iter()
            .any(|v| v.deliveries.iter().any(|delivery| delivery.tag == *tag))
        {
            return Ok(Raised::Unchanged(there));
        }
        let rule = |recipient: &mut Recipient| {
            Ok::<_, std::convert::Infallible>(match recipient.raise(tag, status, carrier, now) {
                Some(true) => Change::Write(Raised::Done(recipient.clone())),
                Some(false) => Change::Keep(Raised::Unchanged(recipient.clone())),
                None => Change::Keep(Raised::Gone),
            })
        };
        Ok(self
            .change(key, &there.app, Begin::Read, now, rule)
            .await?
            .unwrap_or_else(|never| match never {}))
    }

    /// Seals a code for its verification.
    #[must_use]
    pub fn seal_code(&self, key: &RecordKey, nonce: &Nonce, code: &Code) -> Vec<u8> {
        item::seal_code(&self.seal, key, nonce, code)
    }

    /// The code of `verification`; `None` if the key that sealed it is gone.
    #[must_use]
    pub fn open_code(&self, key: &RecordKey, verification: &Verification) -> Option<Code> {
        item::open_code(&self.seal, key, verification)
    }

    /// Seals an address for its record.
    #[must_use]
    pub fn seal_address(&self, key: &RecordKey, address: &Address) -> Vec<u8> {
        item::seal_address(&self.seal, key, address)
    }

    async fn update(
        &self,
        key: &RecordKey,
        update: Update,
        now: Timestamp,
    ) -> Result<Written, StoreError> {
        let mut call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(item::KEY, blob(key))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let expression = format!("SET {}{}", update.set.join(", "), update.remove);
        for name in names_in(&[&expression, &update.condition]) {
            let attribute = update
                .names
                .iter()
                .find(|(token, _)| *token == name)
                .map_or(&name[1..], |(_, attribute)| attribute.as_str())
                .to_owned();
            call = call.expression_attribute_names(name, attribute);
        }
        for (token, value) in update.values {
            call = call.expression_attribute_values(token, value);
        }
        let call = call
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":ttl", n((now + TTL_SECONDS).0))
            .update_expression(expression)
            .condition_expression(update.condition);
        let recipient = |there: Option<&Item>| {
            there.map(|there| item::read(&self.seal, key, there, now).recipient)
        };
        match call.send().await {
            Ok(output) => Ok(Written::Done(
                recipient(output.attributes()).unwrap_or_default(),
            )),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Written::Refused(recipient(refused.item())))
                }
                _ => Err(store_error(&error)),
            },
        }
    }
}

impl Claim {
    /// Whether `verification` is held by this very claim.
    #[must_use]
    pub fn is_held_by(&self, verification: &Verification) -> bool {
        let step = verification.step;
        verification.params.nonce == self.nonce
            && step.sequence == self.sequence
            && step.holder == self.holder
    }

    /// Whether this very claim ended its step on `verification`, and nobody has come after it.
    #[must_use]
    pub fn is_ended_on(&self, verification: &Verification) -> bool {
        let step = verification.step;
        verification.params.nonce == self.nonce
            && step.sequence == self.sequence.saturating_add(1)
            && step.holder == self.holder
    }
}

fn key_of(claim: &Claim) -> &RecordKey {
    &claim.key
}

fn store_error<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E>,
) -> StoreError {
    StoreError(crate::platform::logging::causes(error))
}
