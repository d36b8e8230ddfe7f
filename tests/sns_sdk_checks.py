"""Checks which messages of SNS the built function delivery-callback accepts, together with AWS's
own library sns-validator and with aws_sns_verifier. Run by `vendor_sdk_checks.py`."""

import base64
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aws_sns_verifier.validator
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

CALLBACK_TOKEN = "otp_test_default_0000000000"
# Runs sns-validator on one message per line. It fetches certificates with `https.get`, which is
# replaced by a request to the stub server.
SNS_VALIDATOR = """
const { get } = require('http');
const Validator = require('sns-validator');
const validator = new Validator();
require('https').get = (url, callback) =>
  get(process.env.SNS_URL + new URL(url).pathname, callback);
require('readline').createInterface({ input: process.stdin })
  .on('line', (line) =>
    validator.validate(line, (error) => console.log(error ? 'rejected' : 'accepted')));
"""
SNS_HOST = "https://sns.eu-west-1.amazonaws.com/"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:otp-reports"
# The signed fields, as far as a message has them:
# https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
SIGNED_FIELDS = (
    "Message",
    "MessageId",
    "Subject",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)
# Which of the three verifiers accept a message: the function, sns-validator, aws_sns_verifier.
ALL, NONE = (True, True, True), (False, False, False)


class StubServer:
    """An HTTP server in place of SNS, whose certificate is `certificate`, and of the runtime API of
    one Lambda function."""

    def __init__(self, certificate):
        self.events, self.statuses, self.confirmations = queue.Queue(), queue.Queue(), []
        stub = self
        pem = certificate.public_bytes(serialization.Encoding.PEM)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                headers, body = {}, pem
                if self.path.endswith("/invocation/next"):
                    deadline = str(int(time.time() * 1000) + 10_000)
                    headers = {
                        "lambda-runtime-aws-request-id": "1",
                        "lambda-runtime-deadline-ms": deadline,
                    }
                    body = stub.events.get()
                elif self.path.startswith("/?Action=ConfirmSubscription"):
                    stub.confirmations.append(self.path)
                self.respond(200, headers, body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.path.endswith("/invocation/1/response"):
                    stub.statuses.put(json.loads(body)["statusCode"])
                # The table is empty: no message here refers to a stored verification.
                self.respond(202 if "/runtime/" in self.path else 200, {}, b"{}")

            def respond(self, status, headers, body):
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
        """The status of the function's response to a message of SNS."""
        http = {
            "method": "POST",
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.80",
            "userAgent": "SNS",
        }
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"content-type": "text/plain"},
            "requestContext": {
                "http": http,
                "requestId": "1",
                "stage": "$default",
                "timeEpoch": 0,
            },
            "body": body,
            "isBase64Encoded": False,
        }
        self.events.put(json.dumps(event).encode())
        return self.statuses.get(timeout=30)


class Verifiers:
    """The function delivery-callback, sns-validator and aws_sns_verifier. All of them get the
    certificate of the stub server."""

    def __init__(self, program, certificate):
        self.stub = StubServer(certificate)
        directory = os.path.dirname(os.path.abspath(program))
        function = [os.path.join(directory, "delivery-callback")]
        outputs = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        variables = function_variables(self.stub.address)
        self.function = subprocess.Popen(function, env=variables, **outputs)
        variables = {
            "SNS_URL": f"http://{self.stub.address}",
            "NODE_PATH": os.path.join(sys.prefix, "node_modules"),
            "PATH": os.environ["PATH"],
        }
        node = [os.path.join(sys.prefix, "bin", "node"), "-e", SNS_VALIDATOR]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.node = subprocess.Popen(node, env=variables, text=True, **pipes)
        # The only function that this library fetches certificates with.
        aws_sns_verifier.validator._get_certificate = lambda _: certificate

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.function, self.node):
            process.terminate()
            process.wait()

    def accepting(self, message):
        """Which verifiers accept the message, in the order of `ALL`."""
        path = f"/v1/callbacks/ses/{CALLBACK_TOKEN}"
        status = self.stub.invoke(path, json.dumps(message))
        if status not in (200, 400, 401):
            raise SystemExit(f"delivery-callback answered {status}")
        print(json.dumps(message), file=self.node.stdin, flush=True)
        verify = aws_sns_verifier.validator.validate_sns_signature
        try:
            verify(message, auto_confirm_subscription=False)
            is_accepted = True
        except Exception:  # It raises no more precise class.
            is_accepted = False
        return status == 200, self.node.stdout.readline().strip() == "accepted", is_accepted


def function_variables(address):
    """The environment of the function, with all of AWS at `address`."""
    url = f"http://{address}"
    key = base64.b64encode(b"a-secret-for-tests-of-32-bytes!!").decode()
    carriers = [{"kind": "ses", "from": "otp@example.com", "callback_token": CALLBACK_TOKEN}]
    secrets = {"seal": {"current": "k1", "keys": {"k1": key}}, "lookup": key}
    return {
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": "delivery-callback",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_REGION": "local",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_ENDPOINT_URL": url,
        "OTP_TABLE": "otp",
        "OTP_QUEUE_URL": f"{url}/queue",
        "OTP_PUBLIC_URL": url,
        "OTP_CARRIERS": json.dumps(carriers),
        "OTP_SECRETS": json.dumps(secrets),
    }


def sns(checks, program):
    key, other_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    now = datetime.now(timezone.utc)
    with Verifiers(program, certificate_of(key, now)) as verifiers:
        for version, case in itertools.product("12", messages(now)):
            sns_message(checks, verifiers, (key, other_key), now, version, case)
        confirmations = verifiers.stub.confirmations
        confirmed = len(confirmations) >= 2
        checks.check("sns: subscriptions were confirmed", confirmed, confirmations)


def messages(now):
    """The description of each message, its unsigned fields, and which verifiers accept it."""
    common = {
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    report = json.dumps({"eventType": "Open", "note": "reçu ✓"}, ensure_ascii=False)
    notification = {
        "Type": "Notification",
        "Message": report + "\n",
        "UnsubscribeURL": f"{SNS_HOST}?Action=Unsubscribe&SubscriptionArn={TOPIC}:1",
        **common,
    }
    confirmation = f"Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
    subscription = {
        "Message": "You have chosen to subscribe",
        "Token": "2336412f37",
        "SubscribeURL": f"{SNS_HOST}?{confirmation}",
        **common,
    }
    return [
        ("a notification", notification | {"Subject": "Report"}, ALL),
        # aws_sns_verifier requires a subject in every notification.
        ("a notification without a subject", notification, (True, True, False)),
        ("a subscription to confirm", subscription | {"Type": "SubscriptionConfirmation"}, ALL),
        # sns-validator omits the token from the signed text, against AWS's documentation.
        (
            "the end of a subscription",
            subscription | {"Type": "UnsubscribeConfirmation"},
            (True, False, True),
        ),
    ]


def sns_message(checks, verifiers, keys, now, version, case):
    description, message, accepted_by = case
    name = f"sns, version {version}: {description}"
    key, other_key = keys
    genuine = signed(message, key, version)
    forgeries = altered(genuine, message, now) | forged(message, genuine, key, other_key, version)
    confirmed = len(verifiers.stub.confirmations)
    found = {forgery: verifiers.accepting(one) for forgery, one in forgeries.items()}
    rejected = set(found.values()) == {NONE}
    checks.check(f"{name}: all of {len(found)} forgeries are rejected", rejected, found)
    is_same = len(verifiers.stub.confirmations) == confirmed
    checks.check(f"{name}: a forgery confirms no subscription", is_same)
    found = verifiers.accepting(genuine)
    checks.check(f"{name}: the message is accepted", found == accepted_by, found)
    # The libraries do not check these two. Any AWS account may own a bucket with the name `sns`.
    in_bucket = signed(message, key, version, "https://sns.s3-eu-west-1.amazonaws.com/")
    two_hours_ago = (now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    old = signed(message | {"Timestamp": two_hours_ago}, key, version)
    found = [verifiers.accepting(one) for one in (in_bucket, old)]
    is_rejected = found == [(False, *accepted_by[1:])] * 2
    description = "a certificate in a bucket and an old message are rejected by the function"
    checks.check(f"{name}: {description}", is_rejected, found)


def altered(genuine, message, now):
    """The genuine message with one signed field changed, for each of them."""
    names = [name for name in SIGNED_FIELDS if name in genuine]
    changed = {name: genuine | {name: genuine[name] + "x"} for name in names}
    changed["Timestamp"] = genuine | {"Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.001Z")}
    if message["Type"] == "Notification":
        changed["Subject"] = genuine | {"Subject": "Another"}
    return changed


def forged(message, genuine, key, other_key, version):
    """The message with a wrong signature, version or certificate."""
    other_version = signed(message, key, {"1": "2", "2": "1"}[version])
    other_host = "https://sns.eu-west-1.amazonaws.com.example/"
    plain_http = SNS_HOST.replace("https", "http")
    return {
        "signed with another key": signed(message, other_key, version),
        "signed for the other version": other_version | {"SignatureVersion": version},
        "an unknown version": genuine | {"SignatureVersion": "3"},
        "a certificate of another host": signed(message, key, version, other_host),
        "a certificate over plain HTTP": signed(message, key, version, plain_http),
    }


def certificate_of(key, now):
    """A certificate of SNS. aws_sns_verifier requires an issuer with the name Amazon."""
    names = {NameOID.ORGANIZATION_NAME: "Amazon", NameOID.COMMON_NAME: "sns.amazonaws.com"}
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in names.items()])
    serial, day = x509.random_serial_number(), timedelta(days=1)
    public_key = key.public_key()
    builder = x509.CertificateBuilder(name, name, public_key, serial, now - day, now + day)
    return builder.sign(key, hashes.SHA256())


def signed(message, key, version, host=SNS_HOST):
    text = "".join(f"{name}\n{message[name]}\n" for name in SIGNED_FIELDS if name in message)
    digest = {"1": hashes.SHA1(), "2": hashes.SHA256()}[version]
    signature = key.sign(text.encode(), padding.PKCS1v15(), digest)
    return message | {
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": f"{host}SimpleNotificationService-{'0123456789abcdef' * 2}.pem",
    }
