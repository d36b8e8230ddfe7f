//! factors: enrols, checks, shows and removes the factors of a subject, and makes decisions. On an
//! event that the operator sends, it reseals values that are sealed under an old key.

mod reseal;

use lambda_http::http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Error, LambdaEvent, Request, Response};
use otp::api::authorization::authorize;
use otp::api::deadline::{answer_in_time, deadline_of};
use otp::api::gateway::{gateway_response, request_of};
use otp::api::problem::Problem;
use otp::api::request::{optional_json_body, request_id};
use otp::api::request_log::RequestLog;
use otp::api::response::{Success, respond};
use otp::api::routing::{BasePath, Matched, Route, route};
use otp::api::v1::subjects::check::{read_factor_check, render_factor_check};
use otp::api::v1::subjects::decision::{read_decision, render_decision};
use otp::api::v1::subjects::enrolment::{read_enrolment, render_enrolment};
use otp::api::v1::subjects::errors::{factor_not_found, subject_problem};
use otp::api::v1::subjects::factor::render_factor;
use otp::api::v1::subjects::subject::{render_factors, render_subject, render_verified_recipient};
use otp::api::v1::subjects::{read_empty, read_subject};
use otp::config::document::StoredConfig;
use otp::config::instance_config::{Configured, InstanceConfig};
use otp::config::{ApiKeys, ConfigError, Environment, FactorsConfig, Infrastructure};
use otp::domain::ids::FactorId;
use otp::domain::policy::Policy;
use otp::domain::subject_id::SubjectId;
use otp::domain::time::Timestamp;
use otp::platform::clock::Clock;
use otp::platform::log_line::in_one_line;
use otp::platform::metrics::Metrics;
use otp::platform::url::percent_encode;
use otp::service::factors::check::check;
use otp::service::factors::decide::{decide, deny};
use otp::service::factors::enrol::enrol;
use otp::service::factors::{SubjectContext, SubjectError, Subjects, remove, show};
use otp::store::{ConfigReadError, StoredVersions};
use serde_json::{Value, json};

/// What the function keeps between invocations.
pub struct State {
    config: InstanceConfig<SettingsSource>,
    base: BasePath,
    clock: Clock,
}

/// What the function makes of its configuration.
struct Settings {
    subjects: Subjects,
    api_keys: ApiKeys,
}

/// Reads and makes [`Settings`].
struct SettingsSource {
    infrastructure: Infrastructure,
    metrics: Metrics,
}

impl Configured for SettingsSource {
    type Settings = Settings;

    const FUNCTION: &'static str = "factors";

    async fn read_stored(&self, is_consistent: bool) -> Result<StoredVersions, ConfigReadError> {
        let store = &self.infrastructure.store;
        let document = store.read_config(is_consistent).await?;
        Ok(StoredVersions::of_document(document))
    }

    fn configure(&self, stored: StoredConfig<'_>) -> Result<(Settings, Vec<String>), ConfigError> {
        let mut config = FactorsConfig::read(self.infrastructure.reader(stored))?;
        let api_keys = std::mem::take(&mut config.api_keys);
        let warnings = std::mem::take(&mut config.warnings);
        let store = self.infrastructure.store.clone();
        let subjects = Subjects::with_store(store, config, self.metrics.clone());
        Ok((Settings { subjects, api_keys }, warnings))
    }
}

const SUBJECT: &str = "/v1/subjects/{}";
const UNLOCK: &str = "/v1/subjects/{}/unlock";
const FACTORS: &str = "/v1/subjects/{}/factors";
const FACTOR: &str = "/v1/subjects/{}/factors/{}";
const CHECK: &str = "/v1/subjects/{}/factors/{}/check";
const RECIPIENT: &str = "/v1/subjects/{}/recipients/{}";
const DECISIONS: &str = "/v1/subjects/{}/decisions";
const DECISION: &str = "/v1/subjects/{}/decisions/{}";

static ROUTES: &[Route] = &[
    Route {
        path: SUBJECT,
        methods: &[Method::GET, Method::DELETE],
    },
    Route {
        path: UNLOCK,
        methods: &[Method::POST],
    },
    Route {
        path: FACTORS,
        methods: &[Method::POST, Method::GET],
    },
    Route {
        path: FACTOR,
        methods: &[Method::GET, Method::DELETE],
    },
    Route {
        path: CHECK,
        methods: &[Method::POST],
    },
    Route {
        path: RECIPIENT,
        methods: &[Method::DELETE],
    },
    Route {
        path: DECISIONS,
        methods: &[Method::POST],
    },
    Route {
        path: DECISION,
        methods: &[Method::GET, Method::DELETE],
    },
];

impl State {
    /// With the infrastructure that the variables define. Nothing is read from the table yet.
    ///
    /// # Errors
    /// All invalid variables.
    pub fn new(
        environment: impl Into<Environment>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, ConfigError> {
        let infrastructure = Infrastructure::read(environment, FactorsConfig::read)?;
        let base = BasePath::of(infrastructure.public_url.as_deref());
        let max_age_seconds = infrastructure.config_max_age_seconds;
        let source = SettingsSource {
            infrastructure,
            metrics,
        };
        Ok(Self {
            config: InstanceConfig::new(source, clock.clone(), max_age_seconds),
            base,
            clock,
        })
    }

    /// Does during init what the first request would wait for.
    ///
    /// # Errors
    /// All invalid variables and members of the configuration document.
    pub async fn warm_up(&self) -> Result<(), ConfigError> {
        self.config.start().await
    }
}

/// Answers an event of either kind: a request of the gateway, or `{"reseal":{"after":null}}`.
///
/// # Errors
/// The event is of neither kind, or the table failed: Lambda reports the invocation as failed.
pub async fn invoke(state: &State, event: LambdaEvent<Value>) -> Result<Value, Error> {
    if let Some(part) = event.payload.get("reseal") {
        let settings = state.config.current().await?;
        return reseal::reseal(&settings.subjects, part, state.clock.now()).await;
    }
    let request = serde_json::from_value::<LambdaRequest>(event.payload)?;
    let request = request_of(LambdaEvent::new(request, event.context));
    let response = gateway_response(handle(state, &request).await);
    Ok(serde_json::to_value(response)?)
}

/// Answers one request.
pub async fn handle(state: &State, request: &Request) -> Response<Body> {
    let response = in_one_line(respond_to(state, request));
    state.config.beside(response).await
}

async fn respond_to(state: &State, request: &Request) -> Response<Body> {
    let mut log = RequestLog::new("factors", request_id(request));
    let deadline = deadline_of(request, &state.clock);
    let result = answer_in_time(deadline, answer(state, request, &mut log)).await;
    respond(&log, request, result)
}

/// One authorized request about a subject.
struct SubjectRequest<'a> {
    http: &'a Request,
    matched: &'a Matched,
    app: &'a str,
    subject: SubjectId,
    /// The second value in the path.
    id: &'a str,
    policy: &'a Policy,
    context: SubjectContext<'a>,
    now: Timestamp,
}

async fn answer(
    state: &State,
    request: &Request,
    log: &mut RequestLog,
) -> Result<Success, Problem> {
    let matched = route(request, ROUTES, &state.base)?;
    let settings = state.config.current().await;
    let settings = settings.map_err(|error| Problem::unavailable(&error))?;
    let (subjects, now) = (&settings.subjects, state.clock.now());
    let app = authorize(request, &settings.api_keys, now)?;
    log.set_app(&app);
    let mut values = matched.values.iter().map(String::as_str);
    let [segment, id] = [(); 2].map(|()| values.next().unwrap_or_default());
    let subject = match read_subject(segment) {
        Ok(subject) => subject,
        Err(problem) => {
            // What is wrong with the body as a whole is found before what is wrong with a value.
            optional_json_body(request)?;
            return Err(problem);
        }
    };
    let request = SubjectRequest {
        http: request,
        matched: &matched,
        app: &app,
        id,
        policy: subjects.apps.policy(&app),
        context: subjects.of(&app, &subject, now),
        subject,
        now,
    };
    let is_deletion = request.http.method() == Method::DELETE;
    match matched.route {
        SUBJECT if is_deletion => request.erase().await,
        SUBJECT => request.show().await,
        UNLOCK => request.unlock().await,
        FACTORS if request.http.method() == Method::POST => request.enrol(subjects).await,
        FACTORS => request.list_factors().await,
        FACTOR => request.factor(is_deletion).await,
        CHECK => request.check().await,
        RECIPIENT => request.remove_recipient().await,
        DECISIONS => request.decide(subjects).await,
        _ => request.decision(is_deletion).await,
    }
}

impl SubjectRequest<'_> {
    fn problem(&self, error: impl Into<SubjectError>) -> Problem {
        subject_problem(&error.into(), self.policy, self.now)
    }

    fn subject_only(&self) -> Success {
        Success::ok(&json!({"subject": self.subject.reveal()}))
    }

    /// Where `id` of `collection` is found.
    fn location(&self, collection: &str, id: &str) -> String {
        let subject = percent_encode(self.subject.reveal());
        let base = &self.matched.base;
        format!("{base}/v1/subjects/{subject}/{collection}/{id}")
    }

    async fn show(&self) -> Result<Success, Problem> {
        let shown = show::show(self.context).await;
        let shown = shown.map_err(|error| self.problem(error))?;
        let body = render_subject(&self.subject, &self.context, &shown);
        Ok(Success::ok(&body))
    }

    async fn erase(&self) -> Result<Success, Problem> {
        let erased = remove::erase(self.context).await;
        erased.map_err(|error| self.problem(error))?;
        Ok(self.subject_only())
    }

    async fn unlock(&self) -> Result<Success, Problem> {
        read_empty(self.http)?;
        let unlocked = remove::unlock(self.context).await;
        unlocked.map_err(|error| self.problem(error))?;
        Ok(self.subject_only())
    }

    async fn enrol(&self, subjects: &Subjects) -> Result<Success, Problem> {
        let keyring = &subjects.keyring;
        let read = read_enrolment(self.http, keyring, self.app, self.policy)?;
        let enrolled = enrol(self.context, &read.request).await;
        let enrolled = enrolled.map_err(|error| self.problem(error))?;
        let body = render_enrolment(&read, &enrolled);
        let location = self.location("factors", &enrolled.factor.id.to_string());
        Ok(Success::created(&body, location).replayed(enrolled.is_replay))
    }

    async fn list_factors(&self) -> Result<Success, Problem> {
        let shown = show::show(self.context).await;
        let shown = shown.map_err(|error| self.problem(error))?;
        let factors = render_factors(&shown.subject);
        Ok(Success::ok(&json!({"factors": factors})))
    }

    fn factor_id(&self) -> Result<FactorId, Problem> {
        self.id.parse().map_err(|_| factor_not_found())
    }

    async fn factor(&self, is_deletion: bool) -> Result<Success, Problem> {
        let id = self.factor_id()?;
        let factor = match is_deletion {
            true => remove::factor(self.context, id).await,
            false => show::factor(self.context, id).await,
        };
        let factor = factor.map_err(|error| self.problem(error))?;
        Ok(Success::ok(&render_factor(&factor)))
    }

    async fn check(&self) -> Result<Success, Problem> {
        let (request, kind) = read_factor_check(self.http, self.id.parse().ok())?;
        let checked = check(self.context, &request).await;
        let checked = checked.map_err(|error| self.problem(error))?;
        let body = render_factor_check(&request, kind, &checked);
        Ok(Success::ok(&body).replayed(checked.is_replay))
    }

    async fn remove_recipient(&self) -> Result<Success, Problem> {
        let removed = remove::recipient(self.context, self.id).await;
        let removed = removed.map_err(|error| self.problem(error))?;
        let body = render_verified_recipient(&self.context, &removed);
        Ok(Success::ok(&body))
    }

    async fn decide(&self, subjects: &Subjects) -> Result<Success, Problem> {
        let request = read_decision(self.http, &subjects.keyring, self.app)?;
        let decided = decide(self.context, &request).await;
        let decided = decided.map_err(|error| self.problem(error))?;
        if request.is_dry_run {
            let body = render_decision(None, &decided.decision, self.now);
            return Ok(Success::ok(&body));
        }
        let id = self.context.decision_id(&decided.decision);
        let location = self.location("decisions", &id);
        let body = render_decision(Some(id), &decided.decision, self.now);
        Ok(Success::created(&body, location).replayed(decided.is_replay))
    }

    async fn decision(&self, is_deletion: bool) -> Result<Success, Problem> {
        let decision = match is_deletion {
            true => deny(self.context, self.id).await,
            false => show::decision(self.context, self.id).await,
        };
        let decision = decision.map_err(|error| self.problem(error))?;
        let id = self.context.decision_id(&decision);
        let body = render_decision(Some(id), &decision, self.now);
        Ok(Success::ok(&body))
    }
}
