"""A login with the client that openapi-python-client made of the local server's document.

    python3 login_openapi_python_client.py URL API_KEY PHONE_NUMBER
"""
import sys

import httpx
from lambda_otp_client import AuthenticatedClient
from lambda_otp_client.api.verifications import check_verification, create_verification
from lambda_otp_client.models import Check, CheckOutcome, CreateVerification, Problem, Verification

url, key, to = sys.argv[1:4]
client = AuthenticatedClient(base_url=url, token=key)

body = CreateVerification(to=to, client_ip="203.0.113.7")
sent = create_verification.sync(client=client, body=body, idempotency_key="login-1")
assert isinstance(sent, Verification) and sent.status == "pending", sent
assert sent.resend_at is not None and sent.transaction is None, sent

again = create_verification.sync_detailed(client=client, body=CreateVerification(to=to))
assert isinstance(again.parsed, Problem) and again.status_code == 429, again
assert again.parsed.limit == "cooldown" and int(again.headers["Retry-After"]) > 0, again

phone = httpx.get(f"{url}/local/messages", params={"to": to, "wait": 5}).json()
code = phone["messages"][-1]["code"]
wrong = code[:-1] + ("1" if code.endswith("0") else "0")
for attempt, valid in ((wrong, False), (code, True)):
    outcome = check_verification.sync(id=sent.id, client=client, body=Check(code=attempt))
    assert isinstance(outcome, CheckOutcome) and outcome.valid is valid, outcome
print("Logged in.")
