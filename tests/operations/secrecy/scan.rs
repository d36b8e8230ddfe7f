//! Searches texts and stored items for codes and numbers, in any encoding.

use std::collections::BTreeSet;

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use md5::Digest as _;
use ring::digest;
use serde_json::Value;

use super::traffic::EMAIL;
use crate::support::phone;

/// The numbers in use, in E.164.
pub fn numbers() -> Vec<String> {
    (1..=30).map(phone).collect()
}

/// What must not be found: numbers in several notations, e-mail addresses, and both in base64 and
/// hexadecimal.
pub fn encodings() -> Vec<Vec<u8>> {
    let notations = |e164: String| {
        let (digits, national) = (e164[1..].to_owned(), e164[3..].to_owned());
        [e164, digits, format!("0{national}"), national]
    };
    let plain: Vec<String> = numbers()
        .into_iter()
        .flat_map(notations)
        .chain([EMAIL.to_owned(), EMAIL.replace('@', "%40")])
        .collect();
    let encoded = |text: &String| {
        let bytes = text.as_bytes();
        [
            BASE64_NOPAD.encode(bytes),
            BASE64URL_NOPAD.encode(bytes),
            HEXLOWER.encode(bytes),
            HEXUPPER.encode(bytes),
        ]
        .map(String::into_bytes)
    };
    plain
        .iter()
        .flat_map(|text| [vec![text.clone().into_bytes()], encoded(text).to_vec()].concat())
        .collect()
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether `text` contains `code` as a word.
pub fn contains_word(text: &str, code: &str) -> bool {
    text.match_indices(code).any(|(at, _)| {
        let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        !is_word(text[..at].chars().next_back()) && !is_word(text[at + code.len()..].chars().next())
    })
}

/// The decoded content of a string that is base64 or hexadecimal.
pub fn decoded(text: &str) -> Vec<Vec<u8>> {
    [&BASE64, &BASE64_NOPAD, &BASE64URL_NOPAD, &HEXLOWER]
        .into_iter()
        .filter_map(|encoding| encoding.decode(text.as_bytes()).ok())
        .collect()
}

/// All strings and names of a document.
pub fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().flat_map(strings).collect(),
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| [vec![name.clone()], strings(value)].concat())
            .collect(),
        _ => vec![],
    }
}

/// Asserts that `text` contains no number and no code.
pub fn assert_no_secret(place: &str, text: &str, codes: &BTreeSet<String>) {
    for spelling in encodings() {
        assert!(
            !contains(text.as_bytes(), &spelling),
            "{place} contains {}: {text}",
            String::from_utf8_lossy(&spelling)
        );
    }
    for code in codes {
        assert!(
            !contains_word(text, code),
            "{place} contains the code {code}: {text}"
        );
    }
}

/// Asserts that the stored state, raw and decoded, contains no number, no code, and no plain hash
/// of a number.
pub fn assert_sealed(state: &Value, codes: &BTreeSet<String>) {
    assert_no_secret("/local/state", &state.to_string(), codes);
    let hidden: Vec<Vec<u8>> = strings(state)
        .iter()
        .flat_map(|text| decoded(text))
        .collect();
    let hashes: Vec<Vec<u8>> = numbers()
        .iter()
        .map(String::as_str)
        .chain([EMAIL])
        .flat_map(plain_hashes)
        .collect();
    for bytes in &hidden {
        for spelling in encodings() {
            assert!(
                !contains(bytes, &spelling),
                "{} is stored readable",
                String::from_utf8_lossy(&spelling)
            );
        }
        assert!(
            codes.iter().all(|code| !contains(bytes, code.as_bytes())),
            "a code is stored readable"
        );
        assert!(
            hashes.iter().all(|hash| !contains(bytes, &hash[..8])),
            "a plain hash of a number is stored"
        );
    }
    assert!(hidden.len() > 50, "{} strings were scanned", hidden.len());
}

/// Hashes that a weak key of a recipient could be.
pub fn plain_hashes(address: &str) -> Vec<Vec<u8>> {
    let digits = address.trim_start_matches('+');
    let mut inputs = vec![address.to_owned(), digits.to_owned()];
    for separator in ["", ":", "#", "/", "|", "\0"] {
        inputs.extend(["default", "shop"].map(|app| format!("{app}{separator}{address}")));
    }
    let hashes = |input: &String| {
        let bytes = input.as_bytes();
        let ring = |algorithm| digest::digest(algorithm, bytes).as_ref().to_vec();
        [
            ring(&digest::SHA256),
            ring(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            ring(&digest::SHA512),
            md5::Md5::digest(bytes).to_vec(),
        ]
    };
    inputs.iter().flat_map(hashes).collect()
}
