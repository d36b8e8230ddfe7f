//! Subjects and their verified recipients in responses.

use serde_json::{Value, json};

use super::factor::render_factor;
use crate::domain::subject::Subject;
use crate::domain::subject_id::SubjectId;
use crate::domain::verified_recipient::VerifiedRecipient;
use crate::service::factors::SubjectContext;
use crate::service::factors::show::ShownSubject;

/// The subject `id`.
#[must_use]
pub fn render_subject(id: &SubjectId, context: &SubjectContext<'_>, shown: &ShownSubject) -> Value {
    let subject = &shown.subject;
    let mut recipients: Vec<_> = subject.recipients.iter().collect();
    recipients.sort_by_key(|recipient| recipient.first_verified_at);
    let recipients = recipients.into_iter();
    let recipients = recipients.map(|recipient| render_verified_recipient(context, recipient));
    let places = &subject.places;
    json!({
        "subject": id.reveal(),
        "factors": render_factors(subject),
        "recipients": recipients.collect::<Vec<_>>(),
        "attempts_left": shown.attempts_left,
        "backup_attempts_left": shown.backup_attempts_left,
        "unlocks_at": shown.unlocks_at.map(|at| at.to_string()),
        "last_strong_at": subject.last_strong_at.map(|at| at.to_string()),
        "places": {
            "countries": places.countries.0.len(),
            "devices": places.devices.0.len(),
            "networks": places.networks.0.len(),
        },
    })
}

/// The factors of a subject, oldest first.
#[must_use]
pub fn render_factors(subject: &Subject) -> Vec<Value> {
    let mut factors: Vec<_> = subject.factors.iter().collect();
    factors.sort_by_key(|factor| factor.created_at);
    factors.into_iter().map(render_factor).collect()
}

/// A verified recipient of the subject of `context`.
#[must_use]
pub fn render_verified_recipient(
    context: &SubjectContext<'_>,
    recipient: &VerifiedRecipient,
) -> Value {
    json!({
        "id": context.recipient_id(recipient.recipient),
        "to": context.address_of(recipient),
        "channel": recipient.channel.name(),
        "purpose": recipient.purpose,
        "first_verified_at": recipient.first_verified_at.to_string(),
        "verified_at": recipient.verified_at.to_string(),
        "unique": recipient.is_unique,
    })
}
