"""Checks the built local server with the vendors' own libraries: they sign the reports that it must
accept and those that it must reject, and the models and the signer of AWS check the requests that
it sends. The checks of SNS are in `sns_sdk_checks.py`; those that compare requests with the ones that
the SDKs make are in `vendor_request_checks.py` and, for Node, Java and Go, in
`vendor_language_checks.py`.

Usage: vendor_sdk_checks.py PATH_OF_THE_LOCAL_SERVER, with the function delivery-callback built in
the same directory. Needs twilio, vonage, cm-text-sdk-python, standardwebhooks, boto3 and
aws-sns-verifier, and next to this Python node with npm's sns-validator and the SDKs for Node:
`.ci/run` installs them. It does not sleep: advancing the clock by 0 seconds returns when all due work
is done."""

import base64
import hashlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.auth
import botocore.session
import jwt
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator
from standardwebhooks.webhooks import Webhook
from twilio.request_validator import RequestValidator
from vonage_jwt import verify_signature

from sns_sdk_checks import sns
from vendor_language_checks import language_requests
from vendor_request_checks import requests

AUTH_TOKEN = "twilio-auth-token-for-tests-0001"
SIGNATURE_SECRET = "my-vonage-signature-secret-32bytes"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a-secret-for-tests-of-32-bytes!!").decode()
API_KEY = "otp_test_default_0000000000"
FORM = "application/x-www-form-urlencoded"
RESPONSES = {
    "twilio": (201, {"sid": "SM" + 32 * "b", "status": "queued", "error_code": None}),
    "vonage": (202, {"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}),
    "http": (200, {"id": "theirs"}),
    "end_user_messaging": (200, {"MessageId": "862a8790-60c0-4430-9b2b-658bdexample"}),
    "notify": (200, {"MessageId": "862a8790-60c0-4430-9b2b-658bdexample"}),
    "ses": (200, {"MessageId": "0102018c-000000"}),
    "cm": (200, {"errorCode": 0, "messages": [{"status": "Accepted", "messageErrorCode": 0}]}),
}


class Vendor:
    """An HTTP server that accepts messages like the API of `kind`, and keeps the requests."""

    def __init__(self, kind):
        self.received = queue.Queue()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                vendor.received.put((self.path, dict(self.headers.items()), body))
                status, response = RESPONSES[kind]
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(response).encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Service:
    """The local server with one carrier."""

    def __init__(self, program, kind, **settings):
        self.vendor = Vendor(kind)
        carriers = [{"kind": kind, "base_url": self.vendor.url, **settings}]
        passed_on = ("PATH", "HOME", "SSL_CERT_FILE")
        variables = {name: os.environ[name] for name in passed_on if name in os.environ}
        variables["OTP_CARRIERS"] = json.dumps(carriers)
        variables["OTP_LOCAL_API_KEYS"] = f"default={API_KEY}"
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        arguments = [program, "--port", "0"]
        self.process = subprocess.Popen(arguments, env=variables, text=True, **outputs)
        line = self.process.stdout.readline()
        if "listening on " not in line:
            raise SystemExit(f"{program} did not start with a carrier of kind {kind}")
        self.url = line.split("listening on ")[1].strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def call(self, method, url, headers, body=b""):
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def api(self, method, path, document=None):
        headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
        body = None if document is None else json.dumps(document).encode()
        status, response = self.call(method, self.url + path, headers, body)
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {response!r}")
        return json.loads(response)

    def send(self, channel, to):
        """Creates a verification. Returns its id and the request to the vendor."""
        created = self.api("POST", "/v1/verifications", {"to": to, "channel": channel})
        self.finish_due_work()
        return created["id"], self.vendor.received.get_nowait()

    def finish_due_work(self):
        self.call("POST", self.url + "/local/clock", {}, b'{"advance_seconds":0}')

    def delivery(self, verification):
        self.finish_due_work()
        return self.api("GET", f"/v1/verifications/{verification}")["delivery"]["status"]


class Checks:
    """Prints each check with its result, and counts them."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, description, holds, found=""):
        if holds:
            self.passed += 1
            print(f"ok   {description}", flush=True)
        else:
            self.failed += 1
            print(f"FAIL {description}: {found!r}", flush=True)

    def rejected(self, description, service, verification, report):
        status, _ = service.call("POST", *report)
        delivery = service.delivery(verification)
        self.check(description, (status, delivery) == (401, "sent"), (status, delivery))

    def accepted(self, description, service, verification, report):
        status, response = service.call("POST", *report)
        delivery = service.delivery(verification)
        found = status, response, delivery
        self.check(description, (status, delivery) == (200, "delivered"), found)


def twilio(checks, program):
    account = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    reports = {
        "sms": {
            "MessageStatus": "delivered",
            "SmsStatus": "delivered",
            "MessageSid": "SMbb",
            "To": "+33612345678",
        },
        "whatsapp": {
            "MessageStatus": "read",
            "ChannelPrefix": "whatsapp",
            "EventType": "READ",
            "To": "whatsapp:+33612345678",
        },
        "voice": {
            "CallStatus": "completed",
            "CallSid": "CAcc",
            "CallerCity": "",
            "ToZip": "",
            "Note": "Ваш код & +1=2",
        },
    }
    settings = {"account_sid": account, "auth_token": AUTH_TOKEN, "from": "+15017122661"}
    with Service(program, "twilio", **settings) as service:
        for number, (channel, report) in enumerate(reports.items()):
            twilio_reports(checks, service, channel, f"+3361234567{number}", report)


def twilio_reports(checks, service, channel, to, report):
    verification, (_, _, body) = service.send(channel, to)
    url = dict(urllib.parse.parse_qsl(body.decode()))["StatusCallback"]
    validator, name = RequestValidator(AUTH_TOKEN), f"twilio {channel}"

    def signed(fields, signature):
        headers = {"content-type": FORM, "x-twilio-signature": signature}
        return url, headers, urllib.parse.urlencode(fields).encode()

    other_token = RequestValidator("another-auth-token").compute_signature(url, report)
    request = signed(report, other_token)
    checks.rejected(f"{name}: signed with another token", service, verification, request)
    signature = validator.compute_signature(url, report)
    request = signed(report | {"ErrorCode": "30003"}, signature)
    checks.rejected(f"{name}: an unsigned extra parameter", service, verification, request)
    request = signed(report, validator.compute_signature(url + "x", report))
    checks.rejected(f"{name}: signed for another URL", service, verification, request)
    request = signed(report, signature)
    checks.accepted(f"{name}: signed by RequestValidator", service, verification, request)


def vonage(checks, program):
    settings = {
        "api_key": "abcd1234",
        "api_secret": "secret-for-tests",
        "signature_secret": SIGNATURE_SECRET,
        "sender": "AcmeInc",
    }
    with Service(program, "vonage", **settings) as service:
        verification, (_, _, sent) = service.send("sms", "+33612345678")
        sent = json.loads(sent)
        report = {
            "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
            "status": "delivered",
            "channel": "sms",
            "to": sent["to"],
            "client_ref": sent["client_ref"],
            "timestamp": "2025-11-21T19:30:00.000Z",
        }
        body = json.dumps(report).encode()

        def signed(secret, age=0, signed_body=body):
            """The token, and the request with it."""
            claims = {
                "iat": int(time.time()) - age,
                "jti": "1",
                "iss": "Vonage",
                "payload_hash": hashlib.sha256(signed_body).hexdigest(),
                "api_key": "abcd1234",
            }
            # `vonage_jwt` verifies tokens that are signed with a secret but only signs calls, with
            # RS256. It uses PyJWT, as we do here.
            token = jwt.encode(claims, secret, algorithm="HS256")
            headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
            return token, (sent["webhook_url"], headers, body)

        token, genuine = signed(SIGNATURE_SECRET)
        is_valid = verify_signature(token, SIGNATURE_SECRET)
        checks.check("vonage: vonage_jwt accepts the token", is_valid)
        token, request = signed("another-signature-secret-of-32-b")
        is_valid = verify_signature(token, SIGNATURE_SECRET)
        checks.check("vonage: vonage_jwt rejects a token with another secret", not is_valid)
        checks.rejected("vonage: a token with another secret", service, verification, request)
        _, request = signed(SIGNATURE_SECRET, signed_body=body + b" ")
        checks.rejected("vonage: a token for another body", service, verification, request)
        _, request = signed(SIGNATURE_SECRET, age=2 * 86_400)
        checks.rejected("vonage: a token of two days ago", service, verification, request)
        url, headers, unsigned = genuine
        headers = {"content-type": headers["content-type"]}
        status, _ = service.call("POST", url, headers, unsigned)
        checks.check("vonage: an unsigned report is to be repeated", status == 503, status)
        accepted = "vonage: the token that vonage_jwt accepts"
        checks.accepted(accepted, service, verification, genuine)


def webhooks(checks, program):
    with Service(program, "http", token="carrier-token", secret=WEBHOOK_SECRET) as service:
        verification, (_, _, sent) = service.send("sms", "+33612345678")
        sent = json.loads(sent)
        body = json.dumps({"reference": sent["reference"], "status": "delivered"})
        now = datetime.now(timezone.utc)

        def signed(secret):
            headers = {
                "webhook-id": "evt_1",
                "webhook-timestamp": str(int(now.timestamp())),
                "content-type": "application/json",
                "webhook-signature": Webhook(secret).sign("evt_1", now, body),
            }
            return sent["callback_url"], headers, body.encode()

        other = "whsec_" + base64.b64encode(b"another-secret-of-just-32-bytes!").decode()
        checks.rejected("http: signed with another secret", service, verification, signed(other))
        url, headers, _ = signed(WEBHOOK_SECRET)
        request = url, headers, body.encode() + b" "
        checks.rejected("http: signed for another body", service, verification, request)
        request = signed(WEBHOOK_SECRET)
        checks.accepted("http: signed by standardwebhooks", service, verification, request)


def aws(checks, program):
    text = {
        "origination_identity": "+12065550152",
        "configuration_set": "otp",
        "protect_configuration_id": "protect-1",
        "max_price": "0.50",
        "feedback": True,
    }
    text_operations = {"sms": "SendTextMessage", "voice": "SendVoiceMessage"}
    notify = {"notify_configuration_id": "nc-1", "notify_template": "otp-1", "feedback": True}
    notify_operations = {"sms": "SendNotifyTextMessage", "voice": "SendNotifyVoiceMessage"}
    mail = {"from": "otp@example.com", "configuration_set": "otp"}
    cases = [
        ("end_user_messaging", text, "pinpoint-sms-voice-v2", text_operations, "+33612345678"),
        ("notify", notify, "pinpoint-sms-voice-v2", notify_operations, "+33612345678"),
        ("ses", mail, "sesv2", {"email": "SendEmail"}, "user@example.net"),
    ]
    for kind, settings, api, operations, to in cases:
        model = botocore.session.get_session().get_service_model(api)
        with Service(program, kind, **settings) as service:
            for channel, name in operations.items():
                recipient = to.replace("78", "79") if channel == "voice" else to
                _, request = service.send(channel, recipient)
                operation = model.operation_model(name)
                url = service.vendor.url
                aws_request(checks, f"{kind} {channel}", model, operation, url, request)
        if kind != "ses":
            with Service(program, kind, **settings) as service:
                operation = model.operation_model("PutMessageFeedback")
                url, request = service.vendor.url, feedback(service, to)
                aws_request(checks, f"{kind} feedback", model, operation, url, request)


def feedback(service, to):
    """The request with the conversion feedback about an approved verification."""
    verification, (_, _, sent) = service.send("sms", to)
    document = json.loads(sent)
    text = document.get("MessageBody") or document["TemplateVariables"]["code"]
    code = "".join(c for c in text.split(" ")[0] if c.isdigit())
    path = f"/v1/verifications/{verification}/check"
    service.api("POST", path, {"code": code})
    service.call("POST", service.url + "/local/clock", {}, b'{"advance_seconds":310}')
    return service.vendor.received.get_nowait()


def aws_request(checks, name, model, operation, vendor_url, request):
    path, headers, body = request
    headers = {name.lower(): value for name, value in headers.items()}
    document = json.loads(body)

    def check(description, *result):
        checks.check(f"{name}: {description}", *result)

    errors = ParamValidator().validate(document, operation.input_shape)
    valid = f"the body is a valid {operation.name} of botocore's model"
    check(valid, not errors.has_errors(), errors.generate_report())
    unknown = unknown_members(document, operation.input_shape)
    check("the model knows all members of the body", not unknown, unknown)
    values = invalid_values(document, operation.input_shape)
    check("all values are within the model's enumerations and bounds", not values, values)
    check("the path is the operation's", path == operation.http["requestUri"], path)
    if model.metadata["protocol"] == "json":
        expected = f"{model.metadata['targetPrefix']}.{operation.name}"
        target = headers.get("x-amz-target")
        check("the target is the operation's", target == expected, target)
        expected = f"application/x-amz-json-{model.metadata['jsonVersion']}"
        content_type = headers.get("content-type")
        check("the content type is the protocol's", content_type == expected, content_type)
    authorization = headers.get("authorization", "")
    expected = signature(model, vendor_url + path, headers, body)
    found = authorization, expected
    check("botocore computes the same signature", authorization == expected, found)
    of_other_body = signature(model, vendor_url + path, headers, body + b" ")
    differs = authorization != of_other_body
    check("botocore computes another signature for another body", differs, of_other_body)


def signature(model, url, headers, body):
    """The `Authorization` that botocore computes for this request, with the time in its headers."""
    authorization = headers["authorization"]
    names = authorization.split("SignedHeaders=")[1].split(",")[0].split(";")
    signed = {name: headers[name] for name in names if name != "host"}
    request = AWSRequest("POST", url, headers=signed, data=body)
    region = authorization.split("Credential=")[1].split(",")[0].split("/")[2]
    signer = botocore.auth.SigV4Auth(Credentials("local", "local"), model.signing_name, region)
    request.context["timestamp"] = headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    computed = signer.signature(signer.string_to_sign(request, canonical), request)
    credential, names = signer.scope(request), ";".join(names)
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={computed}"


def unknown_members(value, shape, path=""):
    """The paths of the members of `value` that are not in `shape`."""
    if shape.type_name == "structure":
        unknown = [f"{path}.{name}" for name in value if name not in shape.members]
        for name, member in shape.members.items():
            if name in value:
                unknown += unknown_members(value[name], member, f"{path}.{name}")
        return unknown
    if shape.type_name == "list":
        return [name for item in value for name in unknown_members(item, shape.member, path)]
    return []


def invalid_values(value, shape, path=""):
    """What `ParamValidator` does not check: enumerations, greatest values and lengths."""
    if shape.type_name == "structure":
        invalid = []
        for name, member in shape.members.items():
            if name in value:
                invalid += invalid_values(value[name], member, f"{path}.{name}")
        return invalid
    if shape.type_name == "list":
        return [found for item in value for found in invalid_values(item, shape.member, path)]
    if shape.type_name in ("integer", "long"):
        size = value
    else:
        size = len(value) if isinstance(value, (str, dict)) else 0
    allowed, most = shape.metadata.get("enum"), shape.metadata.get("max")
    is_unlisted = bool(allowed) and value not in allowed
    is_too_large = most is not None and size > most
    return [f"{path}={value!r}"] if is_unlisted or is_too_large else []


def main():
    program, checks = sys.argv[1], Checks()
    for vendor in (twilio, vonage, webhooks, aws, sns):
        vendor(checks, program)

    def start(kind, settings):
        return Service(program, kind, **settings)

    requests(checks, start)
    language_requests(checks, start, Vendor)
    print(f"{checks.passed} passed, {checks.failed} failed")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
