//! The settings of all functions, validated together: a variable may be invalid for one function
//! only.

use std::collections::BTreeSet;

use otp::config::document::StoredConfig;
use otp::config::{
    CallbackConfig, FactorsConfig, Reader, SendConfig, Variables, VerifyConfig, WorkerConfig,
};

/// The configuration of each function.
pub(crate) struct Settings {
    pub(crate) send: SendConfig,
    pub(crate) verify: VerifyConfig,
    pub(crate) factors: FactorsConfig,
    pub(crate) delivery_callback: CallbackConfig,
    pub(crate) carrier_worker: WorkerConfig,
}

impl Settings {
    /// What the operator should look at: one line each, though several functions report it.
    pub(crate) fn warnings(&self) -> BTreeSet<&str> {
        let all = [
            &self.send.warnings,
            &self.verify.warnings,
            &self.factors.warnings,
            &self.delivery_callback.warnings,
            &self.carrier_worker.warnings,
        ];
        all.into_iter().flatten().map(String::as_str).collect()
    }

    /// Reads the variables that `variables` looks up.
    ///
    /// # Errors
    /// One line per invalid variable, sorted.
    pub(crate) fn read(variables: Variables<'_>) -> Result<Self, Vec<String>> {
        Self::read_with(variables, StoredConfig::default())
    }

    /// As [`Self::read`], with what the table holds over the variables.
    pub(crate) fn read_with(
        variables: Variables<'_>,
        stored: StoredConfig<'_>,
    ) -> Result<Self, Vec<String>> {
        let send = SendConfig::read(Reader::new(variables, stored));
        let verify = VerifyConfig::read(Reader::new(variables, stored));
        let factors = FactorsConfig::read(Reader::new(variables, stored));
        let delivery_callback = CallbackConfig::read(Reader::new(variables, stored));
        let carrier_worker = WorkerConfig::read(Reader::new(variables, stored));
        match (send, verify, factors, delivery_callback, carrier_worker) {
            (Ok(send), Ok(verify), Ok(factors), Ok(delivery_callback), Ok(carrier_worker)) => {
                Ok(Self {
                    send,
                    verify,
                    factors,
                    delivery_callback,
                    carrier_worker,
                })
            }
            (send, verify, factors, delivery_callback, carrier_worker) => {
                let errors = [
                    send.err(),
                    verify.err(),
                    factors.err(),
                    delivery_callback.err(),
                    carrier_worker.err(),
                ];
                let errors = errors.into_iter().flatten();
                let mut problems: Vec<String> = errors.flat_map(|error| error.0).collect();
                problems.sort();
                problems.dedup();
                Err(problems)
            }
        }
    }
}
