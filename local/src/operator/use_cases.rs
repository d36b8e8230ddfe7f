//! What the functions' use cases need, from the variables of a deployment and from its table.

use otp::config::{FactorsConfig, Reader, SendConfig, WorkerConfig};
use otp::platform::metrics::Metrics;
use otp::service::factors::Subjects;
use otp::service::sending::Sending;

use super::configuration::Configuration;
use super::deployment::PUBLIC_URL;
use super::error::OperatorError;

impl Configuration<'_> {
    /// For recipients.
    pub(crate) fn sending(&self) -> Result<Sending, OperatorError> {
        let deployment = self.deployment;
        let config = SendConfig::read(Reader::new(
            &|name| deployment.variable(name),
            self.stored(),
        ));
        let config = config.map_err(|error| OperatorError::Settings(error.0))?;
        let metrics = Metrics::to_sink(|_| ());
        Ok(Sending::new(config, deployment.clock(), metrics))
    }

    /// For subjects.
    pub(crate) fn subjects(&self) -> Result<Subjects, OperatorError> {
        let deployment = self.deployment;
        let config = FactorsConfig::read(Reader::new(
            &|name| deployment.variable(name),
            self.stored(),
        ));
        let config = config.map_err(|error| OperatorError::Settings(error.0))?;
        Ok(Subjects::new(config, Metrics::to_sink(|_| ())))
    }

    /// For the worker, with `public_url` in place of its own.
    pub(crate) fn worker_config(
        &self,
        public_url: Option<&str>,
    ) -> Result<WorkerConfig, OperatorError> {
        let variable = |name: &str| match (name, public_url) {
            (PUBLIC_URL, Some(url)) => Some(url.to_owned()),
            _ => self.deployment.variable(name),
        };
        let config = WorkerConfig::read(Reader::new(&variable, self.stored()));
        config.map_err(|error| OperatorError::Settings(error.0))
    }
}
