//! URLs of SNS.
//!
//! Invariant: an `SnsUrl` is an https URL of a host of SNS, with a documented path. Nothing else is
//! fetched.

/// Longest URL.
const URL_LENGTH_MAX: usize = 2048;

/// A URL of SNS: of a certificate, or of the confirmation of a subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnsUrl(String);

impl SnsUrl {
    /// `https://sns.REGION.amazonaws.com/SimpleNotificationService-HEX.pem`.
    #[must_use]
    pub fn of_certificate(url: &str) -> Option<Self> {
        let name = path_at_sns(url)?
            .strip_prefix("SimpleNotificationService-")?
            .strip_suffix(".pem")?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        is_name.then(|| Self(url.to_owned()))
    }

    /// `https://sns.REGION.amazonaws.com/?Action=ConfirmSubscription&…`.
    #[must_use]
    pub fn of_confirmation(url: &str) -> Option<Self> {
        let query = path_at_sns(url)?.strip_prefix("?Action=ConfirmSubscription&")?;
        let is_query = query.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        is_query.then(|| Self(url.to_owned()))
    }

    /// The whole URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path and the query, without the slash after the host.
    #[must_use]
    pub fn path(&self) -> &str {
        path_at_sns(&self.0).unwrap_or_default()
    }
}

/// What follows the slash after the host, if the host is one of SNS. The host has to be everything
/// between `https://` and that slash, so there is no room for a port, a user or a second host.
fn path_at_sns(url: &str) -> Option<&str> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let region = host.strip_prefix("sns.")?;
    let region = region
        .strip_suffix(".amazonaws.com")
        .or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
    (url.len() <= URL_LENGTH_MAX && is_region(region)).then_some(path)
}

/// Whether `region` has the form of a region, lower-case words and a number at the end, such as
/// `eu-west-1`. `s3-eu-west-1` has another form: `sns.s3-eu-west-1.amazonaws.com` would be a bucket
/// with the name `sns`, which can belong to anyone.
fn is_region(region: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    region.rsplit_once('-').is_some_and(|(words, number)| {
        is_number(number) && words.contains('-') && words.split('-').all(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::OTHER_HOSTS;
    use super::*;

    #[test]
    fn only_hosts_of_sns_are_accepted() {
        let name = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
        for host in [
            "sns.eu-west-1.amazonaws.com",
            "sns.us-gov-west-1.amazonaws.com",
            "sns.ap-southeast-12.amazonaws.com",
            "sns.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(
                SnsUrl::of_certificate(&format!("https://{host}/{name}")).is_some(),
                "{host}"
            );
        }
        for host in OTHER_HOSTS {
            let url = format!("{host}/{name}");
            assert_eq!(SnsUrl::of_certificate(&url), None, "{url}");
            assert_eq!(
                SnsUrl::of_confirmation(&format!("{host}/?Action=ConfirmSubscription&Token=t")),
                None,
                "{host}"
            );
        }
    }

    #[test]
    fn only_documented_paths_are_accepted() {
        let host = "https://sns.eu-west-1.amazonaws.com/";
        for path in [
            "",
            ".pem",
            "SimpleNotificationService-.pem",
            "SimpleNotificationService-01.pem?x",
            "SimpleNotificationService-01.pem#",
            "SimpleNotificationService-01.pem.txt",
            "SimpleNotificationService-../../x.pem",
            "SimpleNotificationService-a/b.pem",
            "SimpleNotificationService-%2e.pem",
            "SimpleNotificationService-a b.pem",
            "/SimpleNotificationService-01.pem",
            "simplenotificationservice-01.pem",
            "x/SimpleNotificationService-01.pem",
            "?Action=GetFile&x=SimpleNotificationService-01.pem",
        ] {
            assert_eq!(
                SnsUrl::of_certificate(&format!("{host}{path}")),
                None,
                "{path}"
            );
        }
        assert_eq!(
            SnsUrl::of_certificate(&format!(
                "{host}SimpleNotificationService-{}.pem",
                "0".repeat(URL_LENGTH_MAX)
            )),
            None
        );
        for path in [
            "",
            "?Action=Unsubscribe&SubscriptionArn=a",
            "?Action=Publish&Action=ConfirmSubscription&",
            "x?Action=ConfirmSubscription&",
            "#?Action=",
        ] {
            assert_eq!(
                SnsUrl::of_confirmation(&format!("{host}{path}")),
                None,
                "{path}"
            );
        }
        for query in ["a b", "a\r\nHost: evil.example", "é", "a#b", "\u{0}"] {
            assert_eq!(
                SnsUrl::of_confirmation(&format!("{host}?Action=ConfirmSubscription&{query}")),
                None,
                "{query}"
            );
        }
    }
}
