//! The envelope that SNS posts reports in: what was signed, by whose certificate, from which topic, when. The only file
//! that names the X.509 parser. Must never fetch anything from anywhere but SNS itself, or show the message inside before
//! the signature holds.
//! Wire: <https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html>.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::http::{Method, Request, StatusCode};
use data_encoding::BASE64;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use serde_json::{Map, Value};
use webpki::EndEntityCert;

use super::ReportError;
use super::client::Exchange;
use crate::crypto::signatures::{is_rsa_sha1, is_rsa_sha256};
use crate::domain::time::Timestamp;
use crate::platform::json;

/// Largest envelope that is read: SNS carries no more.
const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// Longest URL in an envelope, and longest signature (base64 of RSA with 8192 bits).
const URL_LENGTH_MAX: usize = 2048;
const SIGNATURE_LENGTH_MAX: usize = 1368;
/// How old a message may be: SNS tries again for an hour at most, then five minutes for clocks and the way.
const AGE_SECONDS_MAX: i64 = 3600 + 300;
/// How far the clock of SNS may be before ours.
const AHEAD_SECONDS_MAX: i64 = 300;
/// For a certificate, or to confirm a subscription: both, and the write, fit into an invocation.
const FETCH_TIMEOUT: Duration = Duration::from_millis(2500);
/// Certificates that are remembered: one for each region, and the next one while they are exchanged.
const CERTIFICATES_MAX: usize = 8;

/// What is signed, key by key in this order, where it is there.
const NOTIFICATION_KEYS: &[&str] = &[
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];
const CONFIRMATION_KEYS: &[&str] = &[
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
];

/// A message of SNS as it arrived: well-formed, and not yet believed.
pub struct Envelope {
    notice: Notice,
    certificate_url: SnsUrl,
    version: SignatureVersion,
    signature: Vec<u8>,
    signed: String,
    topic_arn: String,
    sent_at: Timestamp,
}

/// What a genuine message of SNS is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// What somebody published on the topic.
    Notification(String),
    /// The topic asks whether we want its messages; fetching the URL says yes.
    SubscriptionConfirmation(SnsUrl),
    /// The topic will send no more. Fetching the URL would undo that, which is for a person to do.
    UnsubscribeConfirmation,
}

impl Envelope {
    /// Reads an envelope.
    ///
    /// # Errors
    /// [`ReportError`]: `Forged` if a URL in it is not one of SNS.
    pub fn parse(body: &[u8]) -> Result<Self, ReportError> {
        if body.len() > ENVELOPE_BYTES_MAX {
            return Err(ReportError::Unreadable);
        }
        let fields = json::parse_object(body).map_err(|_| ReportError::Unreadable)?;
        let (keys, notice) = match text(&fields, "Type")? {
            "Notification" => (
                NOTIFICATION_KEYS,
                Notice::Notification(text(&fields, "Message")?.to_owned()),
            ),
            "SubscriptionConfirmation" => (
                CONFIRMATION_KEYS,
                Notice::SubscriptionConfirmation(confirmation_url(&fields)?),
            ),
            "UnsubscribeConfirmation" => (
                CONFIRMATION_KEYS,
                confirmation_url(&fields).map(|_| Notice::UnsubscribeConfirmation)?,
            ),
            _ => return Err(ReportError::Unreadable),
        };
        let version = match text(&fields, "SignatureVersion")? {
            "1" => SignatureVersion::Sha1,
            "2" => SignatureVersion::Sha256,
            _ => return Err(ReportError::Unreadable),
        };
        let signature = Some(text(&fields, "Signature")?)
            .filter(|signature| signature.len() <= SIGNATURE_LENGTH_MAX);
        let sent_at: jiff::Timestamp = text(&fields, "Timestamp")?
            .parse()
            .map_err(|_| ReportError::Unreadable)?;
        Ok(Self {
            notice,
            certificate_url: SnsUrl::of_certificate(text(&fields, "SigningCertURL")?)
                .ok_or(ReportError::Forged)?,
            version,
            signature: signature
                .and_then(|signature| BASE64.decode(signature.as_bytes()).ok())
                .ok_or(ReportError::Unreadable)?,
            signed: string_to_sign(&fields, keys)?,
            topic_arn: text(&fields, "TopicArn")?.to_owned(),
            sent_at: Timestamp(sent_at.as_second()),
        })
    }

    /// Where the certificate is that it says it was signed with.
    #[must_use]
    pub fn certificate_url(&self) -> &SnsUrl {
        &self.certificate_url
    }

    /// What it is, if `certificate` signed it, for `topic_arn` where only that topic may speak, and not long ago.
    ///
    /// # Errors
    /// [`ReportError::Forged`].
    pub fn verify(
        self,
        certificate: &Certificate,
        topic_arn: Option<&str>,
        now: Timestamp,
    ) -> Result<Notice, ReportError> {
        let age_seconds = now.seconds_since(self.sent_at);
        let is_recent = (-AHEAD_SECONDS_MAX..=AGE_SECONDS_MAX).contains(&age_seconds);
        // Anybody can have a topic whose signatures are good.
        let is_our_topic = topic_arn.is_none_or(|ours| ours == self.topic_arn);
        let is_signed =
            certificate.has_signed(self.version, self.signed.as_bytes(), &self.signature);
        if is_signed && is_our_topic && is_recent {
            Ok(self.notice)
        } else {
            Err(ReportError::Forged)
        }
    }
}

/// A field that has to be there. `null` is the field left out.
fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, ReportError> {
    fields
        .get(name)
        .and_then(Value::as_str)
        .ok_or(ReportError::Unreadable)
}

fn confirmation_url(fields: &Map<String, Value>) -> Result<SnsUrl, ReportError> {
    SnsUrl::of_confirmation(text(fields, "SubscribeURL")?).ok_or(ReportError::Forged)
}

/// Key and value on lines of their own, the last one ended as well. Only a subject may be missing.
fn string_to_sign(fields: &Map<String, Value>, keys: &[&str]) -> Result<String, ReportError> {
    let mut signed = String::new();
    for key in keys {
        let is_left_out = *key == "Subject" && fields.get(*key).is_none_or(Value::is_null);
        if !is_left_out {
            signed.extend([*key, "\n", text(fields, key)?, "\n"]);
        }
    }
    Ok(signed)
}

/// A URL at SNS itself. Nothing else is ever fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnsUrl(String);

impl SnsUrl {
    /// `https://sns.REGION.amazonaws.com/SimpleNotificationService-HEX.pem`.
    fn of_certificate(url: &str) -> Option<Self> {
        let name = path_at_sns(url)?
            .strip_prefix("SimpleNotificationService-")?
            .strip_suffix(".pem")?;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        is_name.then(|| Self(url.to_owned()))
    }

    /// `https://sns.REGION.amazonaws.com/?Action=ConfirmSubscription&…`.
    fn of_confirmation(url: &str) -> Option<Self> {
        let query = path_at_sns(url)?.strip_prefix("?Action=ConfirmSubscription&")?;
        let is_query = query.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        is_query.then(|| Self(url.to_owned()))
    }

    /// What follows the slash after the host.
    fn path(&self) -> &str {
        path_at_sns(&self.0).unwrap_or_default()
    }
}

/// What follows the slash after the host, if the URL is one of SNS. Everything up to that slash has to be the host: there
/// is no room for a port, a user or a second host.
fn path_at_sns(url: &str) -> Option<&str> {
    let (host, path) = url.strip_prefix("https://")?.split_once('/')?;
    let region = host.strip_prefix("sns.")?;
    let region = region
        .strip_suffix(".amazonaws.com")
        .or_else(|| region.strip_suffix(".amazonaws.com.cn"))?;
    (url.len() <= URL_LENGTH_MAX && is_region(region)).then_some(path)
}

/// Words of letters and a number at the end, such as `eu-west-1`: `sns.s3-eu-west-1.amazonaws.com` is anybody's bucket
/// with the name `sns`.
fn is_region(region: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    region.rsplit_once('-').is_some_and(|(words, number)| {
        is_number(number) && words.contains('-') && words.split('-').all(is_word)
    })
}

/// How a message is signed: RSASSA-PKCS1-v1_5 with one of two hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SignatureVersion {
    /// 1, still what a topic has by default.
    Sha1,
    /// 2
    Sha256,
}

impl SignatureVerificationAlgorithm for SignatureVersion {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        /// `sha1WithRSAEncryption`, RFC 3279.
        const RSA_PKCS1_SHA1: &[u8] = &[
            0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05, 0x05, 0x00,
        ];
        match self {
            Self::Sha1 => AlgorithmIdentifier::from_slice(RSA_PKCS1_SHA1),
            Self::Sha256 => alg_id::RSA_PKCS1_SHA256,
        }
    }

    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let holds = match self {
            Self::Sha1 => is_rsa_sha1(public_key, message, signature),
            Self::Sha256 => is_rsa_sha256(public_key, message, signature),
        };
        if holds { Ok(()) } else { Err(InvalidSignature) }
    }
}

/// A certificate that SNS signs with. Where it came from is what makes it one: a connection to a host of SNS whose own
/// certificate holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// From its PEM form.
    #[must_use]
    pub fn parse(pem: &[u8]) -> Option<Self> {
        let certificate = CertificateDer::from_pem_slice(pem).ok()?;
        EndEntityCert::try_from(&certificate)
            .is_ok()
            .then_some(Self(certificate))
    }

    fn has_signed(&self, version: SignatureVersion, text: &[u8], signature: &[u8]) -> bool {
        EndEntityCert::try_from(&self.0).is_ok_and(|certificate| {
            certificate
                .verify_signature(&version, text, signature)
                .is_ok()
        })
    }
}

/// The certificates of SNS: fetched once, then remembered.
pub struct Certificates {
    exchange: Exchange,
    endpoint_url: Option<String>,
    known: Mutex<Vec<(SnsUrl, Certificate)>>,
}

/// Why something is not to be had from SNS at the moment, for the log. Holds no URL.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

impl Certificates {
    /// `endpoint_url` replaces SNS at home and in tests.
    #[must_use]
    pub fn new(endpoint_url: Option<&str>) -> Self {
        let endpoint_url = endpoint_url.map(|url| url.trim_end_matches('/').to_owned());
        Self {
            exchange: Exchange::default(),
            endpoint_url,
            known: Mutex::default(),
        }
    }

    /// The certificate at `url`.
    ///
    /// # Errors
    /// [`Unreachable`]: try again later.
    pub async fn of(&self, url: &SnsUrl) -> Result<Certificate, Unreachable> {
        let known = |list: &[(SnsUrl, Certificate)]| {
            list.iter()
                .find(|(of, _)| of == url)
                .map(|(_, certificate)| certificate.clone())
        };
        if let Some(certificate) = known(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
        {
            return Ok(certificate);
        }
        let pem = self.fetch(url).await?;
        let certificate = Certificate::parse(&pem)
            .ok_or_else(|| Unreachable("SNS answered something that is no certificate".into()))?;
        let mut list = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known(&list).is_none() {
            let surplus = (list.len() + 1).saturating_sub(CERTIFICATES_MAX);
            list.drain(..surplus);
            list.push((url.clone(), certificate.clone()));
        }
        Ok(certificate)
    }

    /// What is at `url`: one GET, no redirects, bounded in time and size.
    ///
    /// # Errors
    /// [`Unreachable`] unless the answer is 200.
    pub async fn fetch(&self, url: &SnsUrl) -> Result<Vec<u8>, Unreachable> {
        let replaced = self
            .endpoint_url
            .as_ref()
            .map(|endpoint_url| format!("{endpoint_url}/{}", url.path()));
        let request = Request::builder()
            .method(Method::GET)
            .uri(replaced.as_ref().unwrap_or(&url.0))
            .body(String::new());
        let request = request.map_err(|error| Unreachable(error.to_string()))?;
        let answer = self.exchange.round_trip(request, FETCH_TIMEOUT).await;
        let answer = answer.map_err(|_| Unreachable("SNS gave no answer in time".into()))?;
        if answer.status() != StatusCode::OK {
            return Err(Unreachable(format!(
                "SNS answered {}",
                answer.status().as_u16()
            )));
        }
        Ok(answer.into_body())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;

    /// Self-made; its key is thrown away. What it signed was checked with npm `sns-validator` 0.3.5, S6 with `cryptography`.
    const PEM: &str = "-----BEGIN CERTIFICATE-----
MIICsTCCAZmgAwIBAgIBATANBgkqhkiG9w0BAQsFADAcMRowGAYDVQQDDBFzbnMu
YW1hem9uYXdzLmNvbTAeFw0yNTAxMDEwMDAwMDBaFw00NTAxMDEwMDAwMDBaMBwx
GjAYBgNVBAMMEXNucy5hbWF6b25hd3MuY29tMIIBIjANBgkqhkiG9w0BAQEFAAOC
AQ8AMIIBCgKCAQEArHA4VSZzRm1zTDfNUnXjhBsujpJKPX55VmqW91l7wAO6DdF1
/2hiyG3rMoKdh3l8sEkS9fji+LGHPnThCry3BibhR0CjTCwpEy9LwHvCxaMQNsQo
Du2R+DIsee8uJsztRa88tzw39DNN+3+ats5RH+iqDOKTh9JKUXIPkj9ui4vBorka
i9PScQBcb+YzVc8kX5BIV4lnm257EInVXTxoQC+mHTCdy6yYHCngtnehQ+EYncqb
xajVgA4PLjIrl5jU5JE8dHMY1sdwQsfedH3u+l4kI/yecPPUVJD3gJd3TaD224a9
BDtpVcbTUTAxtmuQNZzKfTvaWHPQxne12aR8rQIDAQABMA0GCSqGSIb3DQEBCwUA
A4IBAQAsTLee9ngnomjYyv5UTIjMWrfKOSLhxGuwaEYGxO/URoZ7cFhZLrgYcCIk
vN5/U4Q57i367R1hdeIMldWzkO3lVD+6DOmki6bQnZ7fl5/PaFGacI6qwGzcrjq5
u51svlfw/NfPUT/9QgF2u/rV1BRqxztlS+hEmufgyDT/iuG2oopVlArwfArKQqJ8
oBN4kJ4bZBZEAniFLWterjDPPkaP7VRdRqQ6FPFadlC4t/s+q7X3IuM4OYZ8bTIT
t6LbOG6qfg2ou1vNV/9+Vx5WTp1mt66VsA+2uv2n/z6hEySXz1r3gii2+wo6hQHW
KtDE0Ri+8tIdBUwHTsZ7iKciOHCN
-----END CERTIFICATE-----
";
    /// Two more for the same name: another RSA key, and a key on a curve.
    const OTHER_PEM: &str = "-----BEGIN CERTIFICATE-----
MIIDGTCCAgGgAwIBAgIUSk4azs57tYB8KNeCkRbCf6xwov8wDQYJKoZIhvcNAQEL
BQAwHDEaMBgGA1UEAwwRc25zLmFtYXpvbmF3cy5jb20wHhcNMjYxMTIxMjMyODI1
WhcNNDYxMTE2MjMyODI1WjAcMRowGAYDVQQDDBFzbnMuYW1hem9uYXdzLmNvbTCC
ASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAMkM9TLpL+Ek0vCbxWR/0zR8
L3OU2ZHoLPg0QnMRfhru9+L8Jye4Pf5jioQMZ4UhOrGx6sGuIBBDq3obGf+/9vN0
02PTlkGGzRWkHkt8xWzgXSjvf3Z1uZtM1m9YuRQEtJPuHxnNiNqnbuj7zk0QP4i+
SXPmAzZWd41V75x1sYpPA1zeyHu8DrIsfmWK5QLQdOiwZV9DDNTr525NiyhSFswe
MPJdcw3kIV+SK0Zi0m+um0Vql93z+32vqW+FbmB6Br2s9Z6Y+gz8IeN7CB6BafB/
QYZLoS8MKk/AQh0/sIhwIZOetTm1tx8QUlGrLJ2mv6owTjehBanfyrzTw6H99C0C
AwEAAaNTMFEwHQYDVR0OBBYEFMkV49Rx9+md8d0WpzilCrU9yMEvMB8GA1UdIwQY
MBaAFMkV49Rx9+md8d0WpzilCrU9yMEvMA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZI
hvcNAQELBQADggEBAILcyA9TZNy/Dzh2tdVtEfmlKOjrqwtAxziwIwM0v+LvH+BW
kr3zgaTUkAWoGRYskja2xXxADmQtXR4EVcaSARtRVmvjlhce6rUoYHgBn2FsgTzD
/UVUb/xHU2ReRp4YwrYd4dFxuiqtt54lnqLv3/iVLy/pvE4kw8pHmqSBl27umXkW
hi+FNXzS+iRiQXehovZ4ugZ7gDOoSnGGQZ4cxIhPYQEdjKflUnXQWOEfJsM35MGQ
nEUjr/MHVX6imASMqF3peb3+ml2Udxj5pVDnkxfc1VMLW2lG2iHrHsnlspRqXibc
u90wxHMg+SBys12rLNa0WGxCnxliTAZDOUazx/M=
-----END CERTIFICATE-----
";
    const CURVE_PEM: &str = "-----BEGIN CERTIFICATE-----
MIIBjTCCATOgAwIBAgIUTnQ7A2nofq+QVHB8YmMYKlGZ1FAwCgYIKoZIzj0EAwIw
HDEaMBgGA1UEAwwRc25zLmFtYXpvbmF3cy5jb20wHhcNMjYxMTIxMjMyODI1WhcN
NDYxMTE2MjMyODI1WjAcMRowGAYDVQQDDBFzbnMuYW1hem9uYXdzLmNvbTBZMBMG
ByqGSM49AgEGCCqGSM49AwEHA0IABKNWzqpupED6yswvX3P4cbBDx1qtxH9jpxd9
bXkOPV+Qi4H8pFBIXx+pEXrwGDQxlvWh9Yi1mUhpIEEjKrROU9ajUzBRMB0GA1Ud
DgQWBBR6fowm8NriWWO4FIm3Vj2qGg3WXzAfBgNVHSMEGDAWgBR6fowm8NriWWO4
FIm3Vj2qGg3WXzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIECL
OpBqCR8qERq/ZzIXQJYn4IhD67XJYi83lHnra5C9AiEAkvrRTb1ngIRtpcN81iva
sYxwPbIjc4UgwwZ5GvPTCZc=
-----END CERTIFICATE-----
";

    const MESSAGE: &str = concat!(
        r#"{"eventType":"TEXT_DELIVERED","eventVersion":"1.0","eventTimestamp":1763753400000,"isFinal":true,"#,
        r#""originationPhoneNumber":"+12065550152","destinationPhoneNumber":"+14255550156","isoCountryCode":"US","mcc":"310","#,
        r#""mnc":"800","messageId":"862a8790-60c0-4430-9b2b-658bdexample","messageRequestTimestamp":1763753399000,"#,
        r#""messageEncoding":"GSM","messageType":"TRANSACTIONAL","messageStatus":"DELIVERED","#,
        r#""messageStatusDescription":"Message has been accepted by phone","context":{"m":"msg_01HZX"},"totalMessageParts":1,"#,
        r#""totalMessagePrice":0.09582,"totalCarrierFee":0.0}"#,
    );
    const TOPIC_ARN: &str = "arn:aws:sns:eu-west-1:123456789012:otp-dlr";
    const CERTIFICATE_URL: &str = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
    const SUBSCRIBE_URL: &str = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription\
        &TopicArn=arn:aws:sns:eu-west-1:123456789012:otp-dlr&Token=2336412f37";
    /// When the notification was sent, and the confirmations half an hour before it.
    const NOTIFIED_AT: i64 = 1_763_753_400;
    const SUBSCRIBED_AT: i64 = NOTIFIED_AT - 1800;

    /// Notification, version 1.
    const S1: &str = "mcGfCQylBwP+ewVY1lLZJL32X1jvP5cswXm5fSkBdcoEIXJWKk9ufynNNBeIdaehMIDmEPrSP80EJ5QBxkEuVXEia19dsdIaLf80ec8SzHgZlfmI2ankkDI1\
        yNsJ48m+8TPYnwGy8Yyyzw0DfBO45XpBHvwL5RgWE5yZo/nSaqDdjqcYT/QNqLucAzwI+ldIhsiq04V/6FhByEuzCt5ElZUuXqbeOf5ta/L+DZBPNIqdsUJM\
        +rS4XzJTQSbbXRXGdpFZx5MvXzc0gbNilHVDcOlgde1twBs5M7kzmsu3vXzML0PuvyzIhYUCGuOFa776Dny8Z2TrW8oETBFormdX0g==";
    /// Notification, version 2.
    const S2: &str = "DXsZ1gK4Wp72qUEVVeNaD0NwXigiVBIKbc1Q0DpxGARJEz2dQNzqnlKWYjx+9NStfCQwhXp/PA6vv4hJcMou5DxQkiln6Ymmk//t2BX+SAFiJpUEHuJKCSBs\
        GY+rddFe7gZxmCcR84DAYTYjzvSgu/dUaV5In3zn7If/UA2VqtkyJSVDLbuyJv6VKwRDdW/VBenbZaVzx0JrwDsdfPafWRenEdFCWMnKd8i2W/B4IuTZcN0+\
        c84M9HtElpbVIBy2t//siqgO/oBdRSol0dhUoGxt6zURCM1SuXgLq4XV6fd6EoygHrNUPRiAKdawrhcRGcz8U6qBzItt4PkxQ0jenw==";
    /// Without a subject, version 2.
    const S3: &str = "UgRnGpmZtbfh6EWacNH0Z7uHCeP36/JhThWcrnkySW+/xVrnQxKjjt/PKr7HQuQwutZnndPjvYgvlSDgkniyDB2gJWEV/OlkRs2RkVjxwsA7UJ4j0Azr5Vms\
        iNApd9ZUvWpz5iGvM5fYNAYvwAxSMlzwMpANiXtooJsGj/bGQ/SZCs23RxgLInGU4OD/zBfUzV3VyNgt8atqdZHh3hng8M2QQ7r33pb8gpZ3xfZGiR3nY+xA\
        35Us9VR1gwc+6C8IegJAE1srR54dPn0QkUNpCs8l7Bn4kW3tacRnYEfvLu5WQyjbZ/DtaaqqSyFATZYUbhp0BsiZpAyoteWaGDDDEw==";
    /// SubscriptionConfirmation, version 1.
    const S4: &str = "cr0UQ5Ko3fObY3sPzwm8/eftuCG35ForgLwX9ffc2BL//r10B54K0ld4UR5+86k/7+wwPnx2tr9nC7wtvg6Md+9Jr9BDQOzGmdvJa41f2nRK8TMi4bA+2qX1\
        5Vw7PLVnX1J3IapnOt6HE2zX+zUFpALqiWF+SJ4n572u/D5yupZqZuXBLNR+MiQXTasfQgglP8Hx9PXrBij//RYWRkOkItACoINrrdzFujGYyuS6nrBlAXkx\
        jJcyV1c5kqoFqjZ4RcM30vWzRoTzCGsURE7iqqTnIfMvcwZUfSf4aprSk3129TTEi2DysShZJmweNNiH+Z2ozJ236D/e4+oUQuqNUg==";
    /// SubscriptionConfirmation, version 2.
    const S5: &str = "e7WvgGB1NmS85/t5PnH/Na0vfsNQJEM92jshbHiyureUQE5GVNujtTYyIkTmXpZmR2HcDTyNM4IugiCv1J9pybzRAYFwPchYGqTMNLZuzEaZ8NkxW8uemf2c\
        Ue46hI2pG0HqyW+kZr0tSPPgaYs6wCVeBlmdiDdVjsLsu5ZcPxoseiRgx8I9OBUVPF0vnRjwFY4yOuKHgTr0IMuyNw4T3l4iZwmoLj+uFvx3M/N0iRkpNKE8\
        fVpMim/tnTko2en20UcxZxi7Fxdj/P2iPyRjLk730dIja0Cvu3UsG7cXaKUC0yzt5VCjYtfopttwal923DBZZ8gEanN2fW10XcUQ8Q==";
    /// UnsubscribeConfirmation, version 2.
    const S6: &str = "H97rryoTpHLEbrnQ/ATRxjYLf8ntvCei++td6IqWaD3cIaFzvy2CxRfggnxkZEat5k9C3rFiI4KyLiYNPsLEKJHBN6Q0vzA7gpdb95OV5OsFCgD3YifMtT0T\
        0mADYIu9WHKnb5xkdNNyQPq1yS1Q4ZqaQFgSxVb2IPfhpdLg4tVSYiMgLdvhv1JCxY/zclN5ZWXcx2NoKoCRApfQmUetSPjoE+Zdbz/AttDN9MQuJaX6ly6s\
        7lL6ZDxmq9dLiznsOQbjCZBZZJiHP9M6nw734GPK/0dpqmw+t2uP6pnnICHE5+Znj74Gc1xlVgbPFRh493V3adGOXBqM4kSMYZR64g==";

    fn notification(version: &str, signature: &str) -> Value {
        json!({
            "Type": "Notification", "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC_ARN, "Subject": "dlr", "Message": MESSAGE,
            "Timestamp": "2025-11-21T19:30:00.000Z", "SigningCertURL": CERTIFICATE_URL, "SignatureVersion": version, "Signature": signature,
            "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=Unsubscribe",
        })
    }

    fn confirmation(message_type: &str, version: &str, signature: &str) -> Value {
        json!({
            "Type": message_type, "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b", "Token": "2336412f37", "TopicArn": TOPIC_ARN,
            "Message": "You have chosen to subscribe to the topic arn:aws:sns:eu-west-1:123456789012:otp-dlr.\n\
                To confirm the subscription, visit the SubscribeURL included in this message.",
            "SubscribeURL": SUBSCRIBE_URL, "Timestamp": "2025-11-21T19:00:00.000Z", "SigningCertURL": CERTIFICATE_URL,
            "SignatureVersion": version, "Signature": signature,
        })
    }

    fn with(mut envelope: Value, name: &str, value: Value) -> Value {
        envelope[name] = value;
        envelope
    }

    fn without(mut envelope: Value, name: &str) -> Value {
        envelope
            .as_object_mut()
            .and_then(|fields| fields.remove(name));
        envelope
    }

    fn certificate(pem: &str) -> Certificate {
        Certificate::parse(pem.as_bytes()).expect("a certificate")
    }

    fn read(envelope: &Value, topic_arn: Option<&str>, now: i64) -> Result<Notice, ReportError> {
        Envelope::parse(envelope.to_string().as_bytes())?.verify(
            &certificate(PEM),
            topic_arn,
            Timestamp(now),
        )
    }

    fn of_now(envelope: &Value) -> Result<Notice, ReportError> {
        read(envelope, Some(TOPIC_ARN), NOTIFIED_AT)
    }

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    #[test]
    fn the_string_to_sign_is_the_documented_one() {
        let envelope = Envelope::parse(notification("2", S2).to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(
            hex(&crate::crypto::hashes::sha256(envelope.signed.as_bytes())),
            "0b16510809732e8adf463e7edd19d6d96a3d8be559458f400c3209496dfe0c64"
        );
        assert!(
            envelope.signed.starts_with("Message\n{\"eventType\"")
                && envelope.signed.ends_with("\nType\nNotification\n")
        );
    }

    #[test]
    fn notifications_of_both_signature_versions_are_read() {
        let message = Ok(Notice::Notification(MESSAGE.to_owned()));
        assert_eq!(of_now(&notification("1", S1)), message);
        assert_eq!(of_now(&notification("2", S2)), message);
        assert_eq!(of_now(&without(notification("2", S3), "Subject")), message);
        assert_eq!(
            of_now(&with(notification("2", S3), "Subject", Value::Null)),
            message,
            "null is left out"
        );
        assert_eq!(
            of_now(&with(notification("2", S2), "MessageAttributes", json!({}))),
            message,
            "what is not signed does not matter"
        );
    }

    #[test]
    fn confirmations_are_read_and_only_a_subscription_has_a_url_to_fetch() {
        let subscription = Ok(Notice::SubscriptionConfirmation(SnsUrl(
            SUBSCRIBE_URL.to_owned(),
        )));
        assert_eq!(
            of_now(&confirmation("SubscriptionConfirmation", "1", S4)),
            subscription
        );
        assert_eq!(
            of_now(&confirmation("SubscriptionConfirmation", "2", S5)),
            subscription
        );
        assert_eq!(
            of_now(&confirmation("UnsubscribeConfirmation", "2", S6)),
            Ok(Notice::UnsubscribeConfirmation)
        );
        assert_eq!(
            of_now(&confirmation("UnsubscribeConfirmation", "2", S5)),
            Err(ReportError::Forged)
        );
        assert_eq!(
            of_now(&confirmation("SubscriptionConfirmation", "2", S6)),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn a_signature_of_one_version_is_none_of_the_other() {
        assert_eq!(of_now(&notification("2", S1)), Err(ReportError::Forged));
        assert_eq!(of_now(&notification("1", S2)), Err(ReportError::Forged));
        assert_eq!(
            of_now(&notification("2", S3)),
            Err(ReportError::Forged),
            "a subject was added"
        );
        for version in ["", "0", "3", "2 ", "02"] {
            assert_eq!(
                of_now(&notification(version, S2)),
                Err(ReportError::Unreadable),
                "{version}"
            );
        }
    }

    #[test]
    fn a_message_altered_by_a_byte_is_forged() {
        assert_eq!(
            of_now(&with(
                notification("2", S2),
                "Message",
                MESSAGE.replace("DELIVERED", "BLOCKED").into()
            )),
            Err(ReportError::Forged)
        );
        let (parsed, key) = (notification("2", S2), certificate(PEM));
        let signed = Envelope::parse(parsed.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error:?}"));
        for at in 0..signed.signed.len() {
            let mut altered = signed.signed.as_bytes().to_vec();
            altered[at] ^= 1;
            assert!(
                !key.has_signed(SignatureVersion::Sha256, &altered, &signed.signature),
                "byte {at} of the text"
            );
        }
        for at in 0..signed.signature.len() {
            let mut altered = signed.signature.clone();
            altered[at] ^= 1;
            assert!(
                !key.has_signed(SignatureVersion::Sha256, signed.signed.as_bytes(), &altered),
                "byte {at} of the signature"
            );
            assert!(
                !key.has_signed(
                    SignatureVersion::Sha256,
                    signed.signed.as_bytes(),
                    &altered[..at]
                ),
                "cut at {at}"
            );
        }
        for (name, value) in [
            ("MessageId", "other"),
            ("Subject", "drl"),
            ("TopicArn", "arn:aws:sns:eu-west-1:1:a"),
            ("Subject", ""),
        ] {
            assert_eq!(
                read(&with(parsed.clone(), name, value.into()), None, NOTIFIED_AT),
                Err(ReportError::Forged),
                "{name}"
            );
        }
        let moved = with(parsed, "Timestamp", "2025-11-21T19:30:01.000Z".into());
        assert_eq!(of_now(&moved), Err(ReportError::Forged));
    }

    #[test]
    fn a_confirmation_with_another_url_or_token_is_forged() {
        let subscription = confirmation("SubscriptionConfirmation", "2", S5);
        let other = SUBSCRIBE_URL.replace("2336412f37", "2336412f38");
        assert_eq!(
            of_now(&with(subscription.clone(), "SubscribeURL", other.into())),
            Err(ReportError::Forged)
        );
        assert_eq!(
            of_now(&with(subscription.clone(), "Token", "2336412f38".into())),
            Err(ReportError::Forged)
        );
        assert_eq!(
            of_now(&with(
                subscription,
                "SubscribeURL",
                "https://evil.example/".into()
            )),
            Err(ReportError::Forged)
        );
    }

    #[test]
    fn another_certificate_has_signed_nothing_of_it() {
        for pem in [OTHER_PEM, CURVE_PEM] {
            let envelope = Envelope::parse(notification("2", S2).to_string().as_bytes())
                .unwrap_or_else(|error| panic!("{error:?}"));
            let verdict =
                envelope.verify(&certificate(pem), Some(TOPIC_ARN), Timestamp(NOTIFIED_AT));
            assert_eq!(verdict, Err(ReportError::Forged));
        }
    }

    #[test]
    fn only_our_topic_is_believed() {
        let message = Ok(Notice::Notification(MESSAGE.to_owned()));
        assert_eq!(read(&notification("2", S2), None, NOTIFIED_AT), message);
        for other in [
            "",
            "arn:aws:sns:eu-west-1:123456789012:otp-dl",
            "arn:aws:sns:eu-west-1:123456789012:otp-dlr2",
        ] {
            assert_eq!(
                read(&notification("2", S2), Some(other), NOTIFIED_AT),
                Err(ReportError::Forged),
                "{other}"
            );
        }
    }

    #[test]
    fn a_message_is_believed_for_as_long_as_sns_tries_again() {
        let at = |now| read(&notification("2", S2), Some(TOPIC_ARN), now).is_ok();
        assert!(
            [-300, 0, 60, 3600, 3900]
                .iter()
                .all(|age| at(NOTIFIED_AT + age))
        );
        assert!(
            [-301, 3901, 86_400]
                .iter()
                .all(|age| !at(NOTIFIED_AT + age))
        );
        assert!(!at(i64::MIN) && !at(i64::MAX));
        assert!(
            read(
                &confirmation("SubscriptionConfirmation", "1", S4),
                None,
                SUBSCRIBED_AT + 3901
            )
            .is_err()
        );
        for timestamp in [
            "",
            "0",
            "2025-11-21",
            "-9999999-01-01T00:00:00Z",
            "9".repeat(500).as_str(),
        ] {
            assert!(
                of_now(&with(notification("2", S2), "Timestamp", timestamp.into())).is_err(),
                "{timestamp}"
            );
        }
    }

    #[test]
    fn certificates_come_only_from_sns() {
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
        for host in [
            "http://sns.eu-west-1.amazonaws.com",
            "HTTPS://sns.eu-west-1.amazonaws.com",
            "https:/sns.eu-west-1.amazonaws.com",
            "//sns.eu-west-1.amazonaws.com",
            "sns.eu-west-1.amazonaws.com",
            " https://sns.eu-west-1.amazonaws.com",
            "https://sns.eu-west-1.amazonaws.com.evil.example",
            "https://sns.eu-west-1.amazonaws.com.cn.evil.example",
            "https://sns.amazonaws.com.evil.example",
            "https://sns.evil.example",
            "https://evil.example/https://sns.eu-west-1.amazonaws.com",
            "https://evil.example#@sns.eu-west-1.amazonaws.com",
            "https://evil.example?@sns.eu-west-1.amazonaws.com",
            "https://evil.example\\@sns.eu-west-1.amazonaws.com",
            "https://sns.eu-west-1.amazonaws.com@evil.example",
            "https://sns.eu-west-1.amazonaws.com:443@evil.example",
            "https://user@sns.eu-west-1.amazonaws.com",
            "https://user:pass@sns.eu-west-1.amazonaws.com",
            "https://@sns.eu-west-1.amazonaws.com",
            "https://sns.eu-west-1.amazonaws.com:443",
            "https://sns.eu-west-1.amazonaws.com:8443",
            "https://sns.eu-west-1.amazonaws.com:",
            "https://sns.eu-west-1.amazonaws.com.",
            "https://sns.eu-west-1.amazonaws.com?x",
            "https://sns.eu-west-1.amazonaws.com#x",
            "https://sns.eu-west-1.amazonaws.com%2eevil.example",
            "https://sns.eu-west-1.amazonaws.com\t",
            "https://sns.evil.eu-west-1.amazonaws.com",
            "https://evil.s3.amazonaws.com",
            "https://sns.s3.amazonaws.com",
            "https://sns.s3-eu-west-1.amazonaws.com",
            "https://sns.s3-website-eu-west-1.amazonaws.com",
            "https://sns.eu-west-1.s3.amazonaws.com",
            "https://s3.eu-west-1.amazonaws.com/sns.eu-west-1.amazonaws.com",
            "https://sns.amazonaws.com",
            "https://sns..amazonaws.com",
            "https://sns.-1.amazonaws.com",
            "https://sns.--1.amazonaws.com",
            "https://sns.EU-WEST-1.amazonaws.com",
            "https://sns.eu-west-.amazonaws.com",
            "https://sns.eu-wést-1.amazonaws.com",
            "https://snsxeu-west-1.amazonaws.com",
            "https://xsns.eu-west-1.amazonaws.com",
            "https://sns.eu-west-1.amazonaws.com.com",
            "https://sns.eu-west-1xamazonaws.com",
            "https://169.254.169.254",
            "https://127.0.0.1",
            "https://[::1]",
            "file://",
            "https://",
            "",
        ] {
            let url = format!("{host}/{name}");
            assert_eq!(SnsUrl::of_certificate(&url), None, "{url}");
            let hostile = with(notification("2", S2), "SigningCertURL", url.as_str().into());
            assert_eq!(of_now(&hostile), Err(ReportError::Forged), "{url}");
            assert_eq!(
                SnsUrl::of_confirmation(&format!("{host}/?Action=ConfirmSubscription&Token=t")),
                None,
                "{host}"
            );
        }
    }

    #[test]
    fn only_the_documented_paths_are_fetched() {
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

    #[test]
    fn what_is_no_envelope_is_unreadable() {
        for body in [
            "",
            "{",
            "null",
            "[]",
            "1",
            "{}",
            MESSAGE,
            r#"{"Type":"Notification"}"#,
            "\u{feff}{}",
            &"[".repeat(100_000),
            &"{\"a\":".repeat(40_000),
        ] {
            assert_eq!(
                Envelope::parse(body.as_bytes()).err(),
                Some(ReportError::Unreadable)
            );
        }
        let all = [
            notification("2", S2),
            confirmation("SubscriptionConfirmation", "2", S5),
            confirmation("UnsubscribeConfirmation", "2", S6),
        ];
        for envelope in all {
            for name in envelope
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name)
                .filter(|name| !matches!(name.as_str(), "Subject" | "UnsubscribeURL"))
            {
                for broken in [
                    without(envelope.clone(), name),
                    with(envelope.clone(), name, Value::Null),
                    with(envelope.clone(), name, json!([1])),
                ] {
                    assert_eq!(of_now(&broken), Err(ReportError::Unreadable), "{name}");
                }
            }
        }
        assert_eq!(
            of_now(&with(notification("2", S2), "Subject", json!(1))),
            Err(ReportError::Unreadable)
        );
        let twice = notification("2", S2)
            .to_string()
            .replacen('{', r#"{"Message":"first","#, 1);
        assert_eq!(
            Envelope::parse(twice.as_bytes()).err(),
            Some(ReportError::Unreadable),
            "a key stands twice"
        );
        for unknown in [
            "",
            "notification",
            "Notification ",
            "Confirmation",
            "__proto__",
        ] {
            assert_eq!(
                of_now(&with(notification("2", S2), "Type", unknown.into())),
                Err(ReportError::Unreadable),
                "{unknown}"
            );
        }
        for signature in [
            "",
            "!",
            "AAAA=",
            "é",
            &S2[..40],
            &format!("{S2} "),
            &format!("{S2}\n"),
            &"A".repeat(100_000),
        ] {
            assert!(
                of_now(&notification("2", signature)).is_err(),
                "{signature}"
            );
        }
    }

    #[test]
    fn a_huge_envelope_is_not_even_parsed() {
        let huge = with(
            notification("2", S2),
            "Message",
            "a".repeat(ENVELOPE_BYTES_MAX).into(),
        )
        .to_string();
        assert_eq!(
            Envelope::parse(huge.as_bytes()).err(),
            Some(ReportError::Unreadable)
        );
        let large = with(notification("2", S2), "Message", "a".repeat(200_000).into());
        assert_eq!(of_now(&large), Err(ReportError::Forged));
    }

    #[test]
    fn what_is_no_certificate_is_none() {
        let cut = PEM.replace("MIICsTCC", "MIICsTCB");
        for pem in [
            "",
            "<html>",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &cut,
        ] {
            assert!(Certificate::parse(pem.as_bytes()).is_none(), "{pem}");
        }
        let key = PEM.replace("CERTIFICATE", "PUBLIC KEY");
        assert!(Certificate::parse(key.as_bytes()).is_none());
    }

    /// Answers as many calls as there are answers, and returns what was asked for.
    fn sns(answers: Vec<String>) -> (Certificates, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint_url = format!("http://{}/", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let asked = answers.into_iter().map(|answer| {
                let (mut stream, _) = listener.accept().expect("a call");
                let mut request = [0; 4096];
                let length = stream.read(&mut request).expect("a request");
                stream.write_all(answer.as_bytes()).ok();
                String::from_utf8_lossy(&request[..length])
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            });
            asked.collect()
        });
        (Certificates::new(Some(&endpoint_url)), thread)
    }

    fn answer(status: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn url(name: &str) -> SnsUrl {
        SnsUrl::of_certificate(&CERTIFICATE_URL.replace("0123456789abcdef0123456789abcdef", name))
            .expect("a URL of SNS")
    }

    #[tokio::test]
    async fn a_certificate_is_fetched_once() {
        let (certificates, asked) = sns(vec![answer("200 OK", PEM)]);
        let envelope = Envelope::parse(notification("2", S2).to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error:?}"));
        for _ in 0..3 {
            let fetched = certificates
                .of(envelope.certificate_url())
                .await
                .unwrap_or_else(|error| panic!("{}", error.0));
            assert!(fetched == certificate(PEM));
        }
        let path = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem";
        assert_eq!(
            asked.join().expect("what was asked"),
            [format!("GET {path} HTTP/1.1")]
        );
    }

    #[tokio::test]
    async fn a_subscription_is_confirmed_at_its_url() {
        let (certificates, asked) = sns(vec![answer("200 OK", "<ConfirmSubscriptionResponse/>")]);
        let Ok(Notice::SubscriptionConfirmation(url)) =
            of_now(&confirmation("SubscriptionConfirmation", "2", S5))
        else {
            panic!("a confirmation")
        };
        certificates
            .fetch(&url)
            .await
            .unwrap_or_else(|error| panic!("{}", error.0));
        let query = "/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-1:123456789012:otp-dlr&Token=2336412f37";
        assert_eq!(
            asked.join().expect("what was asked"),
            [format!("GET {query} HTTP/1.1")]
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_no_certificate_is_not_remembered() {
        let redirect = "HTTP/1.1 302 VerificationRef\r\nlocation: http://127.0.0.1:1/x.pem\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned();
        let huge = answer("200 OK", &format!("{PEM}{}", "a".repeat(100_000)));
        let refused = [
            redirect,
            answer("404 Not VerificationRef", PEM),
            answer("500 Oops", ""),
            answer("200 OK", "<html>"),
            huge,
        ];
        let count = refused.len();
        let (certificates, asked) =
            sns(refused.into_iter().chain([answer("200 OK", PEM)]).collect());
        for _ in 0..count {
            assert!(certificates.of(&url("0")).await.is_err());
        }
        assert!(certificates.of(&url("0")).await.is_ok());
        assert_eq!(asked.join().expect("what was asked").len(), count + 1);
    }

    #[tokio::test]
    async fn where_sns_is_not_there_the_sender_is_asked_to_try_again() {
        let gone = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("an address");
        let certificates = Certificates::new(Some(&format!("http://{gone}")));
        assert!(certificates.of(&url("0")).await.is_err());
    }

    #[tokio::test]
    async fn only_so_many_certificates_are_remembered() {
        let (certificates, asked) = sns(vec![answer("200 OK", PEM); CERTIFICATES_MAX + 3]);
        for name in 0..CERTIFICATES_MAX + 3 {
            assert!(certificates.of(&url(&name.to_string())).await.is_ok());
        }
        let known = certificates.known.lock().expect("not poisoned").len();
        assert_eq!(
            (known, asked.join().expect("what was asked").len()),
            (CERTIFICATES_MAX, CERTIFICATES_MAX + 3)
        );
    }
}
