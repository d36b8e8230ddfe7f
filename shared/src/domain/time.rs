//! Time in whole seconds, the only precision that the rules need.

use std::fmt;
use std::ops::{Add, Sub};

use jiff::ToSpan as _;
use jiff::tz::TimeZone;

/// Seconds in an hour.
pub const HOUR_SECONDS: i64 = 3600;
/// Seconds in a day.
pub const DAY_SECONDS: i64 = 86_400;
/// How long a recipient's record is kept after its last event.
pub const RETENTION_SECONDS: i64 = 2 * DAY_SECONDS;

/// Seconds since 1970-01-01T00:00:00Z. Arithmetic saturates, so a hostile or broken clock cannot
/// make it panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment that an HTTP header such as `Date` names.
    #[must_use]
    pub fn from_http_date(value: &str) -> Option<Self> {
        let date = jiff::fmt::rfc2822::parse(value).ok()?;
        Some(Self(date.timestamp().as_second()))
    }

    /// The beginning of a day in UTC, written like `2027-01-31`.
    #[must_use]
    pub fn from_date(value: &str) -> Option<Self> {
        let is_date = value.len() == "2027-01-31".len();
        let date: jiff::civil::Date = value.parse().ok().filter(|_| is_date)?;
        let midnight = date.to_zoned(TimeZone::UTC).ok()?;
        Some(Self(midnight.timestamp().as_second()))
    }

    /// A moment in RFC 3339: `2026-11-28T20:00:00Z`.
    #[must_use]
    pub fn from_rfc3339(value: &str) -> Option<Self> {
        let moment: jiff::Timestamp = value.parse().ok()?;
        Some(Self(moment.as_second()))
    }

    /// The same day and time of the next year, in UTC.
    #[must_use]
    pub fn a_year_later(self) -> Self {
        let moment = jiff::Timestamp::from_second(self.0).unwrap_or_default();
        let later = moment.to_zoned(TimeZone::UTC).checked_add(1.year());
        later.map_or(self, |later| Self(later.timestamp().as_second()))
    }

    /// The moment as an HTTP header names it: `Sat, 21 Nov 2026 20:00:00 GMT`.
    #[must_use]
    pub fn to_http_date(self) -> String {
        let moment = jiff::Timestamp::from_second(self.0).unwrap_or_default();
        moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Seconds from `earlier` to this moment; negative when `earlier` is later.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<i64> for Timestamp {
    type Output = Self;

    fn add(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

impl Sub<i64> for Timestamp {
    type Output = Self;

    fn sub(self, seconds: i64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second: `2026-11-21T20:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        jiff::Timestamp::from_second(self.0)
            .unwrap_or_default()
            .fmt(f)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_rfc_3339_without_fractions() {
        assert_eq!(Timestamp(1_795_291_200).to_string(), "2026-11-21T20:00:00Z");
    }

    #[test]
    fn arithmetic_at_the_ends_of_time_saturates() {
        assert_eq!(Timestamp(i64::MAX) + 1, Timestamp(i64::MAX));
        assert_eq!(Timestamp(i64::MIN).seconds_since(Timestamp(1)), i64::MIN);
    }

    #[test]
    fn times_of_other_systems_are_read() {
        let moment = Timestamp(1_795_291_200);
        assert_eq!(moment.to_http_date(), "Sat, 21 Nov 2026 20:00:00 GMT");
        assert_eq!(
            Timestamp::from_http_date(&moment.to_http_date()),
            Some(moment)
        );
        assert_eq!(Timestamp::from_http_date("yesterday"), None);
        let offset = "2026-11-21T21:00:00+01:00";
        assert_eq!(Timestamp::from_rfc3339(offset), Some(moment));
        assert_eq!(Timestamp::from_rfc3339("2026-11-21"), None);
        assert_eq!(format!("{moment:?}"), "2026-11-21T20:00:00Z");
    }

    #[test]
    fn date_is_midnight_in_utc() {
        assert_eq!(Timestamp::from_date("1970-01-02"), Some(Timestamp(86_400)));
        for text in ["1970-1-2", "1970-01-02T00:00:00", "1970-02-30", ""] {
            assert_eq!(Timestamp::from_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_year_later_is_the_same_date() {
        let later = |text: &str| Timestamp::from_date(text).map(Timestamp::a_year_later);
        assert_eq!(later("2026-11-21"), Timestamp::from_date("2027-11-21"));
        assert_eq!(later("2028-02-29"), Timestamp::from_date("2029-02-28"));
    }

    #[test]
    fn seconds_are_added_and_subtracted() {
        assert_eq!(Timestamp(10) + 5, Timestamp(15));
        assert_eq!(Timestamp(10) - 5, Timestamp(5));
        assert_eq!(Timestamp(10).seconds_since(Timestamp(4)), 6);
    }
}
