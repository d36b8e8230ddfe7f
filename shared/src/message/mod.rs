//! Message: the text for a channel, a locale and a code.
//!
//! Reading order: `compose` (from a verification to a message), `render` and `email` (one message),
//! `template` (a text that the operator has registered), `values` (the variables of a text) and
//! `sanitize` (what they may contain), `locales` (the templates), `plurals` (forms of a word) and
//! `locale_negotiation` (which locale), `gsm7` and `transliterate` (encoding and parts of an SMS).
//!
//! Invariant: a code appears in the text of a message only, never in a log.
//! Invariant: no variable can add a line, a link, a text direction or a second code to a message.

mod compose;
mod email;
mod gsm7;
mod locale_negotiation;
mod locales;
mod plurals;
mod render;
mod rendered;
mod sanitize;
mod template;
mod time_zones;
mod transliterate;
mod values;

pub use compose::{TextMarks, compose, compose_registered, has_room_for_reference, text_marks};
pub use gsm7::Encoding;
pub use locale_negotiation::{negotiate, parse_language_tag};
pub use locales::Locale;
pub use render::render;
pub use rendered::Message;
pub use sanitize::has_visible_text;
pub use template::{Template, is_template};
pub use transliterate::ascii_spelling;
pub use values::Wording;
