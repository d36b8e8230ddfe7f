//! Notations of codes: what a person may type, and what cannot be a code.

use crate::support::{
    CheckResult, NO_SEND_LIMITS, Service, another_code, assert_approved, assert_check,
    assert_problem, phone,
};

#[tokio::test]
async fn code_with_spaces_and_hyphens_is_valid() {
    let service = Service::start().await;
    for (n, typed) in [
        (1, "ab cd ef"),
        (2, "abc-def"),
        (3, " abcdef "),
        (4, "-a-b-c-d-e-f-"),
        (5, "a  b  c  d  e  f                    "),
    ] {
        let (id, code) = service.open(&phone(n)).await;
        let typed = typed.chars().map(|c| {
            if c.is_ascii_lowercase() {
                char::from(code.as_bytes()[c as usize - 'a' as usize])
            } else {
                c
            }
        });
        assert!(
            service
                .check(&id, &typed.collect::<String>())
                .await
                .is_valid()
        );
    }
}

#[tokio::test]
async fn letters_of_a_code_are_valid_in_either_case() {
    let service = Service::start_with(&[("OTP_CODE_ALPHABET", "alphanumeric")]).await;
    for n in 1..=4 {
        let (id, code) = service.open(&phone(n)).await;
        assert!(
            code.len() == 6
                && code
                    .chars()
                    .all(|c| "23456789BCDFGHJKMNPQRSTVWXZ".contains(c)),
            "an alphabet without characters that look alike"
        );
        assert_check(
            &service
                .check(&id, &another_code(&code).to_lowercase())
                .await,
            "wrong_code",
            "pending",
            4,
        );
        let typed = format!("{}-{}", &code[..3].to_lowercase(), &code[3..]);
        assert!(service.check(&id, &typed).await.is_valid());
    }
    let (id, _) = service.open(&phone(5)).await;
    for foreign in ["ABCDEF", "BCD230", "BCD231", "BCDLOI", "BCDUYE", "ſßſßſß"] {
        assert_eq!(
            service.check(&id, foreign).await.problem(),
            (422, "invalid_code"),
            "{foreign}"
        );
    }
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
}

#[tokio::test]
async fn pasted_code_is_valid() {
    let service = Service::start_with(&NO_SEND_LIMITS).await;
    let in_script = |code: &str, zero: u32| -> String {
        let digit = |digit| char::from_u32(zero + u32::from(digit - b'0'));
        code.bytes().filter_map(digit).collect()
    };
    for (n, typed) in [
        |code: &str| format!("{code}\r\n"),
        |code: &str| format!("\u{2003}{code}\u{a0}"),
        |code: &str| format!("{}\t{}", &code[..3], &code[3..]),
        |code: &str| format!("{}–{}", &code[..3], &code[3..]),
        |code: &str| format!("{}\u{2011}{}\u{2212}", &code[..3], &code[3..]),
        |code: &str| format!("\u{202a}{code}\u{202c}"),
        |code: &str| format!("\u{feff}{}\u{200b}{}\u{fe0f}", &code[..3], &code[3..]),
    ]
    .into_iter()
    .enumerate()
    {
        let (id, code) = service.open(&phone(n as u32 + 1)).await;
        assert_approved(&service.check(&id, &typed(&code)).await, 4);
    }
    for (n, zero) in [(21, 0xff10), (22, 0x660), (23, 0x6f0), (24, 0x966)] {
        let (id, code) = service.open(&phone(n)).await;
        assert_approved(&service.check(&id, &in_script(&code, zero)).await, 4);
    }
}

#[tokio::test]
async fn malformed_code_costs_no_attempt() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    let decorated = [
        format!("+{code}"),
        format!("({code})"),
        format!("{}.{}", &code[..3], &code[3..]),
        format!("{}/{}", &code[..3], &code[3..]),
        format!("{}\n{}", &code[..3], &code[3..]),
        format!("{}\u{2029}{}", &code[..3], &code[3..]),
        format!("{code}\u{20e3}"),
    ];
    for typed in [
        "",
        "1",
        "123",
        "12 3",
        "12345678901",
        "12345a",
        "abcdef",
        "12.345",
        "0x1234",
        "1e5",
        "    ",
        "------",
    ] {
        assert_eq!(
            service.check(&id, typed).await.problem(),
            (422, "invalid_code"),
            "{typed:?}"
        );
    }
    for typed in &decorated {
        assert_eq!(
            service.check(&id, typed).await.problem(),
            (422, "invalid_code"),
            "{typed:?}"
        );
    }
    let large = "1".repeat(10_000);
    assert_problem(&service.check(&id, &large).await, 422, "invalid_code");
    assert_eq!(service.show(&id).await.body["attempts_left"], 5);
    assert_approved(&service.check(&id, &code).await, 4);
}

#[tokio::test]
async fn code_of_another_length_is_a_wrong_code() {
    let service = Service::start().await;
    let (id, code) = service.open(&phone(1)).await;
    for (typed, left) in [
        (code[..4].to_owned(), 4),
        (code[..5].to_owned(), 3),
        (format!("{code}0"), 2),
        (format!("0000{code}"), 1),
    ] {
        assert_eq!(
            service.check(&id, &typed).await.check_result(),
            CheckResult::failed("wrong_code", "pending", left),
            "{}",
            typed.len()
        );
    }
    assert!(service.check(&id, &code).await.is_valid());
}
