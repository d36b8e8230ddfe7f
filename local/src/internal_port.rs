//! Internal ports, on which the server serves DynamoDB, SQS and SNS to the functions.

use std::io;

use tokio::net::TcpListener;

use crate::start_error::StartError;

/// A listener on a free port of this machine, and its URL.
pub(crate) async fn bind_internal_port() -> Result<(TcpListener, String), StartError> {
    let bind = async || -> io::Result<_> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        Ok((listener, url))
    };
    bind().await.map_err(StartError::InternalPort)
}
