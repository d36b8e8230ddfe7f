//! The `otpauth` URI of a secret, which authenticator apps read, and its QR code.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::domain::factor_secret::FactorSecret;
use crate::platform::url::percent_encode;
use crate::service::factors::enrol::NewFactor;

/// Longest URI that is drawn, in characters: its QR code has fewer than 256 KiB.
pub(super) const QR_URI_LENGTH_MAX: usize = 1024;

/// Side of a module of a QR code.
const MODULE_PIXELS: u32 = 4;

/// Who shows the codes of a factor, and for which account.
pub(super) struct KeyLabel<'a> {
    /// Name of the product.
    pub(super) issuer: &'a str,
    /// What the app shows, such as an e-mail address.
    pub(super) account: &'a str,
}

/// The URI of `secret`; `None` for a factor without secret.
pub(super) fn key_uri(
    factor: &NewFactor,
    secret: &FactorSecret,
    label: &KeyLabel<'_>,
) -> Option<String> {
    let (kind, new, last) = match factor {
        NewFactor::Totp { secret, period, .. } => ("totp", secret, format!("period={period}")),
        NewFactor::Hotp { secret, counter } => ("hotp", secret, format!("counter={counter}")),
        NewFactor::BackupCodes => return None,
    };
    let (issuer, account) = (percent_encode(label.issuer), percent_encode(label.account));
    let secret = secret.to_base32();
    let algorithm = new.algorithm.name().to_ascii_uppercase();
    let digits = new.digits.number();
    Some(format!(
        "otpauth://{kind}/{issuer}:{account}?secret={secret}&issuer={issuer}\
         &algorithm={algorithm}&digits={digits}&{last}"
    ))
}

/// The QR code of `uri` as an SVG document; `None` if the URI is too long.
pub(super) fn qr_svg(uri: &str) -> Option<String> {
    if uri.len() > QR_URI_LENGTH_MAX {
        return None;
    }
    let code = QrCode::with_error_correction_level(uri, EcLevel::M).ok()?;
    let mut drawing = code.render::<svg::Color<'_>>();
    Some(
        drawing
            .module_dimensions(MODULE_PIXELS, MODULE_PIXELS)
            .quiet_zone(true)
            .build(),
    )
}
