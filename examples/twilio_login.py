"""A login written for Twilio Verify, with Flask and Twilio's SDK. Two settings move it to this service and back:
VERIFY_BASE_URL (unset: Twilio) and VERIFY_CREDENTIALS (account SID, auth token and service SID, with colons between them)."""
import os

from flask import Flask, request, session
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

ACCOUNT_SID, AUTH_TOKEN, SERVICE_SID = os.environ["VERIFY_CREDENTIALS"].split(":")
client = Client(ACCOUNT_SID, AUTH_TOKEN)
client.verify.base_url = os.environ.get("VERIFY_BASE_URL", "https://verify.twilio.com")
service = client.verify.v2.services(SERVICE_SID)

app = Flask(__name__)
app.secret_key = os.urandom(32)

MESSAGES = {
    20404: "Please request a new code.",
    20429: "Please wait a moment before you request another code.",
    60200: "Please check what you typed.",
    60202: "Too many wrong codes. Please request a new code later.",
    60203: "Too many codes were requested. Please try again later.",
    60205: "We cannot send texts to this number.",
}


@app.errorhandler(TwilioRestException)
def explain(error):
    """What the user reads. Twilio's message is for developers."""
    app.logger.warning("verify: %s %s", error.code, error.msg)
    return MESSAGES.get(error.code, "Please try again later."), 400


@app.get("/")
def page():
    return """<form method="post" action="/send"><input name="number" type="tel"><button>Send a code</button></form>
        <form method="post" action="/check"><input name="code" autocomplete="one-time-code"><button>Log in</button></form>"""


@app.post("/send")
def send():
    number = request.form["number"]
    created = service.verifications.create(to=number, channel="sms", device_ip=request.remote_addr)
    session["number"], session["verification"] = number, created.sid
    return f"Code sent to {created.to}."


@app.post("/check")
def check():
    code, sid = request.form["code"], session["verification"]
    checked = service.verification_checks.create(verification_sid=sid, code=code)
    if checked.status != "approved":
        return "Wrong code.", 400
    session["user"] = session.pop("number")
    return f"Logged in as {session['user']}."


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
