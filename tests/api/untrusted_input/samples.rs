//! Bodies that no request accepts.

use serde_json::{Value, json};

use super::MIB;

/// Texts that are not a request object, whatever the path.
const MALFORMED_TEXTS: [(&str, &str); 30] = [
    ("nothing but space", "  \n"),
    ("null", "null"),
    ("a number", "1"),
    ("a string", "\"to\""),
    ("a list", "[]"),
    (
        "a list of objects",
        r#"[{"to":"+33610010007","code":"123456"}]"#,
    ),
    ("cut off", r#"{"to":"+33610010007""#),
    (
        "two documents",
        r#"{"to":"+33610010007"}{"to":"+33610020014"}"#,
    ),
    ("a tail", r#"{"to":"+33610010007"} x"#),
    ("a trailing comma", r#"{"to":"+33610010007",}"#),
    ("a comment", r#"{"to":"+33610010007"/*x*/}"#),
    ("single quotes", "{'to':'+33610010007'}"),
    ("bare names", "{to:\"+33610010007\"}"),
    ("a form", "to=%2B33610010007&code=123456"),
    (
        "XML",
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><to>&e;</to>",
    ),
    (
        "two byte order marks",
        "\u{feff}\u{feff}{\"to\":\"+33610010007\"}",
    ),
    (
        "a byte order mark after a space",
        " \u{feff}{\"to\":\"+33610010007\"}",
    ),
    ("a raw NUL", "{\"to\":\"+3361001\u{0}0007\"}"),
    ("a raw newline in a string", "{\"to\":\"+33610010007\n\"}"),
    ("NaN", r#"{"to":"+33610010007","ttl_seconds":NaN}"#),
    (
        "a leading zero",
        r#"{"to":"+33610010007","ttl_seconds":060}"#,
    ),
    ("a bad escape", r#"{"to":"\x2b33610010007"}"#),
    (
        "a lone high surrogate",
        r#"{"to":"+33610010007","code":"\ud800","reference":"\ud800"}"#,
    ),
    (
        "a lone low surrogate",
        r#"{"to":"+33610010007","code":"\udc00","reference":"\udc00"}"#,
    ),
    (
        "a surrogate in a name",
        r#"{"to":"+33610010007","\ud800":1}"#,
    ),
    (
        "a number out of range",
        r#"{"to":"+33610010007","ttl_seconds":1e999999}"#,
    ),
    (
        "the same field twice",
        r#"{"to":"+33610010007","to":"+33610020014","code":"123456","code":"654321"}"#,
    ),
    (
        "the same field twice, escaped",
        r#"{"to":"+33610010007","\u0074o":"+33610020014"}"#,
    ),
    (
        "the same field twice, once null",
        r#"{"to":null,"to":"+33610010007"}"#,
    ),
    (
        "the same field twice, nested",
        r#"{"to":"+33610010007","code":"123456","transaction":{"amount":"1","amount":"1000","currency":"EUR","payee":"P"}}"#,
    ),
];

/// Bodies that are not a request object, whatever the path.
pub fn malformed_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let texts = MALFORMED_TEXTS.map(|(case, text)| (case, text.as_bytes().to_vec()));
    let mut all = texts.to_vec();
    all.extend(other_encodings());
    all.extend(long_bodies());
    all
}

fn other_encodings() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "invalid UTF-8",
            b"{\"to\":\"+33610010007\",\"reference\":\"\xff\xfe\"}".to_vec(),
        ),
        (
            "an overlong slash",
            b"{\"to\":\"+33610010007\",\"reference\":\"\xc0\xaf\"}".to_vec(),
        ),
        (
            "UTF-16",
            "{\"to\":\"+33610010007\"}"
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
        ),
        (
            "gzip",
            vec![
                0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56, 0x2a, 0xc9, 0x57,
            ],
        ),
    ]
}

/// Bodies that are deep or long. Their rejection must not take long.
fn long_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let field = |start: &str, value: Vec<u8>, end: &str| {
        [start.as_bytes(), &value, end.as_bytes()].concat()
    };
    vec![
        ("8,000 nested lists", nested("[", 8000, "", "]")),
        ("15,000 open lists", nested("[", 15_000, "", "")),
        ("2,500 nested objects", nested("{\"a\":", 2500, "1", "}")),
        (
            "a deep value of a field",
            field("{\"to\":", nested("[", 8000, "", "]"), "}"),
        ),
        ("1 MiB of lists", nested("[", MIB / 2, "", "]")),
        ("1 MiB of space", vec![b' '; MIB]),
        (
            "1 MiB of a string",
            field("{\"to\":\"", vec![b'1'; MIB], "\"}"),
        ),
        ("1 MiB of NULs", vec![0; MIB]),
        (
            "a number of 100,000 digits",
            field("{\"ttl_seconds\":", vec![b'9'; 100_000], "}"),
        ),
        (
            "a number of 16,000 digits",
            field("{\"ttl_seconds\":", vec![b'9'; 16_000], "}"),
        ),
        (
            "a fraction of 16,000 digits",
            field("{\"ttl_seconds\":60.", vec![b'0'; 16_000], "1}"),
        ),
    ]
}

/// `open` repeated, `middle`, and `close` as often.
fn nested(open: &str, times: usize, middle: &str, close: &str) -> Vec<u8> {
    format!("{}{}{}", open.repeat(times), middle, close.repeat(times)).into_bytes()
}

/// Objects that are invalid for every request.
pub fn invalid_objects() -> Vec<(&'static str, Value)> {
    let many: Value = (0..300)
        .map(|n| (format!("f{n}"), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    vec![
        ("no field", json!({})),
        ("300 unknown fields", many),
        (
            "a name of 15,000 characters",
            json!({"x".repeat(15_000): 1}),
        ),
        (
            "a prototype",
            json!({"__proto__": {"to": "+33610010007"}, "constructor": 1}),
        ),
        (
            "an operator",
            json!({"to": {"$ne": null}, "code": {"$gt": ""}}),
        ),
        (
            "lists for strings",
            json!({"to": ["+33610010007"], "code": ["123456"]}),
        ),
        (
            "numbers for strings",
            json!({"to": 33610010007_u64, "code": 123456}),
        ),
        ("booleans for strings", json!({"to": true, "code": true})),
        (
            "a code of 15,000 digits and a number as long",
            json!({"to": "1".repeat(7500), "code": "1".repeat(7500)}),
        ),
        (
            "an escaped NUL",
            json!({"to": "+33610010007\u{0}", "code": "12345\u{0}"}),
        ),
        (
            "an e-mail address of many dots",
            json!({"to": format!("{}@example.com", "a.".repeat(5000)), "channel": "email", "code": ""}),
        ),
        (
            "an e-mail address of many at-signs",
            json!({"to": "@".repeat(15_000), "channel": "email", "code": ""}),
        ),
        (
            "a phone number of spaces",
            json!({"to": " ".repeat(15_000), "code": " ".repeat(15)}),
        ),
        (
            "a direction mark",
            json!({"to": "\u{202e}+33610010007", "code": "\u{202e}123456"}),
        ),
        (
            "fullwidth digits",
            json!({"to": "＋３３６１００１０００７", "code": "１２３４５６"}),
        ),
    ]
}
