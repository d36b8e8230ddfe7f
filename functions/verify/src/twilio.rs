//! Twilio's dialect: check, fetch and update of a verification, and the service.

use lambda_http::http::Method;
use lambda_http::{Body, Request, Response};
use otp::api::deadline::answer_in_time;
use otp::api::problem::{ErrorCode, Problem};
use otp::api::request_log::RequestLog;
use otp::api::response::Success;
use otp::api::routing::{Matched, Route, route};
use otp::api::twilio::account::Account;
use otp::api::twilio::check::{read_check, render_check};
use otp::api::twilio::path::Links;
use otp::api::twilio::rejection::{Rejection, respond};
use otp::api::twilio::service::render_service;
use otp::api::twilio::target::target_of;
use otp::api::twilio::update::{Update, read_update};
use otp::api::twilio::verification::{After, View};
use otp::domain::time::Timestamp;
use otp::platform::deadline::Deadline;
use otp::service::approve::approve;
use otp::service::cancel::cancel;
use otp::service::check::check;
use otp::service::show::show;
use otp::service::verifying::Verifying;

use crate::State;

const SERVICE: &str = "/v2/Services/{}";
const CHECK: &str = "/v2/Services/{}/VerificationCheck";
const VERIFICATION: &str = "/v2/Services/{}/Verifications/{}";

static ROUTES: &[Route] = &[
    Route {
        path: SERVICE,
        methods: &[Method::GET],
    },
    Route {
        path: CHECK,
        methods: &[Method::POST],
    },
    Route {
        path: VERIFICATION,
        methods: &[Method::GET, Method::POST],
    },
];

/// Answers a request for `path`.
pub(crate) async fn handle(
    state: &State,
    request: &Request,
    path: &str,
    log: &mut RequestLog,
    deadline: Deadline,
) -> Response<Body> {
    let result = answer_in_time(deadline, answer(state, request, path, log)).await;
    respond(log, request, path, result)
}

async fn answer(
    state: &State,
    request: &Request,
    path: &str,
    log: &mut RequestLog,
) -> Result<Success, Rejection> {
    let matched = matched(state, request, path)?;
    let settings = state.config.current().await;
    let settings = settings.map_err(|error| Rejection::of(Problem::unavailable(&error)))?;
    let (verifying, now) = (&settings.verifying, state.clock.now());
    let account = Account::authorize(request, &settings.api_keys, &verifying.keyring, now)?;
    log.set_app(&account.app);
    account.check_service(&matched.values[0])?;
    let links = Links::new(state.public_url.as_deref(), request, &matched.base);
    match matched.route {
        SERVICE => {
            let policy = verifying.apps.policy(&account.app);
            Ok(Success::ok(&render_service(&account, policy, &links)))
        }
        CHECK => check_code(verifying, request, &account, log, now).await,
        _ => {
            let view = View {
                account: &account,
                keyring: &verifying.keyring,
                links: &links,
                now,
            };
            fetch_or_update(verifying, request, &view, &matched.values[1], log).await
        }
    }
}

/// The route of a request. Twilio also changes and deletes services at the path of one: that is not
/// offered, so nothing is there.
fn matched(state: &State, request: &Request, path: &str) -> Result<Matched, Rejection> {
    route(request, ROUTES, &state.base).map_err(|problem| {
        let is_other_method = problem.code() == ErrorCode::MethodNotAllowed;
        let is_service = path.split('/').count() == SERVICE.split('/').count();
        let changes = [Method::POST, Method::DELETE].contains(request.method());
        match is_other_method && is_service && changes {
            true => Rejection::not_found(),
            false => Rejection::of(problem),
        }
    })
}

async fn check_code(
    verifying: &Verifying,
    request: &Request,
    account: &Account,
    log: &mut RequestLog,
    now: Timestamp,
) -> Result<Success, Rejection> {
    let app = account.app.as_str();
    let policy = verifying.apps.policy(app);
    let (target, check_request) = read_check(request, app, &verifying.keyring, policy)?;
    let checked = check(verifying, app, &target, &check_request, now).await;
    let checked = checked.map_err(|error| Rejection::of_verify(&error, now))?;
    log.set_verification(checked.id);
    let submitted = check_request.transaction.as_ref();
    let body = render_check(account, submitted, &checked, now)?;
    Ok(Success::ok(&body))
}

async fn fetch_or_update(
    verifying: &Verifying,
    request: &Request,
    view: &View<'_>,
    segment: &str,
    log: &mut RequestLog,
) -> Result<Success, Rejection> {
    let (app, now) = (view.account.app.as_str(), view.now);
    let update = match *request.method() {
        Method::POST => Some(read_update(request)?),
        _ => None,
    };
    let target = target_of(segment)?;
    let shown = match update {
        Some(Update::Cancel) => cancel(verifying, app, &target, now).await,
        Some(Update::Approve) => approve(verifying, app, &target, now).await,
        None => show(verifying, app, &target, now).await,
    };
    let shown = shown.map_err(|error| Rejection::of_verify(&error, now))?;
    log.set_verification(shown.id);
    let verification = shown.recipient.find(shown.nonce, now);
    let verification = verification.ok_or_else(Rejection::not_found)?;
    let after = match update {
        Some(_) => After::Update,
        None => After::Fetch,
    };
    let body = view.render(shown.id, &shown.recipient, verification, after)?;
    Ok(Success::ok(&body))
}
