//! Twilio's dialect: the create of a verification.

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use otp::api::deadline::answer_in_time;
use otp::api::problem::Problem;
use otp::api::request_log::RequestLog;
use otp::api::response::Success;
use otp::api::routing::{Route, route};
use otp::api::twilio::account::Account;
use otp::api::twilio::create::read_create;
use otp::api::twilio::path::Links;
use otp::api::twilio::rejection::{Rejection, respond};
use otp::api::twilio::verification::{After, View};
use otp::platform::deadline::Deadline;
use otp::service::open_or_continue::open_or_continue;

use crate::State;

static ROUTES: &[Route] = &[Route {
    path: "/v2/Services/{}/Verifications",
    methods: &[Method::POST],
}];

/// Answers a request for `path`.
pub(crate) async fn handle(
    state: &State,
    request: &Request,
    path: &str,
    log: &mut RequestLog,
    deadline: Deadline,
) -> Response<Body> {
    let answer = create(state, request, log, deadline);
    let result = answer_in_time(deadline, answer).await;
    respond(log, request, path, result)
}

async fn create(
    state: &State,
    request: &Request,
    log: &mut RequestLog,
    deadline: Deadline,
) -> Result<Success, Rejection> {
    let matched = route(request, ROUTES, &state.base).map_err(Rejection::of)?;
    let settings = state.config.current().await;
    let settings = settings.map_err(|error| Rejection::of(Problem::unavailable(&error)))?;
    let (sending, now) = (&settings.sending, state.clock.now());
    let account = Account::authorize(request, &settings.api_keys, &sending.keyring, now)?;
    log.set_app(&account.app);
    account.check_service(&matched.values[0])?;
    let policy = sending.apps.policy(&account.app);
    let create = read_create(request, policy)?;
    let (send, voice_fallback) = (create.send, create.voice_fallback);
    let sent = open_or_continue(sending, &account.app, send, voice_fallback, deadline, now).await;
    let sent = sent.map_err(|error| {
        sending.count_rejection(&error);
        Rejection::of_send(&error, &sending.apps, &account.app, now)
    })?;
    log.set_verification(sent.id);
    let view = View {
        account: &account,
        keyring: &sending.keyring,
        links: &Links::new(state.public_url.as_deref(), request, &matched.base),
        now,
    };
    let verification = sent.recipient.find(sent.nonce, now);
    let verification = verification.ok_or_else(Rejection::not_found)?;
    let body = view.render(sent.id, &sent.recipient, verification, After::Create)?;
    Ok(Success::ok(&body).with_status(StatusCode::CREATED))
}
