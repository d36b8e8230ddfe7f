"""Logs a user in with a one-time passcode: python3 login.py URL API_KEY PHONE_NUMBER"""
import json, sys, time, uuid
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL, KEY, to = sys.argv[1:4]


def call(path, body):
    """Makes a POST request. The Idempotency-Key makes it safe to repeat one whose response was lost."""
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())}
    for is_last in (False, False, True):
        try:
            return json.load(urlopen(Request(URL + path, json.dumps(body).encode(), headers), timeout=10))
        except HTTPError as response:
            problem, wait = json.load(response), int(response.headers.get("Retry-After", 1))
            if is_last or problem["code"] not in ("unavailable", "in_progress"):
                sys.exit(message(problem, wait))
        except OSError:  # no connection, or no response in time
            wait = 1
            if is_last:
                raise
        time.sleep(wait)


def message(problem, wait):
    """What the user reads. `detail` is for developers."""
    texts = {
        "rate_limited": f"Too many codes were requested. Please try again in {wait} seconds.",
        "invalid_number": "Please check the number.",
        "number_not_allowed": "We cannot send codes to this number. Please use another one.",
        "country_not_allowed": "We cannot send codes to this country.",
        "invalid_code": "Please enter the code as it was sent.",
    }
    return texts.get(problem["code"], f"Please try again later. (Request {problem['request_id']})")


# `client_ip` is the address of the user's device. Keep `id` in the user's session on your server.
sent = call("/v1/verifications", {"to": to, "client_ip": "203.0.113.7"})
session = {"verification": sent["id"]}
print(f"Code sent to {sent['to']}. You can request another one at {sent['resend_at']}.", flush=True)

for code in sys.stdin:
    check = call(f"/v1/verifications/{session['verification']}/check", {"code": code.strip()})
    if check["valid"]:
        sys.exit(print("Logged in."))
    if check["status"] != "pending":
        sys.exit("This code can no longer be used. Please request a new one.")
    print(f"Wrong code. Attempts left: {check['attempts_left']}.", flush=True)
