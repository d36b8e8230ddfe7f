"""Compares the requests of the built local server with those that the vendors' SDKs for Node, Java and Go
make from the same values. `vendor_sdk_checks.py` runs it. Needs, next to this Python:

* node, and npm's twilio, @vonage/auth, @vonage/messages, @vonage/voice, @cmdotcom/text-sdk,
  @aws-sdk/client-sesv2 and @aws-sdk/client-pinpoint-sms-voice-v2, or these in the directory
  `VENDOR_NODE_MODULES`;
* in `java/lib` the jars of com.twilio.sdk:twilio and com.vonage:server-sdk, for `java`;
* in `go` the program of `vendor_requests.go`, named `vendor_requests`.

Java and Go are left out, and said so, where they are not there. Vonage's SDK for Go cannot be
installed by the module proxy.

The SDKs of Twilio, AWS, and Vonage for Java omit a member that they do not know, so such a member of
ours would differ. That of Vonage for Node passes it on."""

import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import urllib.parse

from vendor_request_checks import CM, PRIVATE_KEY, TWILIO, VONAGE, lower

HERE = pathlib.Path(__file__).parent
NUMBERS = {"sms": "+33612345690", "whatsapp": "+33612345691", "voice": "+33612345692"}
EMAIL = {"email": "user@example.net"}
SETTINGS = [
    ("twilio", TWILIO, NUMBERS),
    ("vonage", VONAGE, NUMBERS),
    ("cm", CM, {"sms": NUMBERS["sms"], "voice": NUMBERS["voice"]}),
    (
        "end_user_messaging",
        {
            "origination_identity": "+12065550152",
            "configuration_set": "otp",
            "protect_configuration_id": "protect-1",
            "max_price": "0.50",
            "feedback": True,
        },
        {"sms": NUMBERS["sms"], "voice": NUMBERS["voice"]},
    ),
    (
        "notify",
        {"notify_configuration_id": "nc-1", "notify_template": "otp-1", "feedback": True},
        {"sms": NUMBERS["sms"], "voice": NUMBERS["voice"]},
    ),
    ("ses", {"from": "otp@example.com", "configuration_set": "otp"}, EMAIL),
]


def language_requests(checks, start, vendor):
    """`start(kind, settings)` starts a service with one carrier, `vendor(kind)` a server like that of
    the vendor."""
    messages = []
    for kind, settings, recipients in SETTINGS:
        with start(kind, settings) as service:
            for channel, to in recipients.items():
                _, (path, _, body) = service.send(channel, to)
                message = {"kind": kind, "channel": channel, "path": path, "body": parsed(body)}
                messages.append(message | {"key": PRIVATE_KEY.read_text()})
    for language, kinds, command in languages():
        made = [message for message in messages if message["kind"] in kinds]
        servers = [vendor(message["kind"]) for message in made]
        for message, server in zip(made, servers):
            message["url"] = server.url
        made_by_sdks(command, made)
        for message, server in zip(made, servers):
            compare(checks, language, message, server)


def languages():
    """Each language with the kinds that it has SDKs of, and the command of its program."""
    modules = os.environ.get("VENDOR_NODE_MODULES", os.path.join(sys.prefix, "node_modules"))
    # `createRequire` looks for modules from the directory of the program upwards.
    program = shutil.copy(HERE / "vendor_node_requests.mjs", os.path.dirname(modules))
    found = [("Node", {kind for kind, _, _ in SETTINGS}, ["node", program])]
    jars = pathlib.Path(sys.prefix, "java", "lib")
    if shutil.which("java") and jars.is_dir():
        program = HERE / "VendorRequests.java"
        found.append(("Java", {"twilio", "vonage"}, ["java", "-cp", f"{jars}/*", program]))
    else:
        print("Java: left out, no java or no jars", flush=True)
    program = pathlib.Path(sys.prefix, "go", "vendor_requests")
    if program.exists():
        found.append(("Go", {"twilio"}, [program]))
    else:
        print("Go: left out, no program", flush=True)
    return found


def made_by_sdks(command, messages):
    path = os.pathsep.join([os.path.join(sys.prefix, "bin"), os.environ["PATH"]])
    variables = {"PATH": path, "HOME": os.environ.get("HOME", "/")}
    subprocess.run(command, input=json.dumps(messages), env=variables, text=True, check=True)


def compare(checks, language, message, server):
    name = f"{message['kind']} {message['channel']}: the SDK for {language} makes"
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
