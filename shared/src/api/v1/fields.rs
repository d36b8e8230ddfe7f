//! Fields that several requests have.

use crate::domain::verification::Transaction;
use crate::message::shows;
use crate::platform::json::Fields;

/// Each of amount, currency and payee.
const TRANSACTION_TEXT_LENGTH_MAX: usize = 64;

/// What a purpose may be, for messages.
pub const PURPOSE_WORDS: &str = "1 to 32 characters of a-z, 0-9, _ and -";

/// A purpose, if `text` can be one.
#[must_use]
pub fn purpose(text: &str) -> Option<String> {
    let fits = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    fits.then(|| text.to_owned())
}

/// The `transaction` of a body.
pub fn transaction(fields: &mut Fields) -> Option<Transaction> {
    fields.object("transaction", |nested| {
        let [amount, currency, payee] = ["amount", "currency", "payee"].map(|name| {
            let text = nested.required_text_of(name, 1..=TRANSACTION_TEXT_LENGTH_MAX);
            if !text.is_empty() && !shows(&text) {
                nested.refuse(name, "Must contain at least one visible character.");
            }
            text
        });
        Transaction {
            amount,
            currency,
            payee,
        }
    })
}
