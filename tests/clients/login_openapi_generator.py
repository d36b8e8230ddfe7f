"""A login with the client that openapi-generator (python) made of the local server's document.

    python3 login_openapi_generator.py URL API_KEY PHONE_NUMBER
"""
import json, sys
from urllib.parse import quote
from urllib.request import urlopen

import lambda_otp

url, key, to = sys.argv[1:4]
configuration = lambda_otp.Configuration(host=url, access_token=key)
with lambda_otp.ApiClient(configuration) as client:
    api = lambda_otp.VerificationsApi(client)
    sent = api.create_verification(lambda_otp.CreateVerification(to=to), idempotency_key="login-1")
    assert sent.status == lambda_otp.VerificationStatus.PENDING and sent.resend_at, sent

    try:
        api.create_verification(lambda_otp.CreateVerification(to=to))
    except lambda_otp.ApiException as error:
        assert error.status == 429 and json.loads(error.body)["limit"] == "cooldown", error
    else:
        raise AssertionError("a second send within the cooldown was accepted")

    phone = json.load(urlopen(f"{url}/local/messages?wait=5&to={quote(to)}"))
    code = phone["messages"][-1]["code"]
    wrong = code[:-1] + ("1" if code.endswith("0") else "0")
    for attempt, valid in ((wrong, False), (code, True)):
        outcome = api.check_verification(sent.id, lambda_otp.Check(code=attempt))
        assert outcome.valid is valid, outcome
print("Logged in.")
