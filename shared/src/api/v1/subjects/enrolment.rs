//! Request for an enrolment, and its response: the only one that shows a secret.

use lambda_http::Request;
use serde_json::{Value, json};

use super::factor::render_factor;
use super::key_uri::{KeyLabel, QR_URI_LENGTH_MAX, key_uri, qr_svg};
use crate::api::problem::{ErrorCode, Problem};
use crate::api::request::{idempotency_key, json_body};
use crate::crypto::keyring::Keyring;
use crate::domain::code::Code;
use crate::domain::factor::{
    Algorithm, BACKUP_CODE_LENGTH, COUNTER_MAX, Digits, FactorType, PERIOD_SECONDS,
    PERIOD_SECONDS_DEFAULT, SKEW_STEPS,
};
use crate::domain::factor_secret::{FactorSecret, SECRET_BYTES_RECOMMENDED};
use crate::domain::policy::Policy;
use crate::domain::verification_params::Idempotency;
use crate::platform::json::{self, Fields};
use crate::service::factors::enrol::{EnrolRequest, Enrolled, NewFactor, NewSecret};

const NAME_LENGTH_MAX: usize = 64;
const ACCOUNT_LENGTH_MAX: usize = 128;
const ISSUER_LENGTH_MAX: usize = 64;
/// Fields of factors with a secret.
const SECRET_FIELDS: [&str; 7] = [
    "account",
    "issuer",
    "algorithm",
    "digits",
    "secret",
    "confirmed",
    "qr",
];
/// Fields of TOTP factors only.
const TOTP_FIELDS: [&str; 2] = ["period", "skew"];
/// Fields of HOTP factors only.
const HOTP_FIELDS: [&str; 1] = ["counter"];

/// An enrolment as it was read: what is enrolled, and how its response shows it.
pub struct ReadEnrolment {
    /// For the use case.
    pub request: EnrolRequest,
    account: Option<String>,
    issuer: String,
    has_qr: bool,
}

/// The fields of a factor with a secret.
struct SecretFields {
    account: Option<String>,
    issuer: Option<String>,
    secret: NewSecret,
    has_qr: bool,
}

/// Reads an enrolment.
///
/// # Errors
/// 400, 413, 415, 422.
pub fn read_enrolment(
    request: &Request,
    keyring: &Keyring,
    app: &str,
    policy: &Policy,
) -> Result<ReadEnrolment, Problem> {
    let body = json_body(request)?;
    let idempotency = idempotency_key(request)?.map(|key| Idempotency {
        key: keyring.idempotency_key_hash(app, &key),
        body: keyring.body_hash(app, &json::canonical(&body)),
    });
    let mut fields = Fields::new(body);
    let kind = |name: &str| name.parse().ok();
    let kind = fields.required_parsed_text("type", kind, "totp, hotp or backup_codes");
    let name = fields.bounded_text("name", 1..=NAME_LENGTH_MAX);
    reject_fields_of_other_types(&mut fields, kind);
    let secret = SecretFields::read(&mut fields);
    if matches!(kind, Some(FactorType::Totp | FactorType::Hotp)) {
        secret.check(&mut fields);
    }
    let narrow = |number: i64| u8::try_from(number).ok();
    let period = fields.integer("period", PERIOD_SECONDS).and_then(narrow);
    let skew = i64::from(*SKEW_STEPS.start())..=i64::from(*SKEW_STEPS.end());
    let skew = fields.integer("skew", skew).and_then(narrow);
    let counter = read_counter(&mut fields);
    fields.finish().map_err(Problem::invalid)?;
    let factor = match kind {
        Some(FactorType::Totp) => NewFactor::Totp {
            secret: secret.secret,
            period: period.unwrap_or(PERIOD_SECONDS_DEFAULT),
            skew,
        },
        Some(FactorType::Hotp) => NewFactor::Hotp {
            secret: secret.secret,
            counter: counter.unwrap_or(0),
        },
        // Without a type, `finish` has returned an error.
        Some(FactorType::BackupCodes) | None => NewFactor::BackupCodes,
    };
    let brand = policy.brand.replace(':', "");
    let read = ReadEnrolment {
        request: EnrolRequest {
            name,
            factor,
            idempotency,
        },
        account: secret.account,
        issuer: secret.issuer.unwrap_or(brand),
        has_qr: secret.has_qr,
    };
    read.check_qr()?;
    Ok(read)
}

fn read_counter(fields: &mut Fields) -> Option<u64> {
    let counter = fields.value("counter")?;
    let in_range = counter.as_u64().filter(|counter| *counter <= COUNTER_MAX);
    if in_range.is_none() {
        fields.reject("counter", "Must be a whole number from 0 to 2^53 - 1.");
    }
    in_range
}

/// Rejects each field that belongs to factors of other types.
fn reject_fields_of_other_types(fields: &mut Fields, kind: Option<FactorType>) {
    let others: &[&[&str]] = match kind {
        Some(FactorType::Totp) => &[&HOTP_FIELDS],
        Some(FactorType::Hotp) => &[&TOTP_FIELDS],
        Some(FactorType::BackupCodes) => &[&SECRET_FIELDS, &TOTP_FIELDS, &HOTP_FIELDS],
        None => &[],
    };
    for name in others.iter().copied().flatten() {
        if fields.value(name).is_some() {
            fields.reject(name, "Does not belong to this type of factor.");
        }
    }
}

impl SecretFields {
    fn read(fields: &mut Fields) -> Self {
        let mut label = |name, length_max| {
            let text = fields.bounded_text(name, 1..=length_max)?;
            if text.contains(':') {
                fields.reject(name, "Must not contain a colon.");
            }
            Some(text)
        };
        let account = label("account", ACCOUNT_LENGTH_MAX);
        let issuer = label("issuer", ISSUER_LENGTH_MAX);
        let algorithm = |name: &str| Algorithm::ALL.into_iter().find(|a| a.name() == name);
        let algorithm = fields.parsed_text("algorithm", algorithm, "sha1, sha256 or sha512");
        let digits = match fields.value("digits").map(|digits| digits.as_i64()) {
            None | Some(Some(6)) => Digits::Six,
            Some(Some(8)) => Digits::Eight,
            Some(_) => {
                fields.reject("digits", "Must be 6 or 8.");
                Digits::Six
            }
        };
        let imported = fields.parsed_text(
            "secret",
            FactorSecret::from_base32,
            "base32 of 16 to 128 bytes",
        );
        Self {
            account,
            issuer,
            secret: NewSecret {
                algorithm: algorithm.unwrap_or(Algorithm::Sha1),
                digits,
                imported,
                is_confirmed: fields.boolean("confirmed"),
            },
            has_qr: fields.boolean("qr"),
        }
    }

    /// Checks what no single field can.
    fn check(&self, fields: &mut Fields) {
        let is_imported = self.secret.imported.is_some() || fields.has_error("secret");
        if !is_imported && self.account.is_none() && !fields.has_error("account") {
            fields.reject("account", "Required without `secret`.");
        }
        if !is_imported && self.secret.is_confirmed {
            fields.reject("confirmed", "Allowed only with `secret`.");
        }
    }
}

impl ReadEnrolment {
    fn check_qr(&self) -> Result<(), Problem> {
        let Some(new) = self.request.factor.secret().filter(|_| self.has_qr) else {
            return Ok(());
        };
        let fresh = || FactorSecret::new(vec![0; new.algorithm.secret_bytes()]);
        let of_same_length = new.imported.clone().unwrap_or_else(fresh);
        let uri = self.uri(&of_same_length).unwrap_or_default();
        if uri.len() <= QR_URI_LENGTH_MAX {
            return Ok(());
        }
        let detail = format!(
            "The URI of this issuer, account and secret has {} characters; a QR code is drawn of \
             at most {QR_URI_LENGTH_MAX}.",
            uri.len()
        );
        Err(Problem::field(ErrorCode::InvalidRequest, "qr", &detail))
    }

    fn uri(&self, secret: &FactorSecret) -> Option<String> {
        let label = KeyLabel {
            issuer: &self.issuer,
            account: self.account.as_deref()?,
        };
        key_uri(&self.request.factor, secret, &label)
    }
}

/// The response to an enrolment.
#[must_use]
pub fn render_enrolment(read: &ReadEnrolment, enrolled: &Enrolled) -> Value {
    let mut body = render_factor(&enrolled.factor);
    let Some(new) = read.request.factor.secret() else {
        let codes = enrolled.codes.as_ref();
        body["codes"] = codes.map_or(Value::Null, |codes| {
            codes.iter().map(render_backup_code).collect()
        });
        return body;
    };
    let secret = enrolled.secret.as_ref();
    let uri = secret.and_then(|secret| read.uri(secret));
    let qr_svg = uri.as_deref().filter(|_| read.has_qr).and_then(qr_svg);
    body["secret"] = secret.map(FactorSecret::to_base32).into();
    body["uri"] = uri.into();
    body["qr_svg"] = qr_svg.into();
    body["warnings"] = warnings(&read.request.factor, new).into();
    body
}

/// Two groups of five characters.
fn render_backup_code(code: &Code) -> Value {
    let (first, last) = code.reveal().split_at(usize::from(BACKUP_CODE_LENGTH) / 2);
    json!(format!("{first}-{last}"))
}

/// What may not work with some apps, in a fixed order.
fn warnings(factor: &NewFactor, new: &NewSecret) -> Vec<&'static str> {
    let is_short = |secret: &FactorSecret| secret.reveal().len() < SECRET_BYTES_RECOMMENDED;
    let other_period = match factor {
        NewFactor::Totp { period, .. } => *period != PERIOD_SECONDS_DEFAULT,
        NewFactor::Hotp { .. } | NewFactor::BackupCodes => false,
    };
    let all = [
        ("short_secret", new.imported.as_ref().is_some_and(is_short)),
        (
            "algorithm_ignored_by_apps",
            new.algorithm != Algorithm::Sha1,
        ),
        ("digits_ignored_by_apps", new.digits != Digits::Six),
        ("period_ignored_by_apps", other_period),
    ];
    let holding = all.into_iter().filter(|(_, holds)| *holds);
    holding.map(|(name, _)| name).collect()
}
