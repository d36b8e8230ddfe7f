//! The support desk: unlock clears a recipient's failures, forget erases who it is. Both answer the same for a stranger.

use std::convert::Infallible;

use lambda_http::Request;

use otp::api::problem::Problem;
use otp::api::request;
use otp::api::response::Success;
use otp::domain::recipient::Recipient;
use otp::domain::time::Timestamp;
use otp::platform::json::Fields;
use otp::store::{Begin, Change};
use serde_json::json;

use crate::{App, wanted};

/// `{"to"}` in, `{"to"}` out.
pub(crate) async fn answer(
    app: &App,
    caller: &str,
    forget: bool,
    request: &Request,
    now: Timestamp,
) -> Result<Success, Problem> {
    let mut fields = Fields::of(request::json_body(request)?);
    let to = fields.required_text("to");
    fields.finish().map_err(Problem::invalid)?;
    let to = wanted::address(&to, to.contains('@'), None)?;
    let key = app.seal.recipient_key(caller, &to.canonical());
    let rule = |recipient: &mut Recipient| {
        if !recipient.is_known() {
            return Ok::<_, Infallible>(Change::Keep(()));
        }
        if forget {
            recipient.forget(now);
        } else {
            recipient.unlock();
        }
        Ok(Change::Write(()))
    };
    let done = app.store.change(&key, caller, Begin::Read, now, rule).await;
    done.map_err(|error| Problem::unavailable(error.0))?
        .unwrap_or_else(|never| match never {});
    Ok(Success::ok(&json!({"to": to.reveal()})))
}
