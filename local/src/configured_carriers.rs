//! The carriers that the functions use, of the configuration document or of `OTP_CARRIERS`: the
//! simulated ones with their behaviour, the real ones by name, and the circuit breaker of each.

use otp::service::deliver::breakers::Breakers;
use serde::Serialize;

use crate::simulated_carriers::{Behaviour, Mode, SNS, SimulatedCarriers};
use crate::stored_configuration::{InForce, StoredConfiguration};

/// The carriers, in order of preference.
pub(crate) struct ConfiguredCarriers {
    configuration: StoredConfiguration,
    simulated: SimulatedCarriers,
    breakers: Breakers,
}

struct Carrier {
    name: String,
    /// The name under which it is simulated. A real carrier has none.
    simulated_name: Option<String>,
}

/// One carrier as `GET /local/carriers` shows it.
#[derive(Serialize)]
pub(crate) struct CarrierState {
    name: String,
    /// `None` for a real carrier.
    mode: Option<Mode>,
    breaker: &'static str,
}

impl ConfiguredCarriers {
    pub(crate) fn new(
        configuration: StoredConfiguration,
        simulated: SimulatedCarriers,
        breakers: Breakers,
    ) -> Self {
        Self {
            configuration,
            simulated,
            breakers,
        }
    }

    /// The carriers now. While the document cannot be used, those of the variables.
    async fn carriers(&self) -> Vec<Carrier> {
        let in_force = match self.configuration.read().await {
            Ok(in_force) => Some(in_force),
            Err(_) => self.configuration.of_variables().ok(),
        };
        in_force.map_or_else(Vec::new, |in_force| of(&in_force, &self.simulated))
    }

    /// The name under which the carrier called `name` is simulated. A simulated carrier that is not
    /// configured has its own.
    pub(crate) async fn simulated_name(&self, name: &str) -> Option<String> {
        let mut carriers = self.carriers().await.into_iter();
        match carriers.find(|carrier| carrier.name == name) {
            Some(carrier) => carrier.simulated_name,
            None => Some(name.to_owned()),
        }
    }

    /// All carriers.
    pub(crate) async fn states(&self) -> Vec<CarrierState> {
        let open = self.breakers.open_carriers().await;
        let behaviour = |name: &String| self.simulated.behaviour(name);
        let state = |carrier: Carrier| CarrierState {
            mode: carrier
                .simulated_name
                .as_ref()
                .and_then(behaviour)
                .map(|behaviour: Behaviour| behaviour.mode),
            breaker: match open.contains(&carrier.name) {
                true => "open",
                false => "closed",
            },
            name: carrier.name,
        };
        self.carriers().await.into_iter().map(state).collect()
    }
}

/// The names of the real carriers: their messages leave this machine.
pub(crate) fn real_carriers(in_force: &InForce, simulated: &SimulatedCarriers) -> Vec<String> {
    let carriers = of(in_force, simulated).into_iter();
    let real = carriers.filter(|carrier| carrier.simulated_name.is_none());
    real.map(|carrier| carrier.name).collect()
}

/// Simulated are those of kind `sns`, because the functions call the simulated SNS, and those whose
/// URL is one of the simulated carriers.
fn of(in_force: &InForce, simulated: &SimulatedCarriers) -> Vec<Carrier> {
    let carriers = in_force.settings.send.carriers.iter().enumerate();
    let carriers = carriers.map(|(index, carrier)| {
        let entry = in_force.carriers.get(index);
        let url = entry.and_then(|entry| entry["base_url"].as_str());
        Carrier {
            name: carrier.name.clone(),
            simulated_name: match carrier.is_sns() {
                true => Some(SNS.to_owned()),
                false => url.and_then(|url| simulated.name_at(url)),
            },
        }
    });
    carriers.collect()
}
