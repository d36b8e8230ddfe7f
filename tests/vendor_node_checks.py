"""Compares the requests of the built local server with those that the vendors' SDKs for Node make from
the same values. `vendor_sdk_checks.py` runs it. Needs node, and npm's twilio, @vonage/auth,
@vonage/messages, @vonage/voice, @cmdotcom/text-sdk, @aws-sdk/client-sesv2 and
@aws-sdk/client-pinpoint-sms-voice-v2 next to this Python, or in the
directory `VENDOR_NODE_MODULES`.

The SDKs of Twilio and AWS omit a member that they do not know, so such a member of ours would differ.
That of Vonage passes it on; its models for Python do not, see `vendor_request_checks.py`."""

import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import urllib.parse

from vendor_request_checks import CM, PRIVATE_KEY, TWILIO, VONAGE, lower

PROGRAM = pathlib.Path(__file__).with_name("vendor_node_requests.mjs")
NUMBERS = {"sms": "+33612345690", "whatsapp": "+33612345691", "voice": "+33612345692"}
EMAIL = {"email": "user@example.net"}
SETTINGS = [
    ("twilio", TWILIO, NUMBERS),
    ("vonage", VONAGE, NUMBERS),
    ("cm", CM, {"sms": NUMBERS["sms"], "voice": NUMBERS["voice"]}),
    (
        "end_user_messaging",
        {"origination_identity": "+12065550152", "configuration_set": "otp", "feedback": True},
        {"sms": NUMBERS["sms"], "voice": NUMBERS["voice"]},
    ),
    (
        "notify",
        {"notify_configuration_id": "nc-1", "notify_template": "otp-1", "feedback": True},
        {"sms": NUMBERS["sms"], "voice": NUMBERS["voice"]},
    ),
    ("ses", {"from": "otp@example.com", "configuration_set": "otp"}, EMAIL),
]


def node_requests(checks, start, vendor):
    """`start(kind, settings)` starts a service with one carrier, `vendor(kind)` a server like that of
    the vendor."""
    messages, servers = [], []
    for kind, settings, recipients in SETTINGS:
        with start(kind, settings) as service:
            for channel, to in recipients.items():
                _, (path, _, body) = service.send(channel, to)
                servers.append(vendor(kind))
                messages.append(
                    {
                        "kind": kind,
                        "channel": channel,
                        "url": servers[-1].url,
                        "key": PRIVATE_KEY.read_text(),
                        "path": path,
                        "body": parsed(body),
                    }
                )
    made_by_sdks(messages)
    for message, server in zip(messages, servers):
        compare(checks, message, server)


def made_by_sdks(messages):
    modules = os.environ.get("VENDOR_NODE_MODULES", os.path.join(sys.prefix, "node_modules"))
    # `createRequire` looks for modules from the directory of the program upwards.
    program = shutil.copy(PROGRAM, os.path.dirname(modules))
    path = os.pathsep.join([os.path.join(sys.prefix, "bin"), os.environ["PATH"]])
    variables = {"PATH": path, "HOME": os.environ.get("HOME", "/")}
    subprocess.run(["node", program], input=json.dumps(messages), env=variables, text=True, check=True)


def compare(checks, message, server):
    name = f"{message['kind']} {message['channel']}: the SDK for Node makes"
    try:
        path, _, body = server.received.get_nowait()
    except queue.Empty:
        checks.check(f"{name} a request", False)
        return
    checks.check(f"{name} the same path", path == message["path"], (path, message["path"]))
    ours, theirs = comparable(message["kind"], message["body"]), comparable(message["kind"], parsed(body))
    checks.check(f"{name} the same body", ours == theirs, (ours, theirs))


def comparable(kind, body):
    if kind != "cm":
        return body
    # The SDK has no validity and no bound on parts, and puts the token into the body.
    message = body["messages"]["msg"][0]
    names = ["allowedChannels", "body", "from", "reference", "to"]
    return lower({name: message.get(name) for name in names})


def parsed(body):
    """The JSON document or the form of a request; a list for a name that is repeated."""
    try:
        return json.loads(body)
    except ValueError:
        form = urllib.parse.parse_qs(body.decode(), keep_blank_values=True)
        return {name: one[0] if len(one) == 1 else one for name, one in form.items()}
