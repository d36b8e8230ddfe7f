//! The one table of errors: every native code and limit, and what Twilio calls it.
//!
//! Invariant: every native code that a request of this dialect can cause has a row. Only
//! `in_progress` and `idempotency_mismatch` have none: `Idempotency-Key` is not read here.

use crate::api::problem::ErrorCode;
use crate::domain::rate_limit::Limit;

/// Which of the conditions of one native code holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// There is only one.
    Always,
    /// A required parameter is absent.
    Missing,
    /// A parameter has a wrong value.
    Wrong,
    /// One of two parameters that belong together is absent.
    Incomplete,
    /// This service does not offer what a parameter asks for.
    NotOffered,
    /// The number is a fixed line.
    FixedLine,
    /// Nothing is ever sent to this kind or range of numbers.
    Blocked,
    /// One of these limits is exceeded.
    Limits(&'static [&'static str]),
    /// The verification has no attempts left.
    NoAttemptsLeft,
}

/// What one native error is here.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Row {
    pub(super) code: ErrorCode,
    pub(super) when: When,
    pub(super) status: u16,
    /// Twilio's number.
    pub(super) number: u32,
    /// `{}` is a parameter or a path.
    pub(super) message: &'static str,
}

const INVALID: &str = "Invalid parameter `{}`";
const NOT_SUPPORTED: &str = "Service does not support this feature";
const BLOCKED: &str = "Verification delivery attempt blocked";
const CHECKS_USED: &str = "Max check attempts reached";

const fn row(code: ErrorCode, when: When, status: u16, number: u32, message: &'static str) -> Row {
    Row {
        code,
        when,
        status,
        number,
        message,
    }
}

/// The table.
pub(super) static ROWS: [Row; 24] = {
    use ErrorCode as E;
    use When as W;
    [
        row(E::Unauthorized, W::Always, 401, 20003, "Authenticate"),
        row(
            E::NotFound,
            W::Always,
            404,
            20404,
            "The requested resource {} was not found",
        ),
        row(
            E::MethodNotAllowed,
            W::Always,
            405,
            20004,
            "Method not allowed",
        ),
        row(
            E::BodyTooLarge,
            W::Always,
            413,
            20413,
            "Request body too large",
        ),
        row(
            E::UnsupportedMediaType,
            W::Always,
            415,
            20415,
            "Unsupported media type",
        ),
        row(E::MalformedRequest, W::Wrong, 400, 60200, INVALID),
        row(
            E::MalformedRequest,
            W::Always,
            400,
            60200,
            "Invalid request body",
        ),
        row(
            E::InvalidRequest,
            W::Missing,
            400,
            60200,
            "Missing required parameter `{}`",
        ),
        row(E::InvalidRequest, W::Wrong, 400, 60200, INVALID),
        row(
            E::InvalidRequest,
            W::Incomplete,
            400,
            60206,
            "'Amount' & 'Payee' params are required",
        ),
        row(E::InvalidNumber, W::Wrong, 400, 60200, INVALID),
        row(E::InvalidEmail, W::Wrong, 400, 60200, INVALID),
        row(E::InvalidCode, W::Wrong, 400, 60200, INVALID),
        row(
            E::ChannelNotConfigured,
            W::Always,
            403,
            60204,
            NOT_SUPPORTED,
        ),
        row(E::InvalidRequest, W::NotOffered, 403, 60204, NOT_SUPPORTED),
        row(
            E::NumberNotAllowed,
            W::FixedLine,
            403,
            60205,
            "SMS is not supported by landline phone number",
        ),
        row(E::NumberNotAllowed, W::Blocked, 403, 60410, BLOCKED),
        row(
            E::CountryNotAllowed,
            W::Always,
            403,
            60605,
            "Verification delivery attempt blocked by geo permissions",
        ),
        row(
            E::RateLimited,
            W::Limits(&["prefix", "conversion"]),
            403,
            60410,
            BLOCKED,
        ),
        row(
            E::RateLimited,
            W::Limits(&["cooldown", "client", "spend"]),
            429,
            20429,
            "Too many requests",
        ),
        row(
            E::RateLimited,
            W::Limits(&["recipient_hour", "recipient_day"]),
            429,
            60203,
            "Max send attempts reached",
        ),
        row(
            E::RateLimited,
            W::Limits(&["guess_budget"]),
            429,
            60202,
            CHECKS_USED,
        ),
        row(E::NotPending, W::NoAttemptsLeft, 429, 60202, CHECKS_USED),
        row(E::Unavailable, W::Always, 503, 20503, "Service unavailable"),
    ]
};

/// The row of `code` under `when`; `None` if such an error does not exist here.
pub(super) fn row_of(code: ErrorCode, when: When) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.code == code && row.when == when)
}

/// The row of a send that `limit` rejects.
pub(super) fn row_of_limit(limit: Limit) -> Option<&'static Row> {
    ROWS.iter().find(|row| match row.when {
        When::Limits(limits) => limits.contains(&limit.name()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What only a request with an `Idempotency-Key`, or about a subject, can cause.
    const OF_OTHER_REQUESTS: [ErrorCode; 4] = [
        ErrorCode::InProgress,
        ErrorCode::IdempotencyMismatch,
        ErrorCode::DecisionNotPending,
        ErrorCode::TooManyFactors,
    ];

    #[test]
    fn every_native_code_and_limit_has_a_row() {
        for code in ErrorCode::ALL {
            let has_row = ROWS.iter().any(|row| row.code == code);
            assert_eq!(has_row, !OF_OTHER_REQUESTS.contains(&code), "{code:?}");
        }
        for limit in Limit::ALL {
            // This dialect makes no decisions.
            let has_row = row_of_limit(limit).is_some();
            assert_eq!(has_row, limit != Limit::Decisions, "{limit:?}");
        }
    }

    #[test]
    fn every_row_has_known_codes_and_limits() {
        let limits = Limit::ALL.map(Limit::name);
        for (n, row) in ROWS.iter().enumerate() {
            assert_eq!(
                row_of(row.code, row.when),
                Some(row),
                "row {n} occurs twice"
            );
            if let When::Limits(named) = row.when {
                assert!(named.iter().all(|name| limits.contains(name)), "{row:?}");
                assert_eq!(row.code, ErrorCode::RateLimited);
            }
            assert!(
                (400..=503).contains(&row.status) && row.number >= 20_000,
                "{row:?}"
            );
        }
    }

    #[test]
    fn documentation_has_the_rows_of_the_table() {
        let page = include_str!("../../../../docs/twilio.md");
        let documented: Vec<_> = page
            .lines()
            .filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 4)
            .map(|line| line.trim_matches('|').split(" | ").map(str::trim))
            .map(|cells| cells.collect::<Vec<_>>())
            .collect();
        for row in &ROWS {
            let (status, number) = (row.status.to_string(), row.number.to_string());
            let is_documented = documented.iter().any(|cells| {
                let code = format!("`{}`", row.code.name());
                let limits = match row.when {
                    When::Limits(limits) => limits,
                    _ => &[],
                };
                cells[0].contains(&code)
                    && cells[2..4] == [status.as_str(), number.as_str()]
                    && limits
                        .iter()
                        .all(|limit| cells[1].contains(&format!("`{limit}`")))
            });
            assert!(is_documented, "docs/twilio.md has no row for {row:?}");
        }
        for cells in documented {
            let is_row = ROWS.iter().any(|row| {
                let (status, number) = (row.status.to_string(), row.number.to_string());
                cells[2..4] == [status.as_str(), number.as_str()]
                    && cells[0].contains(&format!("`{}`", row.code.name()))
            });
            assert!(is_row, "the table has no row for {cells:?}");
        }
    }
}
