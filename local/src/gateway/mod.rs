//! The HTTP server: the API of the functions as API Gateway exposes it, and the local-only
//! endpoints beside it.

mod api_gateway;
mod local_endpoints;
mod state;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::origin_check::check_origin;
use local_endpoints as local;
pub(crate) use state::Gateway;

/// Serves until the runtime ends. The listener has this `port`.
pub(crate) async fn serve(listener: TcpListener, port: u16, gateway: Gateway) {
    if let Err(error) = axum::serve(listener, router(port, gateway)).await {
        tracing::error!(
            error.cause = error.to_string(),
            "the HTTP server has stopped"
        );
    }
}

fn router(port: u16, gateway: Gateway) -> Router {
    Router::new()
        .route("/", get(local::page))
        .route("/openapi.json", get(local::openapi))
        .route("/local/messages", get(local::messages))
        .route("/local/messages/{id}/report", post(local::report))
        .route("/local/clock", get(local::clock).post(local::advance_clock))
        .route("/local/carriers/{name}", post(local::set_carrier))
        .route("/local/metrics", get(local::metrics))
        .route("/local/state", get(local::state))
        .route(
            "/2015-03-31/functions/{name}/invocations",
            post(local::invoke),
        )
        // Not for the fallback: the functions require an API key or a carrier's token.
        .route_layer(axum::middleware::from_fn_with_state(port, check_origin))
        .fallback(api_gateway::call_function)
        .with_state(Arc::new(gateway))
}
