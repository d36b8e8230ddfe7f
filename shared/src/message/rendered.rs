//! A rendered message.
//!
//! Invariant: `Debug` shows no text, because every text contains the code.

use std::fmt;

use super::gsm7::Encoding;

/// A rendered message, ready for a carrier.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The text, which contains the code. For an e-mail its plain-text form.
    pub text: String,
    /// The subject of an e-mail.
    pub subject: Option<String>,
    /// The HTML form of an e-mail.
    pub html: Option<String>,
    /// The alphabet that the text needs as an SMS.
    pub encoding: Encoding,
    /// The number of SMS that are billed; 1 for other channels.
    pub parts: u8,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("encoding", &self.encoding)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
