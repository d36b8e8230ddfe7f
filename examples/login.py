"""Logs a user in with a one-time passcode: send, show when a resend is possible, check, map errors.

    cargo run                    # in another terminal; prints the URL and the API key
    python3 examples/login.py http://127.0.0.1:8080 otp_test_local_development_key +12025550141
    ... --demo                   # reads the code from the local phone instead of asking for it
"""
import json, sys, time, uuid
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

base_url, api_key, to = sys.argv[1:4]
demo = "--demo" in sys.argv[4:]

# What the user reads, by error code.
MESSAGES = {
    "rate_limited": "Too many codes were requested. Please try again in {wait} seconds.",
    "invalid_number": "Please check the number.",
    "country_not_allowed": "We cannot send codes to this country.",
    "number_not_allowed": "We cannot send codes to this number. Please use another one.",
    "invalid_code": "Please enter the code as it was sent.",
}


class Problem(Exception):
    def __init__(self, document, wait):
        self.code = document.get("code")
        text = MESSAGES.get(self.code, f"Please try again later. (Request {document.get('request_id')})")
        super().__init__(text.format(wait=wait))


def call(method, path, body=None):
    """Returns the response body. The Idempotency-Key makes it safe to repeat a call that failed."""
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json",
               "Idempotency-Key": str(uuid.uuid4())}
    request = Request(base_url + path, body and json.dumps(body).encode(), headers, method=method)
    for last_try in (False, False, True):
        wait = 1
        try:
            return json.load(urlopen(request, timeout=10))
        except HTTPError as response:
            wait = int(response.headers.get("Retry-After", wait))
            problem = Problem(json.load(response), wait)
            if last_try or problem.code not in ("unavailable", "in_progress"):
                raise problem from None
        except URLError:
            if last_try:
                raise
        time.sleep(wait)


def read_code(attempt):
    if not demo:
        return input("Code: ")
    call("POST", "/local/clock", {"advance_seconds": 0})  # returns when all due messages are handed over
    code = call("GET", f"/local/messages?to={quote(to)}")["messages"][-1]["code"]
    return code if attempt else code[:-1] + str((int(code[-1]) + 1) % 10)  # a typing error first


try:
    # `client_ip`: the address of the end user's device.
    sent = call("POST", "/v1/verifications", {"to": to, "client_ip": "203.0.113.7"})
    print(f"Code sent to {sent['to']}. You can request another one at {sent['resend_at']}.")
    for attempt in range(10):
        check = call("POST", f"/v1/verifications/{sent['id']}/check", {"code": read_code(attempt)})
        if check["valid"]:
            print("Logged in.")
            break
        if check["status"] != "pending":
            sys.exit("This code can no longer be used. Please start again.")
        print(f"Wrong code. Attempts left: {check['attempts_left']}.")
except Problem as problem:
    sys.exit(str(problem))
