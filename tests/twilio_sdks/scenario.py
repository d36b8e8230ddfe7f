"""The scenario of Twilio Verify with the official SDK for Python, unpatched.

Usage: scenario.py URL ACCOUNT_SID SERVICE_SID API_KEY, of a local server with the default settings.
Every success is validated against Twilio's published description of Verify v2. Needs twilio and
jsonschema. The clock of the server is moved: nothing sleeps."""

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import requests
from jsonschema import Draft202012Validator
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

URL, ACCOUNT, SERVICE, KEY = sys.argv[1:5]
DESCRIPTION = Path(__file__).parent.parent / "data" / "twilio_verify_v2.json"
SLOWEST_SECONDS = 5


def nullable(schema):
    """An OpenAPI 3.0 schema as JSON Schema."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {name: nullable(value) for name, value in schema.items() if name != "nullable"}
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        converted["type"] = [schema["type"], "null"]
    return converted


class ValidatingHttpClient(TwilioHttpClient):
    """The SDK's own client; compares each success with the description."""

    document = nullable(json.loads(DESCRIPTION.read_text()))
    validated = 0

    def request(self, method, url, *arguments, **named):
        response = super().request(method, url, *arguments, **named)
        if response.status_code < 400:
            self.validate(method.lower(), urllib.parse.urlsplit(url).path, response)
        return response

    def validate(self, method, path, response):
        for template, operations in self.document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method in operations:
                content = operations[method]["responses"][str(response.status_code)]["content"]
                schema = content["application/json"]["schema"] | {"components": self.document["components"]}
                Draft202012Validator(schema).validate(json.loads(response.text))
                ValidatingHttpClient.validated += 1
                return
        raise AssertionError(f"the description has no {method} {path}")


client = Client(ACCOUNT, KEY, http_client=ValidatingHttpClient())
client.verify.base_url = URL
service = client.verify.v2.services(SERVICE)
passed = 0


def check(description, holds, found=""):
    global passed
    if not holds:
        raise SystemExit(f"FAIL {description}: {found!r}")
    passed += 1
    print(f"ok   {description}", flush=True)


def rejected(description, status, number, call):
    started = time.monotonic()
    try:
        found = call()
    except TwilioRestException as error:
        found = (error.status, error.code)
        is_fast = time.monotonic() - started < SLOWEST_SECONDS
        check(description, found == (status, number) and is_fast, error)
        return error
    raise SystemExit(f"FAIL {description}: {found!r}")


def local(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, headers)) as response:
        return json.load(response)


def advance(seconds):
    local("/local/clock", {"advance_seconds": seconds})


def code_of(to):
    """The code of the last message to a number, and a wrong one."""
    advance(0)
    code = local("/local/messages?to=" + urllib.parse.quote(to))["messages"][-1]["code"]
    return code, code[:-1] + ("3" if code[-1] == "2" else "2")


def create(to, **parameters):
    return service.verifications.create(to=to, **{"channel": "sms", **parameters})


def check_code(**parameters):
    return service.verification_checks.create(**parameters)


def number(last):
    """A number of the scenario; each has a prefix of its own."""
    return f"+1212{last:03}0199"


to = number(201)
created = create(to)
check("create", (created.status, created.valid, created.to, created.channel) == ("pending", False, to, "sms"), created)
check("one attempt to send", [a["channel"] for a in created.send_code_attempts] == ["sms"], created.send_code_attempts)
fetched = service.verifications(created.sid).fetch()
check("fetch", (fetched.sid, fetched.status, fetched.date_created) == (created.sid, "pending", created.date_created))
check("fetch by number", service.verifications(to).fetch().sid == created.sid)
right, wrong = code_of(to)
checked = check_code(to=to, code=wrong)
check("wrong code", (checked.status, checked.valid, checked.sid) == ("pending", False, created.sid), checked.status)
checked = check_code(to=to, code=right)
check("right code", (checked.status, checked.valid) == ("approved", True), checked.status)
gone = rejected("gone after approval", 404, 20404, lambda: check_code(to=to, code=right))
check("how it ended", gone.details["status"] == "approved", gone.details)
rejected("fetch after approval", 404, 20404, lambda: service.verifications(created.sid).fetch())

to = number(202)
created = create(to, locale="fr", custom_friendly_name="Chez Ann")
right, wrong = code_of(to)
checked = check_code(verification_sid=created.sid, code=right)
check("check by sid", (checked.status, checked.valid) == ("approved", True), checked.status)

to = number(203)
canceled = service.verifications(create(to).sid).update(status="canceled")
check("cancel", (canceled.status, canceled.valid) == ("canceled", False), canceled.status)
rejected("canceled twice", 404, 20404, lambda: service.verifications(canceled.sid).update(status="canceled"))

to = number(204)
approved = service.verifications(create(to).sid).update(status="approved")
check("approve", (approved.status, approved.valid) == ("approved", True), approved.status)
right, wrong = code_of(to)
rejected("check after approval", 404, 20404, lambda: check_code(to=to, code=right))

to = number(205)
created = create(to)
right, wrong = code_of(to)
outcomes = [check_code(to=to, code=wrong).status for _ in range(5)]
check("five wrong codes", outcomes == ["pending"] * 5, outcomes)
exhausted = rejected("exhausted", 429, 60202, lambda: check_code(to=to, code=right))
check("until it expires", 0 < exhausted.details["retry_after"] <= 300, exhausted.details)
check("fetch of an exhausted one", service.verifications(created.sid).fetch().status == "max_attempts_reached")
advance(30)
check("create after the last attempt", create(to).sid != created.sid)

to = number(206)
created = create(to)
right, wrong = code_of(to)
early = rejected("resend within the cooldown", 429, 20429, lambda: create(to))
wait = early.details["retry_after"]
check("its end", 0 < wait <= 30 and early.details["limit"] == "cooldown", early.details)
advance(wait)
again = create(to, channel="call")
check("resend after the cooldown", (again.sid, again.channel) == (created.sid, "call"), again)
check("two attempts to send", [a["channel"] for a in again.send_code_attempts] == ["sms", "call"], again.send_code_attempts)
check("same code", code_of(to)[0] == right)

check("nothing else was sent", len(local("/local/messages?to=" + urllib.parse.quote(to))["messages"]) == 2)


class LosingProxy(BaseHTTPRequestHandler):
    """Forwards a request, and closes the connection instead of responding."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name: self.headers[name] for name in ("authorization", "content-type")}
        urllib.request.urlopen(urllib.request.Request(URL + self.path, body, headers)).close()
        self.close_connection = True


to = number(209)
proxy = HTTPServer(("127.0.0.1", 0), LosingProxy)
Thread(target=proxy.serve_forever, daemon=True).start()
lossy = Client(ACCOUNT, KEY, http_client=TwilioHttpClient(max_retries=3))
lossy.verify.base_url = f"http://127.0.0.1:{proxy.server_port}"
try:
    lossy.verify.v2.services(SERVICE).verifications.create(to=to, channel="sms")
except requests.exceptions.ConnectionError:
    check("lost response", True)
rejected("repeated create after a lost response", 429, 20429, lambda: create(to))
advance(0)
check("sent once", len(local("/local/messages?to=" + urllib.parse.quote(to))["messages"]) == 1)
proxy.shutdown()

to = number(207)
payment = {"amount": "€12.50", "payee": "Shop"}
created = create(to, **payment)
check("amount and payee", (created.amount, created.payee) == ("€12.50", "Shop"), created.amount)
right, wrong = code_of(to)
checked = check_code(to=to, code=right, amount="€99.50", payee="Shop")
check("another amount", (checked.valid, checked.amount) == (False, "€99.50"), checked.amount)
rejected("amount without payee", 400, 60206, lambda: check_code(to=to, code=right, amount="€12.50"))
checked = check_code(to=to, code=right, **payment)
check("same payment", (checked.status, checked.valid) == ("approved", True), checked.status)

rejected("bad number", 400, 60200, lambda: create("+1202"))
rejected("national number", 400, 60200, lambda: create("2025550143"))
rejected("fixed line", 403, 60205, lambda: create("+33142685300"))
rejected("unknown channel", 400, 60200, lambda: create(number(208), channel="pigeon"))
rejected("silent network authentication", 403, 60204, lambda: create(number(208), channel="sna"))
rejected("code of the app", 403, 60204, lambda: create(number(208), custom_code="424242"))
other = client.verify.v2.services("VA" + 32 * "0")
rejected("wrong service", 404, 20404, lambda: other.verifications.create(to=to, channel="sms"))
stranger = Client(ACCOUNT, "wrong" + KEY)
stranger.verify.base_url = URL
rejected("wrong secret", 401, 20003, lambda: stranger.verify.v2.services(SERVICE).fetch())
rejected("services are not created", 404, 20404, lambda: client.verify.v2.services.create(friendly_name="x"))
fetched = service.fetch()
check("service", (fetched.sid, fetched.code_length, fetched.psd2_enabled) == (SERVICE, 6, True), fetched)
client.verify.v2.services(SERVICE)
short = Client("SK" + 32 * "a", KEY.removeprefix("otp_test_"))
short.verify.base_url = URL
check("API key without prefix", short.verify.v2.services(SERVICE).fetch().sid == SERVICE)

print(f"Python: {passed} checks, {ValidatingHttpClient.validated} successes as described")
