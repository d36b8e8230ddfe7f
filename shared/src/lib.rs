//! `otp`: one-time passcodes. What the functions share: rules, use cases, store, carriers.
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | verification | proof that a person holds a recipient, for one purpose |
//! | recipient | a phone number or e-mail address, and its record |
//! | code | what the person enters |
//! | attempt | one code submitted for checking |
//! | attempt log | the attempts of a verification, in the order in which the table accepted them |
//! | channel | sms, voice, whatsapp, email, push |
//! | carrier | a company that delivers messages; the industry also says provider or gateway |
//! | delivery | one message handed over to one carrier |
//! | report | a carrier's later statement about a delivery |
//! | app | one product of the operator, with its API keys and policy |
//! | policy | limits, code format and texts of an app |
//! | dispatch | queue message that asks a worker to take a step |
//! | step | unit of work on a verification's deliveries, numbered |
//! | claim | a worker's exclusive hold on a step, for 15 s |
//! | handover | one call that gives a message to a carrier |
//! | receipt | what the carrier's response to a handover means |
//! | retry round | one pass through the carriers in which none accepted the message |
//! | breaker | circuit breaker of a carrier, shared by all workers |
//! | rate limit | a quota of sends in a window, for one recipient, client network or prefix |
//! | reservation | a send counted in the limits over many recipients; released if it fails |
//! | conversion sample | a send whose outcome (approved or not) is counted later |
//! | spend cap | the most that an app may spend in a UTC day |
//! | guess budget | wrong attempts allowed per recipient and app in 24 h |
//! | subject | one user of an app, under the app's own id, and its record |
//! | factor | what a subject can prove with codes of its own: TOTP, HOTP, backup codes |
//! | verified recipient | a number or address that an approved verification proved for a subject |
//! | owner | the one subject of a recipient, if the app wants recipients to be unique |
//! | decision | whether an action of a subject may proceed, needs proof, or may not |
//! | place | a country, device or network from which a challenge was approved |
//! | settle | fold entries of a subject's log into its record, and remove them from the log |
//! | delivery tag | 32 random bits that distinguish the messages of a recipient |
//! | reference | record key and delivery tag, encrypted; carriers echo it in reports |
//! | dialect | requests, responses and errors around the use cases: native, and Twilio's |
//! | seal key | encrypts codes and addresses; has an id, and can be rotated |
//! | lookup key | keys all hashes and ids; is never rotated |
//!
//! # Layers
//!
//! `tests -> local -> functions -> api -> service -> config -> store, carrier, message, crypto,
//! platform -> domain`. A folder imports from itself and from those behind it; the source tests
//! hold that. `domain` is pure: values and `now` in, values out. `service` has one file per use
//! case. A function maps its trigger to use cases and back; a further dialect is a folder in `api`.
//!
//! # Invariants
//!
//! * An attempt that is not in the log was not compared. The first match in the log is the success.
//! * Nothing restores attempts: no resend, new verification, cancel, report or expiry.
//! * A step, a counter and a backup code of a factor are each accepted at most once.
//! * A decision is approved only by factors and recipients that the subject had when it was made.
//! * A delivery's status only moves up, and changes nothing else.
//! * A dispatch does nothing unless it names the current step and its claim was written.
//! * A send that fails releases what it reserved and leaves the recipient as it was.
//! * No code and no number is stored or logged in readable form.
//!
//! Start with `service::send` and `service::check`; then `domain::verification` and `store`.

pub mod domain;
pub mod platform;
pub mod crypto;
pub mod message;
pub mod carrier;
pub mod store;
pub mod config;
pub mod service;
pub mod api;
