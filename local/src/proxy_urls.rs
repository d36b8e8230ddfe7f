//! Proxy URLs: the URLs at which the functions reach DynamoDB, SQS and SNS. A test can put a proxy
//! there.

use crate::variables::Endpoints;

/// What the URL of the queue of dead letters ends with.
pub(crate) const DEAD_LETTERS_PATH: &str = "/dead-letters";

/// URLs of proxies in front of the table, the queue and SNS, which tests use to cause faults. The
/// [`crate::Server`] has the URLs behind them.
#[derive(Default)]
pub struct Wires {
    /// In front of DynamoDB.
    pub dynamodb: Option<String>,
    /// In front of SQS.
    pub sqs: Option<String>,
    /// In front of SNS, which also serves the certificates for its signatures.
    pub sns: Option<String>,
}

impl Wires {
    /// The URLs that the functions use.
    pub(crate) fn endpoints(self, dynamodb_url: &str, sqs_url: &str) -> Endpoints {
        let or = |wire: Option<String>, url: &str| wire.unwrap_or_else(|| url.to_owned());
        Endpoints {
            dynamodb_url: or(self.dynamodb, dynamodb_url),
            sqs_url: or(self.sqs, sqs_url),
            sns_url: or(self.sns, sqs_url),
            queue_url: queue_url(sqs_url),
        }
    }
}

/// The URL of the dispatch queue at the local SQS.
pub(crate) fn queue_url(sqs_url: &str) -> String {
    format!("{sqs_url}/queue")
}

/// The URL of the queue of dead letters at the local SQS.
pub(crate) fn dead_letters_url(sqs_url: &str) -> String {
    format!("{sqs_url}{DEAD_LETTERS_PATH}")
}
