//! Checks of carriers against the apps: prices for spend limits, senders for countries.

use super::advice::missing_prices;
use super::apps::Apps;
use super::reader::Reader;
use crate::carrier::ConfiguredCarrier;
use crate::domain::policy::Policy;

impl Reader<'_> {
    /// Checks that a spend limit has prices to count: without them it would have no effect.
    pub(super) fn check_prices(&mut self, apps: &Apps, carriers: &[ConfiguredCarrier]) {
        let Some(problem) = missing_prices(carriers, self.carriers_source()) else {
            return;
        };
        if apps.default.spend_per_day.is_some() {
            self.problem("OTP_SPEND_PER_DAY", &problem);
            return;
        }
        let with_limit = |(_, policy): &(&String, &Policy)| policy.spend_per_day.is_some();
        for (app, _) in apps.apps.iter().filter(with_limit) {
            let source = self.app_source(app);
            self.problem(source, &format!("{app}.spend_per_day {problem}"));
        }
    }

    /// Checks that the vendors that require a sender get one from every app.
    pub(super) fn check_senders(&mut self, apps: &Apps, carriers: &[ConfiguredCarrier]) {
        for carrier in carriers {
            for (app, policy) in apps.all() {
                let countries = carrier.countries_without_sender(policy);
                if countries.is_empty() {
                    continue;
                }
                let of_app = app.map(|app| format!(" for app {app}")).unwrap_or_default();
                let problem = format!(
                    "carrier {}: this vendor rejects messages without a sender, and there is none{of_app} \
                     in {}: networks there accept no names, or the name of the app is not one of 1 \
                     to 11 letters and digits. Set `sender` for these countries, such as \
                     {{\"US\":\"+12025550100\",\"*\":\"Acme\"}}, or `countries` without them",
                    carrier.name,
                    countries.join(", ")
                );
                self.problem(self.carriers_source(), &problem);
                break;
            }
        }
    }

    /// Logs what the operator should know about the senders of `carriers`. Only the function that
    /// hands messages over does so: the others have the same settings.
    pub(super) fn warn_about_senders(&self, apps: &Apps, carriers: &[ConfiguredCarrier]) {
        let source = self.carriers_source();
        for carrier in carriers {
            for warning in carrier.sender_warnings(apps.all().map(|(_, policy)| policy)) {
                tracing::warn!(carrier = carrier.name, "{source}: {warning}");
            }
        }
    }
}
