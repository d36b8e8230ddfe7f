//! Routing: from method and path to a route and the values in its path.

use lambda_http::http::Method;
use lambda_http::http::header::ALLOW;
use lambda_http::{Request, RequestExt};

use super::problem::{ErrorCode, Problem};

/// A path that a function serves, and its methods.
pub struct Route {
    /// Segments, `{}` for a value: `/v1/verifications/{}/check`.
    pub path: &'static str,
    /// Methods that are allowed there.
    pub methods: &'static [Method],
}

/// The path of the route that matches `request`, and the values in it.
///
/// # Errors
/// 404 for an unknown path, 405 for another method.
pub fn route(
    request: &Request,
    routes: &'static [Route],
) -> Result<(&'static str, Vec<String>), Problem> {
    let path = request.raw_http_path();
    let found = routes
        .iter()
        .find_map(|route| Some((route, path_values(route.path, path)?)));
    let (route, values) = found
        .ok_or_else(|| Problem::new(ErrorCode::NotFound, "No resource exists at this path."))?;
    if route.methods.contains(request.method()) {
        return Ok((route.path, values));
    }
    let allowed: Vec<_> = route.methods.iter().map(Method::as_str).collect();
    Err(Problem::new(
        ErrorCode::MethodNotAllowed,
        "This path does not support this method.",
    )
    .header(ALLOW, allowed.join(", ")))
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

    #[test]
    fn unsupported_method_lists_the_allowed_ones() {
        let (path, values) =
            route(&request(Method::GET, "/v1/verifications/ve_1"), ROUTES).expect("a route");
        assert_eq!(
            (path, values),
            ("/v1/verifications/{}", vec!["ve_1".to_owned()])
        );
        let problem =
            route(&request(Method::PUT, "/v1/verifications/ve_1"), ROUTES).expect_err("no PUT");
        assert_eq!(problem.code(), ErrorCode::MethodNotAllowed);
        assert_eq!(problem.headers()[0], (ALLOW, "GET, DELETE".to_owned()));
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
            let problem = route(&request(Method::GET, path), ROUTES).expect_err("no such path");
            assert_eq!(problem.code(), ErrorCode::NotFound, "{path}");
        }
    }
}
