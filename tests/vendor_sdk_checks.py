"""The vendors' own libraries judge the built local server: they sign the reports that it must take, spoil those that it
must refuse, and check the requests that it sends against the models and the signer of AWS.

Usage: judges.py PATH_OF_THE_LOCAL_SERVER, with the function delivery-callback built beside it. Needs twilio, vonage-jwt,
standardwebhooks, boto3 and aws-sns-verifier, and node beside this Python with npm's sns-validator, see `.ci/run`. Never
sleeps: moving the clock by nothing returns when all that was due has run."""

import base64
import hashlib
import itertools
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
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aws_sns_verifier.validator
import botocore.auth
import botocore.session
import jwt
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.validate import ParamValidator
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID
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


# AWS's own library, a message a line. It fetches certificates with `https.get` alone, which is led to the stand-in here.
SNS_VALIDATOR = """
const { get } = require('http'), Validator = require('sns-validator'), validator = new Validator();
require('https').get = (url, answered) => get(process.env.SNS_URL + new URL(url).pathname, answered);
require('readline').createInterface({ input: process.stdin })
  .on('line', (line) => validator.validate(line, (error) => console.log(error ? 'refused' : 'taken')));
"""
AT_SNS = "https://sns.eu-west-1.amazonaws.com/"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:otp-reports"
# What is signed, where it is there: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
SNS_SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class Stand:
    """A port that stands in for SNS, which has `certificate`, and for the runtime of one Lambda function."""

    def __init__(self, certificate):
        self.events, self.answers, self.confirmed = queue.Queue(), queue.Queue(), []
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                headers, body = {}, certificate.public_bytes(serialization.Encoding.PEM)
                if self.path.endswith("/invocation/next"):
                    deadline = str(int(time.time() * 1000) + 10_000)
                    headers, body = {"lambda-runtime-aws-request-id": "1", "lambda-runtime-deadline-ms": deadline}, stand.events.get()
                elif self.path.startswith("/?Action=ConfirmSubscription"):
                    stand.confirmed.append(self.path)
                self.answer(200, headers, body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.endswith("/invocation/1/response"):
                    stand.answers.put(json.loads(body)["statusCode"])
                # There is no table: nothing here names a message of ours.
                self.answer(202 if "/runtime/" in self.path else 400, {}, b"{}")

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in (headers | {"content-length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def invoke(self, path, body):
        """The status that the function answers to a message of SNS."""
        http = {"method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.80", "userAgent": "SNS"}
        event = {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {"content-type": "text/plain"},
                 "requestContext": {"http": http, "requestId": "1", "stage": "$default", "timeEpoch": 0},
                 "body": body, "isBase64Encoded": False}
        self.events.put(json.dumps(event).encode())
        return self.answers.get(timeout=30)


class SnsJudges:
    """The function delivery-callback, AWS's library and another one, all of which have their certificates of the stand-in."""

    def __init__(self, program, certificate):
        self.stand = Stand(certificate)
        url, key = f"http://{self.stand.address}", base64.b64encode(b"a-secret-for-tests-of-32-bytes!!").decode()
        carriers = [{"kind": "ses", "from": "otp@example.com", "callback_token": API_KEY}]
        secrets = {"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key}
        variables = {
            "AWS_LAMBDA_RUNTIME_API": self.stand.address, "AWS_LAMBDA_FUNCTION_NAME": "delivery-callback",
            "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_REGION": "local", "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_ENDPOINT_URL": url,
            "OTP_TABLE": "otp", "OTP_QUEUE_URL": f"{url}/queue", "OTP_PUBLIC_URL": url,
            "OTP_CARRIERS": json.dumps(carriers), "OTP_SECRETS": json.dumps(secrets),
        }
        function = os.path.join(os.path.dirname(os.path.abspath(program)), "delivery-callback")
        self.function = subprocess.Popen([function], env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        variables = {"SNS_URL": url, "NODE_PATH": os.path.join(sys.prefix, "node_modules"), "PATH": os.environ["PATH"]}
        node = [os.path.join(sys.prefix, "bin", "node"), "-e", SNS_VALIDATOR]
        self.node = subprocess.Popen(node, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        # All that this library fetches certificates with.
        aws_sns_verifier.validator._get_certificate = lambda _: certificate

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.function, self.node):
            process.terminate()
            process.wait()

    def verdicts(self, message):
        """Who takes it: the function, sns-validator, aws_sns_verifier."""
        status = self.stand.invoke(f"/v1/callbacks/ses/{API_KEY}", json.dumps(message))
        if status not in (200, 400, 401):
            raise SystemExit(f"delivery-callback answered {status}")
        print(json.dumps(message), file=self.node.stdin, flush=True)
        try:
            aws_sns_verifier.validator.validate_sns_signature(message, auto_confirm_subscription=False)
            is_taken = True
        except Exception:  # It raises nothing more precise.
            is_taken = False
        return status == 200, self.node.stdout.readline().strip() == "taken", is_taken


def sns(judge, program):
    key, stranger = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    now = datetime.now(timezone.utc)
    at, two_hours_ago = ((now - timedelta(hours=age)).strftime("%Y-%m-%dT%H:%M:%S.000Z") for age in (0, 2))
    common = {"MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn": TOPIC, "Timestamp": at}
    report = {"Type": "Notification", "Message": json.dumps({"eventType": "Open", "note": "reçu ✓"}, ensure_ascii=False) + "\n",
              "UnsubscribeURL": f"{AT_SNS}?Action=Unsubscribe&SubscriptionArn={TOPIC}:1", **common}
    question = {"Message": "You have chosen to subscribe", "Token": "2336412f37",
                "SubscribeURL": f"{AT_SNS}?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37", **common}
    everybody, nobody = (True, True, True), (False, False, False)
    messages = {
        "a notification": (report | {"Subject": "Report"}, everybody),
        # aws_sns_verifier demands a subject of every notification.
        "a notification without a subject": (report, (True, True, False)),
        "a subscription to confirm": (question | {"Type": "SubscriptionConfirmation"}, everybody),
        # sns-validator leaves the token out of what was signed, against AWS's own page.
        "a subscription that ended": (question | {"Type": "UnsubscribeConfirmation"}, (True, False, True)),
    }
    with SnsJudges(program, certificate_of(key, now)) as judges:
        for version, (words, (message, taken_by)) in itertools.product("12", messages.items()):
            genuine, who = signed_for_sns(message, key, version), f"sns, version {version}: {words}"
            altered = {name: genuine | {name: genuine[name] + "x"} for name in SNS_SIGNED if name in genuine}
            altered["Timestamp"] = genuine | {"Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.001Z")}
            if message["Type"] == "Notification":
                altered["Subject"] = genuine | {"Subject": "Another"}
            spoiled = altered | {
                "a stranger's signature": signed_for_sns(message, stranger, version),
                "the other version's signature": signed_for_sns(message, key, "21"[int(version) - 1]) | {"SignatureVersion": version},
                "a version to come": genuine | {"SignatureVersion": "3"},
                "a certificate of another host": signed_for_sns(message, key, version, "https://sns.eu-west-1.amazonaws.com.example/"),
                "a certificate in plain": signed_for_sns(message, key, version, AT_SNS.replace("https", "http")),
            }
            fetched = len(judges.stand.confirmed)
            found = {case: judges.verdicts(one) for case, one in spoiled.items()}
            judge.hold(f"{who}, spoiled in {len(found)} ways, is taken by nobody", set(found.values()) == {nobody}, found)
            judge.hold(f"{who}, spoiled, confirms nothing", len(judges.stand.confirmed) == fetched)
            found = judges.verdicts(genuine)
            judge.hold(f"{who}, is taken", found == taken_by, found)
            # The libraries leave these to who uses them. Anybody may have a bucket with the name `sns`.
            in_bucket = signed_for_sns(message, key, version, "https://sns.s3-eu-west-1.amazonaws.com/")
            old = signed_for_sns(message | {"Timestamp": two_hours_ago}, key, version)
            found = [judges.verdicts(one) for one in (in_bucket, old)]
            judge.hold(f"{who}, from a bucket or of long ago, is not taken by us", found == [(False, *taken_by[1:])] * 2, found)
        judge.hold("sns: subscriptions were confirmed", len(judges.stand.confirmed) >= 2, judges.stand.confirmed)


def certificate_of(key, now):
    """Of SNS; aws_sns_verifier wants an issuer that calls itself Amazon."""
    words = {NameOID.ORGANIZATION_NAME: "Amazon", NameOID.COMMON_NAME: "sns.amazonaws.com"}
    name = x509.Name([x509.NameAttribute(oid, word) for oid, word in words.items()])
    serial, day = x509.random_serial_number(), timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, now - day, now + day)
    return builder.sign(key, hashes.SHA256())


def signed_for_sns(message, key, version, at=AT_SNS):
    text = "".join(f"{name}\n{message[name]}\n" for name in SNS_SIGNED if name in message)
    signature = key.sign(text.encode(), padding.PKCS1v15(), {"1": hashes.SHA1(), "2": hashes.SHA256()}[version])
    url = f"{at}SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
    return message | {"SignatureVersion": version, "Signature": base64.b64encode(signature).decode(), "SigningCertURL": url}


def main():
    program, judge = sys.argv[1], Judgements()
    for judged in (twilio, vonage, webhooks, aws, sns):
        judged(judge, program)
    print(f"{judge.passed} passed, {judge.failed} failed")
    return 1 if judge.failed else 0


if __name__ == "__main__":
    sys.exit(main())
