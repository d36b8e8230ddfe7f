//! The HTTP server: the API of the functions as API Gateway exposes it, and the local-only
//! endpoints beside it.

mod api_gateway;
mod local_endpoints;
mod shared_parts;

use std::future::IntoFuture as _;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::origin_check::{OriginCheck, check_origin};
use local_endpoints as local;
pub(crate) use shared_parts::Gateway;

/// Serves on all listeners until one of them fails or the runtime ends.
pub(crate) async fn serve(listeners: Vec<TcpListener>, check: OriginCheck, gateway: Gateway) {
    let router = router(check, gateway);
    let mut servers = JoinSet::new();
    for listener in listeners {
        servers.spawn(axum::serve(listener, router.clone()).into_future());
    }
    if let Some(Ok(Err(error))) = servers.join_next().await {
        tracing::error!(
            error.cause = error.to_string(),
            "the HTTP server has stopped"
        );
    }
}

fn router(check: OriginCheck, gateway: Gateway) -> Router {
    Router::new()
        .route("/", get(local::page))
        .route("/openapi.json", get(local::openapi))
        .route("/openapi.strict.json", get(local::strict_openapi))
        .route(
            "/local/messages",
            get(local::messages).delete(local::clear_phones),
        )
        .route("/local/messages/{id}/report", post(local::report))
        .route("/local/clock", get(local::clock).post(local::advance_clock))
        .route("/local/reset", post(local::reset))
        .route("/local/carriers", get(local::carriers))
        .route(
            "/local/carriers/{name}",
            get(local::carrier).post(local::set_carrier),
        )
        .route("/local/reseal", post(local::reseal))
        .route("/local/metrics", get(local::metrics))
        .route("/local/state", get(local::state))
        .route("/local/endpoints", get(local::endpoints))
        .route(
            "/2015-03-31/functions/{name}/invocations",
            post(local::invoke),
        )
        // Not for the fallback: the functions require an API key or a carrier's token.
        .route_layer(axum::middleware::from_fn_with_state(check, check_origin))
        .fallback(api_gateway::call_function)
        .with_state(Arc::new(gateway))
}
