//! A text that the operator has registered, with placeholders.

use super::gsm7::segments;
use super::rendered::Message;
use super::values::{Values, Wording};

/// The placeholders that a template may have.
const PLACEHOLDERS: [&str; 8] = [
    "code",
    "brand",
    "minutes",
    "amount",
    "currency",
    "payee",
    "reference",
    "time",
];

/// A text with `{code}` once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template(pub String);

/// Whether `text` is a template: it has `{code}` once, and no unknown placeholder.
#[must_use]
pub fn is_template(text: &str) -> bool {
    let names = text.split('{').skip(1).map(|rest| rest.split_once('}'));
    let is_known =
        |name: &Option<(&str, &str)>| name.is_some_and(|(n, _)| PLACEHOLDERS.contains(&n));
    names.clone().all(|name| is_known(&name)) && text.matches("{code}").count() == 1
}

/// The SMS that `template` makes of `wording`, as it is registered: nothing is respelled or added.
/// `None` for a payment, if the template does not state it.
pub(super) fn from_template(template: &Template, wording: &Wording<'_>) -> Option<Message> {
    let Template(text) = template;
    let states = |placeholder: &str| text.contains(placeholder);
    if wording.transaction.is_some() && !(states("{amount}") && states("{payee}")) {
        return None;
    }
    let text = Values::new(wording).fill(text);
    let segments = segments(&text);
    Some(Message {
        text,
        subject: None,
        html: None,
        encoding: segments.encoding,
        parts: segments.parts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::policy::Gsm7Mode;
    use crate::message::Encoding;

    fn wording(transaction: Option<[&'static str; 3]>) -> Wording<'static> {
        Wording {
            brand: "Acme",
            code: "042137",
            minutes: 5,
            transaction,
            reference: None,
            sent_at: None,
            web_domain: Some("acme.example"),
            android_hash: None,
            gsm7: Gsm7Mode::Prefer,
        }
    }

    #[test]
    fn registered_text_is_sent_as_it_is() {
        let template =
            Template("{code} is your OTP for {brand}, valid for {minutes} min -ACME".into());
        let message = from_template(&template, &wording(None)).expect("a message");
        assert_eq!(
            message.text,
            "042137 is your OTP for Acme, valid for 5 min -ACME"
        );
        assert_eq!((message.encoding, message.parts), (Encoding::Gsm7, 1));
        let hindi = Template("{code} आपका कोड है".into());
        let message = from_template(&hindi, &wording(None)).expect("a message");
        assert_eq!(
            (message.encoding, message.text.as_str()),
            (Encoding::Ucs2, "042137 आपका कोड है")
        );
    }

    #[test]
    fn payment_is_stated_or_the_template_is_not_used() {
        let payment = wording(Some(["12.50", "INR", "Shop"]));
        assert!(from_template(&Template("{code}".into()), &payment).is_none());
        let stating = Template("{code} to pay {amount} {currency} to {payee}".into());
        let message = from_template(&stating, &payment).map(|message| message.text);
        assert_eq!(message.as_deref(), Some("042137 to pay 12.50 INR to Shop"));
    }
}
