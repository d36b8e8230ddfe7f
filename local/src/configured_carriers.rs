//! The carriers in `OTP_CARRIERS`: the simulated ones with their behaviour, the real ones by name,
//! and the circuit breaker of each.

use otp::carrier::ConfiguredCarrier;
use otp::service::deliver::breakers::Breakers;
use serde::Serialize;

use crate::simulated_carriers::{Behaviour, Mode, SNS, SimulatedCarriers};

/// The carriers, in order of preference.
pub(crate) struct ConfiguredCarriers {
    carriers: Vec<Carrier>,
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
    /// `is_default` without `OTP_CARRIERS`: then all of `carriers` are simulated. Otherwise those
    /// of kind `sns` are, because the functions call the simulated SNS.
    pub(crate) fn new(
        carriers: &[ConfiguredCarrier],
        is_default: bool,
        breakers: Breakers,
    ) -> Self {
        let carriers = carriers.iter().map(|carrier| Carrier {
            name: carrier.name.clone(),
            simulated_name: match carrier.is_sns() {
                true => Some(SNS.to_owned()),
                false => is_default.then(|| carrier.name.clone()),
            },
        });
        Self {
            carriers: carriers.collect(),
            breakers,
        }
    }

    /// The names of the real carriers: their messages leave this machine.
    pub(crate) fn real(&self) -> Vec<&str> {
        let real = self.carriers.iter();
        let real = real.filter(|carrier| carrier.simulated_name.is_none());
        real.map(|carrier| carrier.name.as_str()).collect()
    }

    /// The name under which the carrier called `name` is simulated. A simulated carrier that is not
    /// configured has its own.
    pub(crate) fn simulated_name<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        match self.carriers.iter().find(|carrier| carrier.name == name) {
            Some(carrier) => carrier.simulated_name.as_deref(),
            None => Some(name),
        }
    }

    /// All carriers.
    pub(crate) async fn states(&self, simulated: &SimulatedCarriers) -> Vec<CarrierState> {
        let open = self.breakers.open_carriers().await;
        let behaviour = |name: &String| simulated.behaviour(name);
        let state = |carrier: &Carrier| CarrierState {
            name: carrier.name.clone(),
            mode: carrier
                .simulated_name
                .as_ref()
                .and_then(behaviour)
                .map(|behaviour: Behaviour| behaviour.mode),
            breaker: match open.contains(&carrier.name) {
                true => "open",
                false => "closed",
            },
        };
        self.carriers.iter().map(state).collect()
    }
}
