//! Fuzz targets: libFuzzer makes inputs for one reader, guided by the coverage of `otp`.
//! `OTP_FUZZ_TARGET` names the reader. The readers are those of `api/untrusted_input/corpora`, to
//! which the tests give the examples and changed examples.
//!
//! Invariant: an input that makes a reader panic ends the program.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

#[path = "../api/untrusted_input/corpora/callbacks.rs"]
mod callbacks;
#[path = "../api/untrusted_input/corpora/headers.rs"]
mod headers;
#[path = "../api/untrusted_input/corpora/json_bodies.rs"]
mod json_bodies;
#[path = "../api/untrusted_input/corpora/queue_messages.rs"]
mod queue_messages;
#[path = "../api/untrusted_input/corpora/recipients.rs"]
mod recipients;
#[path = "../api/untrusted_input/corpora/stored_items.rs"]
mod stored_items;

/// Reads one input.
type Reader = fn(&[u8]);

const READERS: [(&str, Reader); 6] = [
    ("callbacks", callbacks::run),
    ("headers", headers::run),
    ("json_bodies", json_bodies::run),
    ("queue_messages", queue_messages::run),
    ("recipients", recipients::run),
    ("stored_items", stored_items::run),
];

#[expect(
    clippy::disallowed_methods,
    reason = "a setting of this program, not of the service"
)]
static READER: LazyLock<Reader> = LazyLock::new(|| {
    let target = std::env::var("OTP_FUZZ_TARGET").unwrap_or_default();
    let reader = READERS.iter().find(|(name, _)| *name == target);
    reader.expect("OTP_FUZZ_TARGET names a target").1
});

fuzz_target!(|input: &[u8]| READER(input));
