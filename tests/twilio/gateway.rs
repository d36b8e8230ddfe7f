//! Events of API Gateway: bodies in base64 and as text, stages and base paths.

use data_encoding::BASE64;
use local::Wires;
use serde_json::{Value, json};

use crate::support::{DEFAULT_KEY, Service, Twilio, assert_status, built_functions, phone};

fn event(twilio: &Twilio, method: &str, path: &str, form: &str, is_base64: bool) -> String {
    let authorization = Twilio::basic(&twilio.account_sid, &twilio.key);
    let body = match is_base64 {
        true => BASE64.encode(form.as_bytes()),
        false => form.to_owned(),
    };
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "authorization": authorization, "host": "api.example.com",
            "content-type": "application/x-www-form-urlencoded",
        },
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "api.example.com",
            "domainPrefix": "api", "requestId": "r", "routeKey": "$default", "stage": "prod",
            "timeEpoch": 0, "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "",
            },
        },
        "body": body, "isBase64Encoded": is_base64,
    });
    event.to_string()
}

async fn invoke(twilio: &Twilio, function: &str, event: &str) -> (Value, Value) {
    let response = twilio.service.invoke(function, event).await;
    assert_status(&response, 200);
    let body = response.body["body"].as_str().expect("a body");
    let body = serde_json::from_str(body).expect("JSON");
    (response.body["statusCode"].clone(), body)
}

#[tokio::test]
async fn functions_accept_forms_in_base64_under_a_base_path() {
    let functions = Some(built_functions::functions());
    let public_url = [("OTP_PUBLIC_URL", "https://api.example.com/otp")];
    let service = Service::try_start_as(&public_url, None, Wires::default(), functions).await;
    let twilio = Twilio::of(&service.expect("the service starts"), DEFAULT_KEY).await;
    for (n, base) in [(1, "/prod/otp"), (2, "/otp"), (3, "/prod"), (4, "")] {
        let (to, is_base64) = (phone(n), n % 2 == 0);
        let path = format!("{base}{}", twilio.path("/Verifications"));
        let form = Twilio::form(&[("To", &to), ("Channel", "sms")]);
        let created = event(&twilio, "POST", &path, &form, is_base64);
        let (status, body) = invoke(&twilio, "send", &created).await;
        assert_eq!(status, 201, "{base} {body}");
        let sid = body["sid"].as_str().expect("a sid");
        let path = twilio.path(&format!("/Verifications/{sid}"));
        assert_eq!(body["url"], format!("https://api.example.com/otp{path}"));
        let fetched = event(&twilio, "GET", &format!("{base}{path}"), "", false);
        let (status, body) = invoke(&twilio, "verify", &fetched).await;
        assert_eq!((status, &body["status"]), (json!(200), &json!("pending")));
        // Some gateways decode the path before they pass it on.
        for named in [to.replace('+', "%2B"), to] {
            let path = format!("{base}{}", twilio.path(&format!("/Verifications/{named}")));
            let fetched = event(&twilio, "GET", &path, "", false);
            assert_eq!(invoke(&twilio, "verify", &fetched).await.1["sid"], sid);
        }
    }
    let like = event(&twilio, "GET", "/otpx/v2/Services", "", false);
    let (status, body) = invoke(&twilio, "verify", &like).await;
    assert_eq!((status, &body["code"]), (json!(404), &json!("not_found")));
}
