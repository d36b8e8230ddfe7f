//! Events and responses of the HTTP API, payload version 2.0. `lambda_http` has an adapter for them
//! that converts bodies from every character encoding, and its tables would be in each function.
//! Here all responses are UTF-8 text, without cookies.
//!
//! Source: <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, LambdaEvent, Request, RequestExt as _, Response};

/// The request in `event`, with the context of its invocation.
#[must_use]
pub fn request_of(event: LambdaEvent<LambdaRequest>) -> Request {
    Request::from(event.payload).with_lambda_context(event.context)
}

/// What the gateway is given for `response`, whose body is text.
#[must_use]
pub fn gateway_response(response: Response<Body>) -> ApiGatewayV2httpResponse {
    let (head, body) = response.into_parts();
    let mut reply = ApiGatewayV2httpResponse::default();
    reply.status_code = head.status.as_u16().into();
    reply.headers = head.headers;
    reply.body = Some(body);
    reply
}

#[cfg(test)]
mod tests {
    use lambda_http::http::StatusCode;
    use lambda_http::http::header::CONTENT_TYPE;
    use lambda_http::{Adapter, Context, Service as _, service_fn};
    use serde_json::json;

    use super::*;

    fn event() -> LambdaEvent<LambdaRequest> {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": "/healthz", "rawQueryString": "",
            "headers": {}, "isBase64Encoded": false,
            "requestContext": {
                "accountId": "1", "apiId": "a", "domainName": "d", "domainPrefix": "d",
                "http": {"method": "GET", "path": "/healthz", "protocol": "HTTP/1.1",
                    "sourceIp": "127.0.0.1", "userAgent": ""},
                "requestId": "r", "routeKey": "$default", "stage": "$default", "timeEpoch": 0,
            },
        });
        let mut context = Context::default();
        context.deadline = 1_800_000_000_000;
        LambdaEvent::new(serde_json::from_value(event).expect("an event"), context)
    }

    #[tokio::test]
    async fn equals_the_adapter_of_the_library() {
        for (content_type, body) in [
            (
                "application/json",
                Body::Text("{\"name\":\"Zo\u{eb}\"}".into()),
            ),
            ("application/problem+json", Body::Text("{}".into())),
            (
                "text/plain; charset=utf-8",
                Body::Text("gsm: \u{20ac}".into()),
            ),
            ("application/json", Body::Text(String::new())),
        ] {
            let respond = |request: &Request| {
                let context = request.lambda_context_ref();
                assert_eq!(
                    context.map(|context| context.deadline),
                    Some(1_800_000_000_000)
                );
                let mut response = Response::new(body.clone());
                *response.status_mut() = StatusCode::CREATED;
                let value = content_type.parse().expect("a header");
                response.headers_mut().insert(CONTENT_TYPE, value);
                response
            };
            let mut adapter = Adapter::from(service_fn(async |request| {
                Ok::<_, lambda_http::Error>(respond(&request))
            }));
            let theirs = adapter.call(event()).await.expect("a response");
            let ours = gateway_response(respond(&request_of(event())));
            assert_eq!(json!(ours), json!(theirs));
        }
    }
}
