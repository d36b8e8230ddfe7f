//! Trial: sends one message through one carrier, and returns request and response. For the command
//! `lambda-otp carrier test`, which shows an operator what a vendor answers.
//!
//! Invariant: the request contains credentials. It is returned to its caller, and not logged.

use std::time::Duration;

use ::http::{Request, Response};

use super::carrier_trait::{OutgoingMessage, Receipt};
use super::carriers::Carriers;
use super::configured::ConfiguredCarrier;
use crate::domain::time::Timestamp;
use crate::platform::logging::causes;

/// What went over the wire.
#[derive(Debug)]
pub struct Trial {
    /// The request, signed; `None` if the AWS client made it, or if it could not be made.
    pub request: Option<Request<String>>,
    /// The response; `None` if there was none, or if the AWS client read it.
    pub response: Option<Response<Vec<u8>>>,
    /// Why there is no response.
    pub error: Option<String>,
    /// What the response means.
    pub receipt: Receipt,
    /// The vendor's id of an accepted message, if its status can be polled.
    pub vendor_id: Option<String>,
}

impl Trial {
    fn without_response(receipt: Receipt) -> Self {
        Self {
            request: None,
            response: None,
            error: None,
            receipt,
            vendor_id: None,
        }
    }
}

impl Carriers {
    /// Hands `message` to `carrier` as the worker does, within its time-out.
    pub async fn try_out(
        &self,
        carrier: &ConfiguredCarrier,
        message: &OutgoingMessage<'_>,
        now: Timestamp,
    ) -> Trial {
        let timeout: Duration = carrier.timeout;
        let Some(adapter) = &carrier.adapter else {
            let handed_over = self.hand_over(carrier, message, timeout, now).await;
            return Trial::without_response(handed_over.receipt);
        };
        let Some(request) = self.signed(carrier, adapter.carrier.request(message), now) else {
            return Trial::without_response(Receipt::Misconfigured);
        };
        let sent = self.client.send(request.clone(), timeout).await;
        let request = Some(request);
        match sent {
            Ok(response) => {
                let receipt = adapter.carrier.receipt(&response, now);
                let polling = adapter.status_polling.as_ref();
                let vendor_id = polling
                    .filter(|_| receipt == Receipt::Accepted)
                    .and_then(|polling| polling.vendor_id(&response));
                Trial {
                    request,
                    response: Some(response),
                    error: None,
                    receipt,
                    vendor_id,
                }
            }
            Err(error) => Trial {
                request,
                error: Some(causes(&error)),
                ..Trial::without_response(error.receipt())
            },
        }
    }
}
