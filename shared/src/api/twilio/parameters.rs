//! Parameters of a request: read one by one, with all that is wrong with them collected.
//!
//! Invariant: wrong parameters are reported before refused ones, and the first one of the list of
//! the request gives the message.

use std::net::IpAddr;

use lambda_http::Request;

use super::error_table::When;
use super::form::Form;
use super::rejection::Rejection;
use crate::api::client_address;
use crate::api::problem::{ErrorCode, Problem};
use crate::domain::email::EmailAddress;
use crate::domain::verification_params::Transaction;
use crate::domain::{pasted_text, phone_lines};
use crate::message::has_visible_text;
use crate::platform::json::{self, FieldError};

/// Each of `Amount` and `Payee`.
const TRANSACTION_TEXT_LENGTH_MAX: usize = 64;
/// The key of `RateLimits` that has an effect.
const CLIENT_KEY: &str = "end_user_ip_address";

/// The parameters of a request.
pub(super) struct Parameters {
    form: Form,
    /// Those that have an effect, in the order in which errors name them.
    known: &'static [&'static str],
    wrong: Vec<Wrong>,
    /// What the app may not ask for.
    refused: Option<Rejection>,
}

/// What is wrong with a parameter.
struct Wrong {
    parameter: &'static str,
    code: ErrorCode,
    when: When,
    detail: &'static str,
}

impl Parameters {
    /// Reads the body.
    ///
    /// # Errors
    /// 413, 415, 400.
    pub(super) fn read(
        request: &Request,
        known: &'static [&'static str],
    ) -> Result<Self, Rejection> {
        let form = Form::read(request, known)?;
        let mut names = known.iter();
        if let Some(name) = names.find(|name| form.values(name).count() > 1) {
            return Err(Rejection::malformed(Some(name)));
        }
        Ok(Self {
            form,
            known,
            wrong: vec![],
            refused: None,
        })
    }

    /// An optional parameter.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.form.values(name).next().map(str::to_owned)
    }

    /// A required parameter.
    pub(super) fn required(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name);
        if text.is_none() {
            self.reject(name, ErrorCode::InvalidRequest, When::Missing, "Required.");
        }
        text
    }

    /// An optional parameter as `parse` reads it.
    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        detail: &'static str,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.invalid(name, detail);
        }
        value
    }

    /// `Amount` and `Payee`: both or none.
    pub(super) fn transaction(&mut self) -> Option<Transaction> {
        let [amount, payee] = ["Amount", "Payee"].map(|name| {
            let text = self.text(name)?;
            let fits = text.chars().count() <= TRANSACTION_TEXT_LENGTH_MAX;
            if !fits || !has_visible_text(&text) {
                self.invalid(name, "Must be 1 to 64 characters, one of them visible.");
            }
            Some(text)
        });
        let alone = match (&amount, &payee) {
            (Some(_), None) => "Payee",
            (None, Some(_)) => "Amount",
            _ => {
                let (amount, payee) = amount.zip(payee)?;
                let currency = String::new();
                return Some(Transaction {
                    amount,
                    currency,
                    payee,
                });
            }
        };
        let detail = "Amount and Payee are required together.";
        self.reject(alone, ErrorCode::InvalidRequest, When::Incomplete, detail);
        None
    }

    /// `DeviceIp`, or else the address in `RateLimits`.
    pub(super) fn client_ip(&mut self) -> Option<IpAddr> {
        let detail = "Must be one IPv4 or IPv6 address.";
        let device = self.parsed("DeviceIp", client_address::parse, detail);
        let limits = self.parsed(
            "RateLimits",
            |text| json::parse_object(text.as_bytes()).ok(),
            "Must be a JSON object.",
        );
        let mut end_user = None;
        for (key, value) in limits.into_iter().flatten() {
            if key != CLIENT_KEY {
                self.refuse("RateLimits");
                continue;
            }
            end_user = value.as_str().and_then(client_address::parse);
            if end_user.is_none() {
                self.invalid("RateLimits", "The address of the end user is not valid.");
            }
        }
        device.or(end_user)
    }

    /// Records that a parameter is wrong.
    pub(super) fn invalid(&mut self, parameter: &'static str, detail: &'static str) {
        self.reject(parameter, ErrorCode::InvalidRequest, When::Wrong, detail);
    }

    /// Records what is wrong with a parameter.
    pub(super) fn reject(
        &mut self,
        parameter: &'static str,
        code: ErrorCode,
        when: When,
        detail: &'static str,
    ) {
        self.wrong.push(Wrong {
            parameter,
            code,
            when,
            detail,
        });
    }

    /// Records that this service does not offer what a parameter asks for.
    pub(super) fn refuse(&mut self, parameter: &'static str) {
        let detail = "This service does not support it.";
        let problem = Problem::field(ErrorCode::InvalidRequest, parameter, detail);
        self.refuse_by(Rejection::when(problem, When::NotOffered));
    }

    /// Records why a request without wrong parameters is refused. The first reason stays.
    pub(super) fn refuse_by(&mut self, rejection: Rejection) {
        self.refused.get_or_insert(rejection);
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// 400 with all wrong parameters, or 403.
    pub(super) fn finish(mut self) -> Result<(), Rejection> {
        let known = self.known;
        let rank = |wrong: &Wrong| known.iter().position(|name| *name == wrong.parameter);
        self.wrong.sort_by_key(rank);
        let Some(first) = self.wrong.first() else {
            return self.refused.map_or(Ok(()), Err);
        };
        let mut codes = self.wrong.iter().map(|wrong| wrong.code);
        let has_invalid_field = codes.any(|code| code == ErrorCode::InvalidRequest);
        let (code, when) = match has_invalid_field {
            true if first.code != ErrorCode::InvalidRequest => {
                (ErrorCode::InvalidRequest, When::Wrong)
            }
            _ => (first.code, first.when),
        };
        let errors = self.wrong.iter().map(|wrong| FieldError {
            field: wrong.parameter.to_owned(),
            detail: wrong.detail.to_owned(),
        });
        let problem = Problem::new(code, "").errors(errors.collect());
        Err(Rejection::when(problem, when).about(first.parameter))
    }
}

/// The canonical addresses that may be those of the recipient `to`, the most likely one first. The
/// tables of phone numbers are not needed for it.
///
/// # Errors
/// What `to` is not.
pub(super) fn recipient(to: &str) -> Result<Vec<String>, ErrorCode> {
    if to.contains('@') {
        let email = EmailAddress::parse_ascii(to).ok_or(ErrorCode::InvalidEmail)?;
        return Ok(vec![email.reveal().to_lowercase()]);
    }
    let number = pasted_text::e164(to).ok_or(ErrorCode::InvalidNumber)?;
    Ok(phone_lines::spellings(&number).collect())
}
