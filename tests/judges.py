"""The vendors' own libraries judge the built local server: they sign the reports that it must take, spoil those that it
must refuse, and check the requests that it sends against the models and the signer of AWS.

Usage: judges.py PATH_OF_THE_LOCAL_SERVER. Needs twilio, vonage-jwt, standardwebhooks and boto3. Never sleeps: moving the
clock by nothing returns when all that was due has run."""

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

AUTH_TOKEN = "twilio-auth-token-for-tests-0001"
SIGNATURE_SECRET = "my-vonage-signature-secret-32bytes"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"a-secret-for-tests-of-32-bytes!!").decode()
API_KEY = "otp_test_default_0000000000"
FORM = "application/x-www-form-urlencoded"
ANSWERS = {
    "twilio": (201, {"sid": "SMbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "status": "queued", "error_code": None}),
    "vonage": (202, {"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab"}),
    "http": (200, {"id": "theirs"}),
    "end_user_messaging": (200, {"MessageId": "862a8790-60c0-4430-9b2b-658bdexample"}),
    "ses": (200, {"MessageId": "0102018c-000000"}),
}


class Vendor:
    """A port that takes messages as `kind` and keeps what it was handed."""

    def __init__(self, kind):
        self.taken = queue.Queue()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                vendor.taken.put((self.path, dict(self.headers.items()), body))
                status, answer = ANSWERS[kind]
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

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
        variables = {name: os.environ[name] for name in ("PATH", "HOME", "SSL_CERT_FILE") if name in os.environ}
        variables |= {"OTP_CARRIERS": json.dumps(carriers), "OTP_LOCAL_API_KEYS": f"default={API_KEY}"}
        self.process = subprocess.Popen(
            [program, "--port", "0"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
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
            with urllib.request.urlopen(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def api(self, method, path, document=None):
        headers = {"authorization": f"Bearer {API_KEY}", "content-type": "application/json"}
        body = None if document is None else json.dumps(document).encode()
        status, answer = self.call(method, self.url + path, headers, body)
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {answer!r}")
        return json.loads(answer)

    def send(self, channel, to):
        """Opens a verification; its id, and what the vendor was handed."""
        opened = self.api("POST", "/v1/verifications", {"to": to, "channel": channel})
        self.settle()
        return opened["id"], self.vendor.taken.get_nowait()

    def settle(self):
        self.call("POST", self.url + "/local/clock", {}, b'{"advance_seconds":0}')

    def delivery(self, verification):
        self.settle()
        return self.api("GET", f"/v1/verifications/{verification}")["delivery"]["status"]


class Judgements:
    def __init__(self):
        self.passed = self.failed = 0

    def hold(self, words, holds, found=""):
        self.passed, self.failed = (self.passed + 1, self.failed) if holds else (self.passed, self.failed + 1)
        print(f"{'ok  ' if holds else 'FAIL'} {words}" + ("" if holds else f": {found!r}"), flush=True)

    def refused(self, words, service, verification, report):
        status, _ = service.call("POST", *report)
        self.hold(words, (status, service.delivery(verification)) == (401, "sent"), status)

    def taken(self, words, service, verification, report):
        status, answer = service.call("POST", *report)
        state = service.delivery(verification)
        self.hold(words, (status, state) == (200, "delivered"), (status, answer, state))


def twilio(judge, program):
    account = "ACaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    fields = {
        "sms": {"MessageStatus": "delivered", "SmsStatus": "delivered", "MessageSid": "SMbb", "To": "+33612345678"},
        "whatsapp": {"MessageStatus": "read", "ChannelPrefix": "whatsapp", "EventType": "READ", "To": "whatsapp:+33612345678"},
        "voice": {"CallStatus": "completed", "CallSid": "CAcc", "CallerCity": "", "ToZip": "", "Note": "Ваш код & +1=2"},
    }
    with Service(program, "twilio", account_sid=account, auth_token=AUTH_TOKEN, **{"from": "+15017122661"}) as service:
        for number, (channel, report) in enumerate(fields.items()):
            verification, (_, _, body) = service.send(channel, f"+3361234567{number}")
            url = dict(urllib.parse.parse_qsl(body.decode()))["StatusCallback"]
            signature = RequestValidator(AUTH_TOKEN).compute_signature(url, report)

            def signed(fields, signature, url=url):
                return url, {"content-type": FORM, "x-twilio-signature": signature}, urllib.parse.urlencode(fields).encode()

            of_another = RequestValidator("another-auth-token").compute_signature(url, report)
            judge.refused(f"twilio {channel}: another token's signature", service, verification, signed(report, of_another))
            added = signed(report | {"ErrorCode": "30003"}, signature)
            judge.refused(f"twilio {channel}: a parameter more than was signed", service, verification, added)
            elsewhere = RequestValidator(AUTH_TOKEN).compute_signature(url + "x", report)
            judge.refused(f"twilio {channel}: a signature for another URL", service, verification, signed(report, elsewhere))
            judge.taken(f"twilio {channel}: RequestValidator's signature", service, verification, signed(report, signature))


def vonage(judge, program):
    settings = {"api_key": "abcd1234", "api_secret": "secret-for-tests", "signature_secret": SIGNATURE_SECRET}
    with Service(program, "vonage", **settings) as service:
        verification, (_, _, sent) = service.send("sms", "+33612345678")
        sent = json.loads(sent)
        report = {"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "status": "delivered", "channel": "sms",
                  "to": sent["to"], "client_ref": sent["client_ref"], "timestamp": "2025-11-21T19:30:00.000Z"}
        body = json.dumps(report).encode()

        def signed(body, secret, age=0, of=None):
            payload_hash = hashlib.sha256(body if of is None else of).hexdigest()
            claims = {"iat": int(time.time()) - age, "jti": "1", "iss": "Vonage", "payload_hash": payload_hash, "api_key": "abcd1234"}
            # `vonage_jwt` signs with RS256 for calls and only verifies what is signed with the secret; PyJWT is beneath it.
            token = jwt.encode(claims, secret, algorithm="HS256")
            return token, (sent["webhook_url"], {"content-type": "application/json", "authorization": f"Bearer {token}"}, body)

        token, genuine = signed(body, SIGNATURE_SECRET)
        judge.hold("vonage: vonage_jwt takes the token", verify_signature(token, SIGNATURE_SECRET))
        token, stranger = signed(body, "another-signature-secret-of-32-b")
        judge.hold("vonage: vonage_jwt refuses a stranger's token", not verify_signature(token, SIGNATURE_SECRET))
        judge.refused("vonage: a stranger's token", service, verification, stranger)
        judge.refused("vonage: a token about another body", service, verification, signed(body, SIGNATURE_SECRET, of=body + b" ")[1])
        judge.refused("vonage: a token of yesterday", service, verification, signed(body, SIGNATURE_SECRET, age=86_400)[1])
        judge.taken("vonage: the token that vonage_jwt takes", service, verification, genuine)


def webhooks(judge, program):
    with Service(program, "http", token="carrier-token", secret=WEBHOOK_SECRET) as service:
        verification, (_, _, sent) = service.send("sms", "+33612345678")
        sent = json.loads(sent)
        body = json.dumps({"reference": sent["reference"], "status": "delivered"})
        now = datetime.now(timezone.utc)

        def signed(body, secret):
            headers = {"webhook-id": "evt_1", "webhook-timestamp": str(int(now.timestamp())), "content-type": "application/json",
                       "webhook-signature": Webhook(secret).sign("evt_1", now, body)}
            return sent["callback_url"], headers, body.encode()

        other = "whsec_" + base64.b64encode(b"another-secret-of-just-32-bytes!").decode()
        judge.refused("http: another secret's signature", service, verification, signed(body, other))
        url, headers, _ = signed(body, WEBHOOK_SECRET)
        judge.refused("http: another body than was signed", service, verification, (url, headers, body.encode() + b" "))
        judge.taken("http: standardwebhooks' signature", service, verification, signed(body, WEBHOOK_SECRET))


def aws(judge, program):
    text, mail = {"origination_identity": "AcmeInc", "configuration_set": "otp"}, {"from": "otp@example.com", "configuration_set": "otp"}
    cases = [
        ("end_user_messaging", text, "pinpoint-sms-voice-v2", {"sms": "SendTextMessage", "voice": "SendVoiceMessage"}, "+33612345678"),
        ("ses", mail, "sesv2", {"email": "SendEmail"}, "user@example.net"),
    ]
    for kind, settings, api, operations, to in cases:
        model = botocore.session.get_session().get_service_model(api)
        with Service(program, kind, **settings) as service:
            for channel, name in operations.items():
                recipient = to.replace("78", "79") if channel == "voice" else to
                _, request = service.send(channel, recipient)
                operation = model.operation_model(name)
                judge_request(judge, f"{kind} {channel}", model, operation, service.vendor.url, request)


def judge_request(judge, who, model, operation, vendor_url, request):
    path, headers, body = request
    headers = {name.lower(): value for name, value in headers.items()}
    document = json.loads(body)
    errors = ParamValidator().validate(document, operation.input_shape)
    judge.hold(f"{who}: the body is a {operation.name} of botocore's model", not errors.has_errors(), errors.generate_report())
    unknown = unknown_members(document, operation.input_shape)
    judge.hold(f"{who}: nothing in it is unknown to the model", not unknown, unknown)
    values = wrong_values(document, operation.input_shape)
    judge.hold(f"{who}: its values are in the model's enumerations and bounds", not values, values)
    judge.hold(f"{who}: its path is the operation's", path == operation.http["requestUri"], path)
    if model.metadata["protocol"] == "json":
        target = f"{model.metadata['targetPrefix']}.{operation.name}"
        judge.hold(f"{who}: its target is the operation's", headers.get("x-amz-target") == target, headers.get("x-amz-target"))
        content_type = f"application/x-amz-json-{model.metadata['jsonVersion']}"
        judge.hold(f"{who}: its content type is the protocol's", headers.get("content-type") == content_type, headers.get("content-type"))
    authorization, recomputed = headers.get("authorization", ""), signature(model, vendor_url + path, headers, body)
    judge.hold(f"{who}: botocore makes the same signature", authorization == recomputed, (authorization, recomputed))
    spoiled = signature(model, vendor_url + path, headers, body + b" ")
    judge.hold(f"{who}: and another one for another body", authorization != spoiled, spoiled)


def signature(model, url, headers, body):
    """The `Authorization` that botocore computes for this request at the moment that it names."""
    names = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    request = AWSRequest("POST", url, headers={name: headers[name] for name in names if name != "host"}, data=body)
    scope = headers["authorization"].split("Credential=")[1].split(",")[0].split("/")
    signer = botocore.auth.SigV4Auth(Credentials("local", "local"), model.signing_name, scope[2])
    request.context["timestamp"] = headers["x-amz-date"]
    canonical = signer.canonical_request(request)
    signed = signer.signature(signer.string_to_sign(request, canonical), request)
    return f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={';'.join(names)}, Signature={signed}"


def unknown_members(value, shape, at=""):
    if shape.type_name == "structure":
        known = [(name, member) for name, member in shape.members.items() if name in value]
        of_known = [found for name, member in known for found in unknown_members(value[name], member, f"{at}.{name}")]
        return [f"{at}.{name}" for name in value if name not in shape.members] + of_known
    if shape.type_name == "list":
        return [found for item in value for found in unknown_members(item, shape.member, at)]
    return []


def wrong_values(value, shape, at=""):
    """What `ParamValidator` leaves to the service: enumerations, greatest values and lengths."""
    if shape.type_name == "structure":
        known = [(name, member) for name, member in shape.members.items() if name in value]
        return [found for name, member in known for found in wrong_values(value[name], member, f"{at}.{name}")]
    if shape.type_name == "list":
        return [found for item in value for found in wrong_values(item, shape.member, at)]
    most = shape.metadata.get("max")
    size = value if shape.type_name in ("integer", "long") else len(value) if isinstance(value, (str, dict)) else None
    is_wrong = (shape.metadata.get("enum") and value not in shape.metadata["enum"]) or (most is not None and size is not None and size > most)
    return [f"{at}={value!r}"] if is_wrong else []


def main():
    program, judge = sys.argv[1], Judgements()
    for judged in (twilio, vonage, webhooks, aws):
        judged(judge, program)
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main())
