//! What a breaker is open for: refusals for its channel and country, failures of the account for
//! everything.

use serde_json::json;

use crate::support::{Behaviour, HttpCarrier, Service, TestResponse, american_phone, phone};

struct Carriers {
    first: HttpCarrier,
    second: HttpCarrier,
    service: Service,
}

impl Carriers {
    /// The first carrier responds with `status` to messages to five French phones.
    async fn refusing_five_french_phones(status: u16) -> Self {
        let (first, second) = HttpCarrier::start_two("first", "second").await;
        let service = Service::start_with_carriers(&[&first, &second], &[]).await;
        for n in 0..5 {
            first.behave_to(&phone(n), Behaviour::Respond(status, ""));
            service.send(&phone(n)).await;
            service.settle().await;
        }
        assert_eq!((first.received().len(), second.received().len()), (5, 5));
        Self {
            first,
            second,
            service,
        }
    }

    /// Whether the first carrier gets this message.
    async fn first_gets(&self, to: &str, channel: &str) -> bool {
        let before = (self.first.received().len(), self.second.received().len());
        let sent: TestResponse = self
            .service
            .send_body(json!({"to": to, "channel": channel}))
            .await;
        assert_eq!(sent.status, 201, "{sent:?}");
        self.service.settle().await;
        let (first, second) = (self.first.received().len(), self.second.received().len());
        assert_eq!(first + second, before.0 + before.1 + 1);
        first > before.0
    }
}

#[tokio::test]
async fn refusals_of_one_country_close_no_other() {
    for status in [403, 500, 302] {
        let carriers = Carriers::refusing_five_french_phones(status).await;
        assert!(!carriers.first_gets(&phone(5), "sms").await, "{status}");
        assert!(carriers.first_gets(&phone(6), "voice").await, "{status}");
        let american = american_phone(7);
        assert!(carriers.first_gets(&american, "sms").await, "{status}");
    }
}

#[tokio::test]
async fn failures_of_the_account_close_everything() {
    for status in [401, 402] {
        let carriers = Carriers::refusing_five_french_phones(status).await;
        assert!(!carriers.first_gets(&phone(5), "sms").await, "{status}");
        assert!(!carriers.first_gets(&phone(6), "voice").await, "{status}");
        let american = american_phone(7);
        assert!(!carriers.first_gets(&american, "sms").await, "{status}");
        carriers.service.advance(31).await;
        let american = american_phone(8);
        assert!(
            carriers.first_gets(&american, "sms").await,
            "{status}: a probe"
        );
        assert!(
            carriers.first_gets(&phone(9), "sms").await,
            "{status}: closed for all"
        );
    }
}
