//! Routing: from method and path to a route and the values in its path.
//!
//! A custom domain may add a base path, and API Gateway may add the stage. Both are optional in
//! each request, because a proxy may remove them.

use lambda_http::http::Method;
use lambda_http::http::header::ALLOW;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use super::problem::{ErrorCode, Problem};
use crate::platform::url;

/// A path that a function serves, and its methods.
pub struct Route {
    /// Segments, `{}` for a value: `/v1/verifications/{}/check`.
    pub path: &'static str,
    /// Methods that are allowed there. `HEAD` is allowed wherever `GET` is.
    pub methods: &'static [Method],
}

/// What may precede the path of a route: the path of `OTP_PUBLIC_URL`.
#[derive(Clone, Default, Debug)]
pub struct BasePath(String);

impl BasePath {
    /// The path of `public_url`, which has no slash at its end.
    #[must_use]
    pub fn of(public_url: Option<&str>) -> Self {
        Self(public_url.map_or_else(String::new, |url| url::path(url).to_owned()))
    }

    /// `path` as it is, then without `stage` and this base path, each of which may precede it.
    pub fn strip<'p>(&self, path: &'p str, stage: &str) -> impl Iterator<Item = &'p str> {
        let stage = if stage == DEFAULT_STAGE { "" } else { stage };
        let stage = if stage.is_empty() {
            String::new()
        } else {
            format!("/{stage}")
        };
        let after = |prefix: &str, path: &'p str| {
            let rest = path.strip_prefix(prefix)?;
            (!prefix.is_empty() && rest.starts_with('/')).then_some(rest)
        };
        let without_stage = after(&stage, path);
        let without_base = after(&self.0, path);
        let without_both = [
            without_stage.and_then(|path| after(&self.0, path)),
            without_base.and_then(|path| after(&stage, path)),
        ];
        let all = [Some(path), without_stage, without_base];
        all.into_iter().chain(without_both).flatten()
    }
}

/// The stage that is not part of the path.
const DEFAULT_STAGE: &str = "$default";

/// The route of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Matched {
    /// [`Route::path`].
    pub route: &'static str,
    /// The values in its path.
    pub values: Vec<String>,
    /// The path that matched, without stage and base path.
    pub path: String,
    /// What preceded it in the request.
    pub base: String,
}

/// The route that matches `request`.
///
/// # Errors
/// 404 for an unknown path, 405 for another method.
pub fn route(
    request: &Request,
    routes: &'static [Route],
    base: &BasePath,
) -> Result<Matched, Problem> {
    let (whole, stage) = (request.raw_http_path(), stage(request));
    let found = base.strip(whole, &stage).find_map(|path| {
        let mut routes = routes.iter();
        routes.find_map(|route| Some((route, path, path_values(route.path, path)?)))
    });
    let (route, path, values) = found
        .ok_or_else(|| Problem::new(ErrorCode::NotFound, "No resource exists at this path."))?;
    let method = request.method();
    let is_head = method == Method::HEAD && route.methods.contains(&Method::GET);
    if is_head || route.methods.contains(method) {
        return Ok(Matched {
            route: route.path,
            values,
            path: path.to_owned(),
            base: whole[..whole.len() - path.len()].to_owned(),
        });
    }
    Err(Problem::new(
        ErrorCode::MethodNotAllowed,
        "This path does not support this method.",
    )
    .header(ALLOW, allowed(route.methods)))
}

fn allowed(methods: &[Method]) -> String {
    let mut allowed = vec![];
    for method in methods {
        allowed.push(method.as_str());
        if *method == Method::GET {
            allowed.push(Method::HEAD.as_str());
        }
    }
    allowed.join(", ")
}

fn stage(request: &Request) -> String {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.stage.clone().unwrap_or_default(),
        _ => String::new(),
    }
}

fn path_values(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut values, mut segments) = (vec![], path.split('/'));
    for expected in pattern.split('/') {
        match segments.next()? {
            segment if expected == "{}" && !segment.is_empty() => values.push(segment.to_owned()),
            segment if segment == expected => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use lambda_http::Body;

    use super::*;

    static ROUTES: &[Route] = &[
        Route {
            path: "/v1/verifications/{}",
            methods: &[Method::GET, Method::DELETE],
        },
        Route {
            path: "/v1/verifications/{}/check",
            methods: &[Method::POST],
        },
    ];

    fn request(method: Method, path: &str) -> Request {
        let mut request = Request::new(Body::Empty).with_raw_http_path(path);
        *request.method_mut() = method;
        request
    }

    fn in_stage(stage: &str, path: &str) -> Request {
        let event = serde_json::json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
            "headers": {}, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "a", "domainName": "d", "domainPrefix": "d",
                "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1", "userAgent": ""},
                "requestId": "r", "routeKey": "$default", "stage": stage, "timeEpoch": 0,
            },
        });
        lambda_http::request::from_str(&event.to_string()).expect("an event")
    }

    fn matched(request: &Request, public_url: &str) -> Option<Matched> {
        route(request, ROUTES, &BasePath::of(Some(public_url))).ok()
    }

    #[test]
    fn unsupported_method_lists_the_allowed_ones() {
        let base = BasePath::default();
        let found = route(
            &request(Method::GET, "/v1/verifications/ve_1"),
            ROUTES,
            &base,
        );
        let found = found.expect("a route");
        assert_eq!(
            (found.route, found.values),
            ("/v1/verifications/{}", vec!["ve_1".to_owned()])
        );
        let put = request(Method::PUT, "/v1/verifications/ve_1");
        let problem = route(&put, ROUTES, &base).expect_err("no PUT");
        assert_eq!(problem.code(), ErrorCode::MethodNotAllowed);
        assert_eq!(
            problem.headers()[0],
            (ALLOW, "GET, HEAD, DELETE".to_owned())
        );
    }

    #[test]
    fn head_is_allowed_wherever_get_is() {
        let head = |path| route(&request(Method::HEAD, path), ROUTES, &BasePath::default());
        assert!(head("/v1/verifications/ve_1").is_ok());
        let problem = head("/v1/verifications/ve_1/check").expect_err("POST only");
        assert_eq!(problem.headers()[0], (ALLOW, "POST".to_owned()));
    }

    #[test]
    fn unknown_path_is_not_found() {
        for path in [
            "/",
            "/v1/verifications",
            "/v1/verifications/a/b",
            "/v1/verifications/a/check/",
            "/v1/verifications/",
            "/v2/verifications/a",
        ] {
            let problem = route(&request(Method::GET, path), ROUTES, &BasePath::default());
            let problem = problem.expect_err("no such path");
            assert_eq!(problem.code(), ErrorCode::NotFound, "{path}");
        }
    }

    #[test]
    fn base_path_and_stage_may_precede_a_route() {
        for (public_url, stage, path, base) in [
            (
                "https://api.example/otp",
                "$default",
                "/otp/v1/verifications/a",
                "/otp",
            ),
            (
                "https://api.example/otp",
                "$default",
                "/v1/verifications/a",
                "",
            ),
            (
                "https://api.example/a/b",
                "$default",
                "/a/b/v1/verifications/a",
                "/a/b",
            ),
            (
                "https://api.example:8443/v1",
                "$default",
                "/v1/v1/verifications/a",
                "/v1",
            ),
            (
                "https://api.example",
                "prod",
                "/prod/v1/verifications/a",
                "/prod",
            ),
            ("https://api.example", "prod", "/v1/verifications/a", ""),
            ("https://api.example", "v1", "/v1/v1/verifications/a", "/v1"),
            ("https://api.example", "v1", "/v1/verifications/a", ""),
            (
                "https://api.example/otp",
                "prod",
                "/prod/otp/v1/verifications/a",
                "/prod/otp",
            ),
            (
                "https://api.example/otp",
                "prod",
                "/otp/prod/v1/verifications/a",
                "/otp/prod",
            ),
        ] {
            let found = matched(&in_stage(stage, path), public_url);
            let found = found.unwrap_or_else(|| panic!("{public_url} {stage} {path}"));
            assert_eq!(
                (found.route, found.path.as_str(), found.base.as_str()),
                ("/v1/verifications/{}", "/v1/verifications/a", base),
                "{public_url} {stage} {path}"
            );
        }
    }

    #[test]
    fn path_that_only_looks_similar_is_not_found() {
        for (stage, path) in [
            ("$default", "/otpx/v1/verifications/a"),
            ("$default", "/xotp/v1/verifications/a"),
            ("$default", "/otpv1/verifications/a"),
            ("$default", "/OTP/v1/verifications/a"),
            ("$default", "/otp/otp/v1/verifications/a"),
            ("$default", "/other/otp/v1/verifications/a"),
            ("$default", "/otp//v1/verifications/a"),
            ("$default", "/otp"),
            ("$default", "/$default/v1/verifications/a"),
            ("prod", "/prodv1/verifications/a"),
            ("prod", "/production/v1/verifications/a"),
            ("prod", "/prod/prod/v1/verifications/a"),
            ("", "//v1/verifications/a"),
        ] {
            let found = matched(&in_stage(stage, path), "https://api.example/otp");
            assert_eq!(found, None, "{stage} {path}");
        }
    }
}
