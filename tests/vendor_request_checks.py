"""Compares the requests of the built local server with those that the vendors' own SDKs make for the
same message. `vendor_sdk_checks.py` runs it. Needs twilio, vonage and cm-text-sdk-python."""

import base64
import json
import logging
import pathlib
import urllib.parse

import jwt
from cm_text.text_client import TextClient
from cm_text.whatsapp_template import WhatsappTemplate
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from twilio.http.http_client import HttpClient
from twilio.http.response import Response
from twilio.rest import Client
from vonage_messages.models import Sms, SmsOptions, WhatsappCustom
from vonage_voice.models import CreateCallRequest, Phone, Talk, ToPhone

PRIVATE_KEY = pathlib.Path(__file__).with_name("data") / "sns-for-tests.key.pem"
FROM = "+15017122661"
TWILIO = {
    "account_sid": "AC" + 32 * "a",
    "auth_token": "twilio-auth-token-for-tests-0001",
    "from": FROM,
    "whatsapp_from": "+14155238886",
    "content_sid": "HX" + 32 * "c",
    "feedback": True,
}
VONAGE = {
    "api_key": "abcd1234",
    "api_secret": "secret-for-tests",
    "signature_secret": "my-vonage-signature-secret-32bytes",
    "application_id": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
    "private_key": PRIVATE_KEY.read_text(),
    "voice_from": "+447700900001",
    "whatsapp_from": "+447700900002",
    "whatsapp_template": "login_code",
    "sender": "AcmeInc",
}
CM = {
    "product_token": "00000000-0000-0000-0000-000000000000",
    "callback_token": "callback-token-for-tests-0001",
    "sender": "AcmeInc",
    "voice_from": "+31201234567",
    "whatsapp_from": "+31201234568",
    "whatsapp_template": "login_code",
    "whatsapp_namespace": "b6b61d04",
}


def requests(checks, start):
    """`start(kind, settings)` starts a service with one carrier."""
    twilio_requests(checks, start)
    twilio_api_key(checks, start)
    vonage_requests(checks, start)
    cm_requests(checks, start)


class Capture(HttpClient):
    """The HTTP client of Twilio's SDK, which keeps the request and sends nothing."""

    def __init__(self):
        super().__init__(logging.getLogger(__name__), is_async=False)
        self.sent = None

    def request(self, method, url, params=None, data=None, headers=None, auth=None, **_):
        self.sent = urllib.parse.urlsplit(url).path, urllib.parse.urlencode(data, doseq=True), auth
        return Response(201, json.dumps({"sid": "SM" + 32 * "b"}))


def twilio_requests(checks, start):
    account, token = TWILIO["account_sid"], TWILIO["auth_token"]
    capture = Capture()
    client = Client(account, token, http_client=capture)
    with start("twilio", TWILIO) as service:
        for channel, number in (("sms", 0), ("whatsapp", 1), ("voice", 2)):
            _, (path, headers, body) = service.send(channel, f"+3361234568{number}")
            ours = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
            common = {"to": ours["To"], "from_": ours["From"], "status_callback": ours["StatusCallback"]}
            if channel == "voice":
                client.calls.create(
                    **common,
                    twiml=ours["Twiml"],
                    timeout=int(ours["Timeout"]),
                    status_callback_event=["initiated", "ringing", "answered", "completed"],
                )
            else:
                text = {"body": ours["Body"]} if channel == "sms" else {
                    "content_sid": ours["ContentSid"],
                    "content_variables": ours["ContentVariables"],
                }
                validity = int(ours["ValidityPeriod"])
                client.messages.create(
                    **common, **text, validity_period=validity, provide_feedback="true"
                )
            sdk_path, sdk_body, auth = capture.sent
            same = f"twilio {channel}: the SDK makes"
            checks.check(f"{same} the same path", path == sdk_path, (path, sdk_path))
            found, expected = (sorted(urllib.parse.parse_qsl(form)) for form in (body.decode(), sdk_body))
            checks.check(f"{same} the same form", found == expected, (found, expected))
            basic = (account, token)
            checks.check(f"{same} the same user and password", auth == basic, auth)


def twilio_api_key(checks, start):
    key = {"api_key_sid": "SK" + 32 * "d", "api_key_secret": "secret-of-the-key"}
    capture = Capture()
    client = Client(key["api_key_sid"], key["api_key_secret"], TWILIO["account_sid"], http_client=capture)
    client.messages.create(to="+33612345683", from_=FROM, body="code")
    with start("twilio", TWILIO | key) as service:
        _, (path, headers, _) = service.send("sms", "+33612345683")
    sdk_path, _, auth = capture.sent
    checks.check("twilio API key: the SDK makes the same path", path == sdk_path, (path, sdk_path))
    basic = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
    found = {name.lower(): value for name, value in headers.items()}["authorization"]
    checks.check("twilio API key: the SDK makes the same authorization", found == basic, (found, basic))


def vonage_requests(checks, start):
    with start("vonage", VONAGE) as service:
        for channel, number in (("sms", 3), ("whatsapp", 4), ("voice", 5)):
            _, (path, headers, body) = service.send(channel, f"+3361234568{number}")
            ours = json.loads(body)
            model = {"sms": vonage_text, "whatsapp": vonage_chat, "voice": vonage_call}[channel](ours)
            theirs = model.model_dump(by_alias=True, exclude_none=True, mode="json")
            if channel == "sms":
                # The SDK has no field for the validity that the API documents.
                theirs["ttl"] = ours["ttl"]
            checks.check(f"vonage {channel}: the SDK makes the same body", ours == theirs, (ours, theirs))
            expected = "/v1/calls" if channel == "voice" else "/v1/messages"
            checks.check(f"vonage {channel}: the path is that of the SDK", path == expected, path)
            if channel != "sms":
                vonage_token(checks, channel, {k.lower(): v for k, v in headers.items()})


def vonage_text(ours):
    options = SmsOptions(encoding_type=ours["sms"]["encoding_type"])
    return Sms(
        to=ours["to"],
        from_=ours["from"],
        text=ours["text"],
        client_ref=ours["client_ref"],
        webhook_url=ours["webhook_url"],
        webhook_version="v1",
        sms=options,
    )


def vonage_chat(ours):
    return WhatsappCustom(
        to=ours["to"],
        from_=ours["from"],
        client_ref=ours["client_ref"],
        webhook_url=ours["webhook_url"],
        webhook_version="v1",
        custom=ours["custom"],
    )


def vonage_call(ours):
    talk = ours["ncco"][0]
    return CreateCallRequest(
        to=[ToPhone(number=ours["to"][0]["number"])],
        from_=Phone(number=ours["from"]["number"]),
        ncco=[Talk(text=talk["text"], language=talk["language"], loop=talk["loop"])],
        event_url=ours["event_url"],
        event_method="POST",
        ringing_timer=ours["ringing_timer"],
    )


def vonage_token(checks, channel, headers):
    public_key = load_pem_private_key(PRIVATE_KEY.read_bytes(), None).public_key()
    token = headers["authorization"].removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, public_key, algorithms=["RS256"])
    except jwt.PyJWTError as error:
        claims = {"error": str(error)}
    # What `vonage_jwt` puts into its tokens.
    names = {"application_id", "iat", "exp", "jti"}
    checks.check(f"vonage {channel}: PyJWT verifies the token of the application", set(claims) == names, claims)


def cm_requests(checks, start):
    token = CM["product_token"]
    with start("cm", CM) as service:
        for channel, number in (("sms", 6), ("voice", 7), ("whatsapp", 8)):
            _, (path, headers, body) = service.send(channel, f"+3361234568{number}")
            ours = json.loads(body)["messages"]["msg"][0]
            client = TextClient(token)
            to, reference = [entry["number"] for entry in ours["to"]], ours["reference"]
            common = {"from_": ours["from"], "to": to, "reference": reference}
            if channel == "whatsapp":
                template = ours["richContent"]["conversation"][0]["template"]["whatsapp"]
                client.AddWhatsappTemplateMessage(
                    WhatsappTemplate(
                        template["namespace"],
                        template["element_name"],
                        template["components"],
                        language_code=template["language"]["code"],
                    ),
                    **common,
                )
            else:
                text = ours["body"]["content"]
                client.AddMessage(text, allowedChannels=ours["allowedChannels"], **common)
            theirs = json.loads(client.encodeData(client.messages))["messages"]["msg"][0]
            compared = ["to", "from", "reference", "richContent"]
            compared += [] if channel == "whatsapp" else ["body", "allowedChannels"]
            found, expected = ({name: m.get(name) for name in compared} for m in (ours, theirs))
            same = lower(found) == lower(expected)
            checks.check(f"cm {channel}: the SDK makes the same message", same, (found, expected))
            checks.check(f"cm {channel}: the path is that of the SDK", client.gateway.endswith(path), path)


def lower(value):
    """The two SDKs of CM differ in the case of `AUTO` and `WhatsApp`."""
    return json.dumps(value, sort_keys=True).lower()
