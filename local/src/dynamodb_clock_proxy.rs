//! A proxy in front of the table whose responses carry the time of the moved clock, as DynamoDB's
//! carry the time of AWS. The functions compare it with their own.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use otp::platform::clock::Clock;

use crate::internal_port::bind_internal_port;
use crate::start_error::StartError;

/// Largest request that DynamoDB accepts.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;

#[derive(Clone)]
struct Proxy {
    target: String,
    clock: Clock,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Serves the table at `target` with the time of `clock`; returns the URL.
pub(crate) async fn serve(target: String, clock: Clock) -> Result<String, StartError> {
    let (listener, url) = bind_internal_port().await?;
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let proxy = Proxy {
        target,
        clock,
        client,
    };
    let router = Router::new().fallback(forward).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(url)
}

async fn forward(State(proxy): State<Proxy>, request: Request) -> Result<Response, StatusCode> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let url = format!("{}{path}", proxy.target.trim_end_matches('/'));
    parts.uri = url.parse().map_err(|_| StatusCode::BAD_GATEWAY)?;
    let body = to_bytes(body, REQUEST_BYTES_MAX).await;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    let forwarded = Request::from_parts(parts, Full::new(body));
    let response = proxy.client.request(forwarded).await;
    let mut response = response.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let date = HeaderValue::from_str(&proxy.clock.now().to_http_date());
    if let Ok(date) = date {
        response.headers_mut().insert(header::DATE, date);
    }
    Ok(response.map(Body::new))
}
