//! The configuration that an instance of a function uses: variables, and over them the document
//! that the table holds. It is read again when the copy is old, and put in force if it changed.
//!
//! Invariants: a request never uses a copy older than the maximum age without a new attempt to read
//! it, and none older than 15 minutes. A document that cannot be read or used replaces nothing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Mutex;

use super::config_error::ConfigError;
use super::document::StoredConfig;
use super::start_log::log_start;
use super::stored_documents::StoredDocuments;
use crate::domain::time::Timestamp;
use crate::platform::clock::Clock;
use crate::platform::logging::causes;
use crate::store::{ConfigReadError, ConfigVersion, StoredVersions};

/// Age at which a copy is no longer used.
const UNREAD_SECONDS_MAX: i64 = 900;
/// Part of the maximum age after which the next request reads the copy again beside its work: that
/// of an instance under load never gets so old that a request has to wait.
const EARLY_AGE: (i64, i64) = (5, 6);
/// Least time between two readings that fail, while the copy is used.
const RETRY_SECONDS: i64 = 5;
/// Least time between two logs of such failures.
const LOG_SECONDS: i64 = 60;
/// How long a request waits for a reading if there is a copy.
const READ_TIME_MAX: Duration = Duration::from_secs(1);

/// What one function reads, and what it makes of it.
pub trait Configured: Send + Sync {
    /// What it uses until the configuration changes.
    type Settings: Send + Sync;

    /// Name of the function.
    const FUNCTION: &'static str;

    /// Reads the items that the function uses.
    fn read_stored(
        &self,
        is_consistent: bool,
    ) -> impl Future<Output = Result<StoredVersions, ConfigReadError>> + Send;

    /// The settings for `stored`, and warnings for the log.
    ///
    /// # Errors
    /// All invalid variables and members.
    fn configure(
        &self,
        stored: StoredConfig<'_>,
    ) -> Result<(Self::Settings, Vec<String>), ConfigError>;
}

/// The configuration of one instance.
pub struct InstanceConfig<C: Configured> {
    configured: C,
    clock: Clock,
    max_age_seconds: i64,
    /// `None` before the first reading.
    settings: RwLock<Option<Arc<C::Settings>>>,
    /// When they were last read.
    read_at: AtomicI64,
    reading: Mutex<Reading>,
}

/// What a reading compares with.
#[derive(Default)]
struct Reading {
    /// What is in force.
    in_force: Option<StoredVersions>,
    tried_at: Option<Timestamp>,
    logged_at: Option<Timestamp>,
}

/// The configuration could not be read for too long.
#[derive(Debug, Error)]
#[error("the configuration was not read")]
pub struct ConfigUnavailable;

/// Why a reading changed nothing.
#[derive(Debug, Error)]
enum ReadingError {
    #[error("the table did not return it")]
    Unread(#[source] ConfigReadError),
    #[error("no response in time")]
    OutOfTime,
    #[error("this version cannot use it: {}", .0.0.join("; "))]
    Unusable(ConfigError),
}

impl<C: Configured> InstanceConfig<C> {
    /// Nothing is read yet.
    pub fn new(configured: C, clock: Clock, max_age_seconds: i64) -> Self {
        Self {
            configured,
            clock,
            max_age_seconds,
            settings: RwLock::default(),
            read_at: AtomicI64::new(i64::MIN),
            reading: Mutex::default(),
        }
    }

    /// Reads the configuration for the first time, and logs the start. If the table fails, the
    /// first request reads it.
    ///
    /// # Errors
    /// All invalid variables and members: the function must not start.
    pub async fn start(&self) -> Result<(), ConfigError> {
        let mut reading = self.reading.lock().await;
        match self.read(&mut reading).await {
            Ok(warnings) => {
                let versions = reading.in_force.as_ref();
                let document = versions.map(|versions| version_of(&versions.document));
                log_start(C::FUNCTION, &warnings.unwrap_or_default(), document);
                Ok(())
            }
            Err(ReadingError::Unusable(error)) => Err(error),
            Err(error) => {
                let (_, warnings) = self.configured.configure(StoredConfig::default())?;
                log_start(C::FUNCTION, &warnings, None);
                log_failure(C::FUNCTION, &error);
                Ok(())
            }
        }
    }

    /// What reads and makes the settings.
    pub fn configured(&self) -> &C {
        &self.configured
    }

    /// The settings that were read last; `None` before the first reading.
    pub fn in_force(&self) -> Option<Arc<C::Settings>> {
        let settings = self.settings.read();
        settings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The settings in force. They are read first if the copy has reached the maximum age.
    ///
    /// # Errors
    /// There was no successful reading for 15 minutes.
    pub async fn current(&self) -> Result<Arc<C::Settings>, ConfigUnavailable> {
        if self.age() >= self.max_age_seconds {
            let mut reading = self.reading.lock().await;
            // Another request may have read it meanwhile.
            if self.age() >= self.max_age_seconds {
                Box::pin(self.read_again(&mut reading)).await;
            }
        }
        let is_in_time = self.age() <= UNREAD_SECONDS_MAX;
        let settings = self.in_force().filter(|_| is_in_time);
        settings.ok_or(ConfigUnavailable)
    }

    /// Runs `work`, and reads the configuration beside it if the copy is soon too old.
    pub async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let (part, whole) = EARLY_AGE;
        let early_seconds = self.max_age_seconds * part / whole;
        if !(early_seconds..self.max_age_seconds).contains(&self.age()) {
            return work.await;
        }
        let read = async {
            // If another request reads it, that is enough.
            if let Ok(mut reading) = self.reading.try_lock() {
                Box::pin(self.read_again(&mut reading)).await;
            }
        };
        tokio::join!(work, read).0
    }

    fn age(&self) -> i64 {
        let read_at = self.read_at.load(Ordering::Acquire);
        self.clock.now().seconds_since(Timestamp(read_at))
    }

    /// Reads the configuration, and logs a failure.
    async fn read_again(&self, reading: &mut Reading) {
        let (age, now) = (self.age(), self.clock.now());
        let is_used = age <= UNREAD_SECONDS_MAX;
        let is_within = |moment: Option<Timestamp>, seconds| {
            moment.is_some_and(|moment| (0..seconds).contains(&now.seconds_since(moment)))
        };
        if is_used && is_within(reading.tried_at, RETRY_SECONDS) {
            return;
        }
        reading.tried_at = Some(now);
        let is_first = reading.in_force.is_none();
        let read = match is_used {
            true => tokio::time::timeout(READ_TIME_MAX, self.read(reading))
                .await
                .unwrap_or(Err(ReadingError::OutOfTime)),
            false => self.read(reading).await,
        };
        match read {
            Ok(None) => reading.tried_at = None,
            Ok(Some(warnings)) => {
                reading.tried_at = None;
                for warning in warnings {
                    tracing::warn!(function = C::FUNCTION, "{warning}");
                }
                if is_first {
                    return;
                }
                let versions = reading.in_force.as_ref();
                let document = versions.map(|versions| version_of(&versions.document));
                tracing::info!(
                    function = C::FUNCTION,
                    config.version = document,
                    "the configuration has changed"
                );
            }
            Err(error) if !is_within(reading.logged_at, LOG_SECONDS) => {
                reading.logged_at = Some(now);
                log_failure(C::FUNCTION, &error);
            }
            Err(_) => {}
        }
    }

    /// Reads the items, and puts them in force if they have changed. Returns warnings about what is
    /// in force now; `None` if nothing has changed.
    async fn read(&self, reading: &mut Reading) -> Result<Option<Vec<String>>, ReadingError> {
        let started_at = self.clock.now();
        let changed = self.read_and_configure(reading.in_force.as_ref()).await;
        // A document that cannot be used was read all the same.
        let is_read = match &changed {
            Ok(_) => true,
            Err(ReadingError::Unusable(_)) => reading.in_force.is_some(),
            Err(ReadingError::Unread(_) | ReadingError::OutOfTime) => false,
        };
        let changed = changed.map(|changed| {
            let (versions, settings, warnings) = changed?;
            let current = self.settings.write();
            *current.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(settings));
            reading.in_force = Some(versions);
            Some(warnings)
        });
        if is_read {
            self.read_at.store(started_at.0, Ordering::Release);
        }
        changed
    }

    /// What is stored, and the settings for it; `None` if it is `in_force`.
    async fn read_and_configure(
        &self,
        in_force: Option<&StoredVersions>,
    ) -> Result<Option<(StoredVersions, C::Settings, Vec<String>)>, ReadingError> {
        let mut versions = self.read_stored(false).await?;
        if in_force == Some(&versions) {
            return Ok(None);
        }
        let mut configured = self.configure(&versions);
        if configured.is_err() {
            // The two items may be of different moments.
            versions = self.read_stored(true).await?;
            configured = self.configure(&versions);
        }
        let (settings, warnings) = configured.map_err(ReadingError::Unusable)?;
        Ok(Some((versions, settings, warnings)))
    }

    async fn read_stored(&self, is_consistent: bool) -> Result<StoredVersions, ReadingError> {
        match self.configured.read_stored(is_consistent).await {
            Ok(versions) => Ok(versions),
            Err(ConfigReadError::Malformed(item)) => {
                let problem = format!("{item}: the item is not one of this version");
                Err(ReadingError::Unusable(ConfigError(vec![problem])))
            }
            Err(error) => Err(ReadingError::Unread(error)),
        }
    }

    fn configure(
        &self,
        versions: &StoredVersions,
    ) -> Result<(C::Settings, Vec<String>), ConfigError> {
        let documents = StoredDocuments::parse(versions)?;
        self.configured.configure(documents.stored())
    }
}

/// The version of an item; 0 if there is none.
fn version_of(item: &Option<ConfigVersion>) -> u64 {
    item.as_ref().map_or(0, |item| item.version)
}

fn log_failure(function: &str, error: &ReadingError) {
    let kind = match error {
        ReadingError::Unusable(_) => "config_unusable",
        ReadingError::Unread(_) | ReadingError::OutOfTime => "config_unread",
    };
    tracing::error!(
        function,
        error.kind = kind,
        error.cause = causes(error),
        "could not read the configuration; the last one stays in force"
    );
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex as StdMutex;

    use super::*;

    /// Returns the stored versions that a test queues, the last one again and again.
    #[derive(Default)]
    struct Scripted {
        readings: StdMutex<VecDeque<Option<StoredVersions>>>,
        reads: StdMutex<Vec<bool>>,
    }

    impl Configured for Scripted {
        type Settings = String;

        const FUNCTION: &'static str = "scripted";

        async fn read_stored(
            &self,
            is_consistent: bool,
        ) -> Result<StoredVersions, ConfigReadError> {
            self.reads.lock().expect("a list").push(is_consistent);
            let mut readings = self.readings.lock().expect("a queue");
            let reading = match readings.len() {
                1 => readings.front().cloned().flatten(),
                _ => readings.pop_front().flatten(),
            };
            reading.ok_or(ConfigReadError::Incomplete)
        }

        fn configure(
            &self,
            stored: StoredConfig<'_>,
        ) -> Result<(String, Vec<String>), ConfigError> {
            let apps = stored
                .document
                .map(|document| document.apps.keys().cloned());
            Ok((apps.into_iter().flatten().collect(), vec![]))
        }
    }

    fn stored(version: u64, text: &str) -> Option<StoredVersions> {
        Some(StoredVersions::of_document(Some(ConfigVersion {
            version,
            text: Some(text.to_owned()),
            seal_key: "k1".into(),
            written_at: Timestamp(0),
            author: "ada".into(),
        })))
    }

    fn of_app(version: u64, app: &str) -> Option<StoredVersions> {
        stored(
            version,
            &format!(r#"{{"format":1,"apps":{{"{app}":{{}}}}}}"#),
        )
    }

    fn config(readings: Vec<Option<StoredVersions>>) -> (InstanceConfig<Scripted>, Clock) {
        let clock = Clock::default();
        let scripted = Scripted {
            readings: StdMutex::new(readings.into()),
            ..Scripted::default()
        };
        (InstanceConfig::new(scripted, clock.clone(), 60), clock)
    }

    fn advance(clock: &Clock, seconds: i64) {
        clock.advance_to_millis(clock.now_millis() + seconds * 1000);
    }

    fn reads(config: &InstanceConfig<Scripted>) -> usize {
        config.configured.reads.lock().expect("a list").len()
    }

    async fn current(config: &InstanceConfig<Scripted>) -> Option<String> {
        let settings = config.beside(config.current()).await;
        settings.ok().map(|settings| settings.to_string())
    }

    #[tokio::test]
    async fn copy_is_read_again_at_its_maximum_age() {
        let (config, clock) = config(vec![of_app(1, "a"), of_app(2, "b")]);
        assert!(config.start().await.is_ok());
        advance(&clock, 45);
        assert_eq!(current(&config).await.as_deref(), Some("a"));
        assert_eq!(reads(&config), 1);
        advance(&clock, 15);
        assert_eq!(current(&config).await.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn early_reading_counts_from_the_next_request() {
        let (config, clock) = config(vec![of_app(1, "a"), of_app(2, "b")]);
        assert!(config.start().await.is_ok());
        advance(&clock, 52);
        assert_eq!(current(&config).await.as_deref(), Some("a"));
        assert_eq!(reads(&config), 2);
        assert_eq!(current(&config).await.as_deref(), Some("b"));
        assert_eq!(reads(&config), 2);
    }

    #[tokio::test]
    async fn failures_keep_the_copy_for_fifteen_minutes() {
        let (config, clock) = config(vec![of_app(1, "a"), None]);
        assert!(config.start().await.is_ok());
        advance(&clock, 899);
        for _ in 0..3 {
            assert_eq!(current(&config).await.as_deref(), Some("a"));
        }
        assert_eq!(reads(&config), 2, "a failure is not repeated at once");
        advance(&clock, 5);
        assert_eq!(current(&config).await, None);
        config
            .configured
            .readings
            .lock()
            .expect("a queue")
            .push_back(of_app(2, "b"));
        assert_eq!(current(&config).await, None, "the failure that is left");
        assert_eq!(current(&config).await.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn unusable_document_ages_no_copy() {
        let (config, clock) = config(vec![of_app(1, "a"), stored(2, "{}")]);
        assert!(config.start().await.is_ok());
        for _ in 0..20 {
            advance(&clock, 60);
            assert_eq!(current(&config).await.as_deref(), Some("a"));
        }
        let (config, _) = self::config(vec![stored(2, "{}")]);
        let refused = config.start().await.expect_err("no start");
        assert_eq!(refused.0, ["config.format: must be 1"]);
        assert_eq!(
            *config.configured.reads.lock().expect("a list"),
            [false, true]
        );
    }

    #[tokio::test]
    async fn first_request_reads_what_the_start_could_not() {
        let (config, _) = config(vec![None, None, of_app(1, "a")]);
        assert!(config.start().await.is_ok());
        assert_eq!(current(&config).await, None);
        assert_eq!(current(&config).await.as_deref(), Some("a"));
    }
}
