"""Compares the built local server with what authenticator apps use: pyotp reads the URIs, pyotp
and otplib make the codes, zxing-cpp reads the QR codes. The simulated authenticator of the local
page makes the codes of otplib.

Usage: authenticator_apps.py PATH_OF_THE_LOCAL_SERVER DIRECTORY_OF_OTPLIB. `.ci/run` installs pyotp,
zxing-cpp, numpy and otplib; node runs `authenticator_codes.mjs`."""

import itertools
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import numpy
import pyotp
import zxingcpp

ACCOUNTS = ["ada@example.com", "Jörg Müller", "日本語"]
ISSUERS = [None, "Bücher"]
# pyotp decodes a URI before it takes it apart, so it misreads these.
MISREAD = {"type": "totp", "account": "a+b & c/d?e#f%", "issuer": "100% & +"}


class Server:
    """The local server, until the end of the block."""

    def __enter__(self):
        arguments = [sys.argv[1], "--port", "0"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        lines = (line.decode().split() for line in self.process.stdout)
        self.base = next(line[-1] for line in lines if line[:1] == ["listening"])
        self.key = next(line[-1] for line in lines if line[:2] == ["api", "key"])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def post(self, path, body):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)


def pixels(svg):
    """The QR code as an image: every dark module is a square of the path."""
    width, height = (int(n) for n in re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())
    image = numpy.full((height, width), 255, dtype=numpy.uint8)
    for x, y, side in re.findall(r"M(\d+) (\d+)h(\d+)v", svg):
        x, y, side = int(x), int(y), int(side)
        image[y : y + side, x : x + side] = 0
    return image


class OtherCodes:
    """Codes of otplib, each compared with that of the page, until the end of the block."""

    def __enter__(self):
        program = pathlib.Path(__file__).with_name("authenticator_codes.mjs")
        arguments = ["node", str(program), sys.argv[2]]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def code(self, app, counter):
        """Code of a counter, or of a step."""
        request = {"secret": app.secret, "algorithm": app.digest().name, "digits": app.digits}
        print(json.dumps(request | {"counter": counter}), file=self.process.stdin, flush=True)
        return self.process.stdout.readline().strip()


def check(server, path, code):
    return server.post(f"{path}/check", {"code": code})


def scanned(server, number, body):
    """Path of a new factor, and the text of its QR code."""
    subject = f"/v1/subjects/user-{number}/factors"
    factor = server.post(subject, body | {"qr": True})
    found = zxingcpp.read_barcodes(pixels(factor["qr_svg"]), zxingcpp.BarcodeFormat.QRCode)
    texts = [code.text for code in found]
    assert texts == [factor["uri"]], (texts, factor["uri"])
    return f"{subject}/{factor['id']}", texts[0]


def enrolled(server, number, body):
    """A new factor, as the app knows it after it has read the QR code."""
    path, uri = scanned(server, number, body)
    app = pyotp.parse_uri(uri)
    assert app.name == body["account"], (app.name, body)
    assert app.issuer == body.get("issuer", "Example"), (app.issuer, body)
    return path, app


def check_reserved_characters(server):
    """A name with every reserved character is one label and one parameter."""
    _, uri = scanned(server, "reserved", MISREAD)
    parts = urllib.parse.urlsplit(uri)
    issuer, account = (urllib.parse.unquote(part) for part in parts.path[1:].split(":"))
    parameters = urllib.parse.parse_qs(parts.query, strict_parsing=True)
    assert (issuer, account) == (MISREAD["issuer"], MISREAD["account"]), uri
    assert parameters["issuer"] == [MISREAD["issuer"]] and len(parameters) == 5, uri


def main():
    counts = {"totp": 0, "hotp": 0}
    settings = itertools.product(ACCOUNTS, ISSUERS, ["sha1", "sha256", "sha512"], [6, 8], [15, 30, 60])
    with Server() as server, OtherCodes() as others:
        check_reserved_characters(server)
        for number, (account, issuer, algorithm, digits, period) in enumerate(settings):
            body = {"account": account, "algorithm": algorithm, "digits": digits}
            body |= {} if issuer is None else {"issuer": issuer}
            path, app = enrolled(server, number, body | {"type": "totp", "period": period})
            step = int(time.time()) // period
            code = app.at(step * period)
            assert others.code(app, step) == code, (body, step)
            result = check(server, path, code)
            assert result["valid"] and result["status"] == "active", result
            # The next step, by the other library alone.
            result = check(server, path, others.code(app, step + 1))
            assert result["valid"], result
            counts["totp"] += 1
            if period == 30:
                path, app = enrolled(server, number, body | {"type": "hotp", "counter": 3})
                for counter in [3, 5]:
                    # pyotp adds the counter of the URI.
                    code = app.at(counter - 3)
                    assert others.code(app, counter) == code, (body, counter)
                    result = check(server, path, code)
                    assert result["valid"], (counter, result)
                counts["hotp"] += 1
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()), "factors agree")


if __name__ == "__main__":
    main()
