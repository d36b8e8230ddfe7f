"""Compares sizes, instructions and memory of the built functions with `function_counts.txt`, and fails
if one has grown by more than 5 %: change the code, or that file in the same commit.

The functions run under valgrind, and without it for their peak memory. They call the table, and the
function carrier-worker, of a local server. Connections are plain HTTP. The counts are those of x86-64.

Usage: function_counts.py PATH_OF_THE_LOCAL_SERVER DIRECTORY_OF_SAM_BUILD"""

import base64
import gzip
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

GROWTH_MAX = 1.05
# Invocations in two runs. Their difference divided by 20 is the mean of a warm invocation.
BEFORE, AFTER = 2, 22
# Invocations after which the peak of the memory is read.
MANY = 50
# As many root certificates as Debian has, however many this machine has.
ROOTS = 144
KEY = "otp_counts_EXAMPLEEXAMPLEEXAMPLE"
SEAL_KEY = base64.b64encode(b"\x07" * 32).decode()
SECRETS = json.dumps(
    {
        "seal": {"current": "k1", "keys": {"k1": SEAL_KEY}},
        "lookup": SEAL_KEY,
        "api_keys": [{"app": "default", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}],
    }
)
PACKAGES = {
    "send": "SendFunction",
    "verify": "VerifyFunction",
    "factors": "FactorsFunction",
    "carrier-worker": "CarrierWorkerFunction",
    "delivery-callback": "DeliveryCallbackFunction",
}
HERE = os.path.dirname(os.path.abspath(__file__))


class Local:
    """A local server with its table and its queue."""

    def __init__(self, program):
        variables = {"OTP_SECRETS": SECRETS, "OTP_PREFIX_SENDS": "1000/600"}
        self.process = subprocess.Popen(
            [program, "--port", "0"],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = self.process.stdout.readline().removeprefix("listening on ").strip()
        while not self.process.stdout.readline().startswith("curl"):
            pass
        self.endpoints = self.call("GET", "/local/endpoints")
        with open(os.path.join(HERE, "data", "sns-for-tests.pem"), "rb") as file:
            certificate = file.read()
        self.roots = tempfile.NamedTemporaryFile()
        self.roots.write(certificate * ROOTS)
        self.roots.flush()

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request) as response:
            return json.load(response)

    def variables(self, runtime_api):
        """Those of a function."""
        dynamodb, sqs = self.endpoints["dynamodb_url"], self.endpoints["sqs_url"]
        return {
            "AWS_LAMBDA_RUNTIME_API": runtime_api,
            "AWS_LAMBDA_FUNCTION_NAME": "counted",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_LOG_GROUP_NAME": "counted",
            "AWS_LAMBDA_LOG_STREAM_NAME": "counted",
            "AWS_REGION": "local",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_ENDPOINT_URL_DYNAMODB": dynamodb,
            "AWS_ENDPOINT_URL_SQS": sqs,
            "OTP_TABLE": self.endpoints["table"],
            "OTP_QUEUE_URL": f"{sqs}/queue",
            "OTP_WORKER_URL": f"{self.url}/2015-03-31/functions/carrier-worker/invocations",
            "OTP_PUBLIC_URL": "https://api.example.com",
            "OTP_BRAND": "Example",
            "OTP_SECRETS": SECRETS,
            "OTP_PREFIX_SENDS": "1000/600",
            "SSL_CERT_FILE": self.roots.name,
        }


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    """Lambda's Runtime API for one process. It hands out events, and then keeps the process waiting."""

    protocol_version = "HTTP/1.1"
    events, responses, done = [], [], threading.Event()

    def do_GET(self):
        if not self.events:
            self.done.set()
            time.sleep(60)
            return
        self.answer(
            self.events.pop(0),
            {
                "lambda-runtime-aws-request-id": f"r{len(self.events)}",
                "lambda-runtime-deadline-ms": str(int(time.time() * 1000) + 60_000),
                "lambda-runtime-invoked-function-arn": "arn:aws:lambda:local:1:function:counted",
            },
        )

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.responses.append(json.loads(body))
        self.answer({})

    def answer(self, body, headers=()):
        body = json.dumps(body).encode()
        self.send_response(200)
        for name, value in dict(headers, **{"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def event(path, body):
    """A request of API Gateway."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "authorization": f"Bearer {KEY}",
            "content-type": "application/json",
            "host": "api.example.com",
            "user-agent": "curl/8",
        },
        "requestContext": {
            "accountId": "1",
            "apiId": "a",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {
                "method": "POST",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "198.51.100.7",
                "userAgent": "curl/8",
            },
            "requestId": "r",
            "routeKey": "$default",
            "stage": "$default",
            "time": "29/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1795910400000,
        },
        "body": json.dumps(body),
        "isBase64Encoded": False,
    }


class Counter:
    def __init__(self, local):
        self.local, self.next = local, 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RuntimeApi)
        self.runtime_api = f"127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def number(self):
        self.next += 1
        return f"+3361234{self.next:04}"

    def send(self):
        return event("/v1/verifications", {"to": self.number()}), 201

    def check(self):
        opened = self.local.call("POST", "/v1/verifications", {"to": self.number()})
        return event(f"/v1/verifications/{opened['id']}/check", {"code": "0000"}), 200

    def run(self, command, make, count):
        """Starts a process and invokes it so often. Returns what it printed, and its peak memory in MB."""
        events = [make(self) for _ in range(count)]
        RuntimeApi.events = [event for event, _ in events]
        RuntimeApi.responses, RuntimeApi.done = [], threading.Event()
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **self.local.variables(self.runtime_api)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        done = RuntimeApi.done.wait(120)
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            peak = re.search(r"VmHWM:\s+(\d+) kB", file.read())
        process.terminate()
        printed = process.communicate()[1].decode(errors="replace")
        statuses = {response["statusCode"] for response in RuntimeApi.responses}
        if not done or not peak or statuses - {status for _, status in events}:
            sys.exit(f"{command}: {statuses}\n{RuntimeApi.responses[-1:]}\n{printed[-2000:]}")
        return printed, int(peak[1]) * 1024 / 1e6

    def instructions(self, program, make, count):
        """Millions of instructions of the start and so many invocations."""
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program]
        printed, _ = self.run(command, make, count)
        return int(re.search(r"Collected : (\d+)", printed)[1]) / 1e6


def counts(local, directory):
    """The counts by function and name."""
    found = {}
    counter = Counter(local)
    for function, package in PACKAGES.items():
        program = os.path.join(directory, package, "bootstrap")
        with open(program, "rb") as file:
            found[function, "gzip_kb"] = len(gzip.compress(file.read(), 6)) / 1e3
        make = {"send": Counter.send, "verify": Counter.check}.get(function)
        if not make:
            continue
        start, before, after = (
            counter.instructions(program, make, count) for count in (0, BEFORE, AFTER)
        )
        found[function, "init_minstr"] = start
        found[function, "warm_minstr"] = (after - before) / (AFTER - BEFORE)
        found[function, "peak_mb"] = counter.run([program], make, MANY)[1]
    return found


def main():
    program, directory = sys.argv[1:]
    expected = {}
    with open(os.path.join(HERE, "function_counts.txt"), encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                function, name, value = line.split()
                expected[function, name] = float(value)
    local = Local(program)
    try:
        found = counts(local, directory)
    finally:
        local.process.kill()
    worse = 0
    for key, value in found.items():
        is_worse = value > expected.get(key, 0) * GROWTH_MAX
        worse += is_worse
        print(*key, f"{value:.3f}", "listed", expected.get(key), "WORSE" if is_worse else "")
    if worse:
        sys.exit(f"{worse} counts are more than 5 % above function_counts.txt")
    if set(expected) != set(found):
        sys.exit("function_counts.txt lists other counts")


if __name__ == "__main__":
    main()
