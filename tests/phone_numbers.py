"""Compares which phone numbers the built local server accepts, and their canonical form, with
Python's port of libphonenumber: the example numbers of all regions and of the networks without a
region, in several spellings, over HTTP.

Usage: phone_numbers.py PATH_OF_THE_LOCAL_SERVER. Needs phonenumbers with the metadata of the Rust
port: `.ci/run` installs it."""

import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import unicodedata
import urllib.parse
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, PhoneNumberType

THREADS = 8
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
NETWORKS = sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)

# The rules of the API specification for phone numbers.
SATELLITE_AND_GLOBAL = {870, 878, 881, 882, 883, 888, 979}
NEVER_SENT_TO = {
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PAGER,
    PhoneNumberType.VOICEMAIL,
    PhoneNumberType.UAN,
}
NOT_ALLOWED, INVALID = (403, "number_not_allowed"), (422, "invalid_number")

# Where the service and these rules are known to differ:
# (spelling, country, channel) -> (the service's response, why).
# An entry that no longer differs fails as well.
GABON = (201, "+2416031234"), "Gabon's numbers have one spelling here: without the 0 of the national number"
KNOWN_DIFFERENCES = {
    ("+24106031234", None, "voice"): GABON,
    ("06 03 12 34", "GA", "voice"): GABON,
    ("0024106031234", "TN", "voice"): GABON,
    ("+24106031234", None, "sms"): GABON,
    ("+541123456789", None, "sms"): ((201, "+5491123456789"), "the mobile number of a line in Argentina gets its texts"),
}


class Case(NamedTuple):
    group: str
    spelling: str
    country: str | None = None
    channel: str = "voice"


def number_of(spelling, country):
    """The valid number, or None. `00` means `+`, whatever the country's own prefix is."""
    if spelling.startswith("00"):
        spelling = "+" + spelling[2:]
    try:
        number = phonenumbers.parse(spelling, country)
    except NumberParseException:
        return None
    # All numbers of a global network are rejected alike.
    is_number = phonenumbers.is_valid_number(number) or number.country_code in SATELLITE_AND_GLOBAL
    return number if is_number else None


def expected(case):
    """The status, and the code of the problem or the canonical number."""
    spelling = "".join(str(unicodedata.digit(c)) if c.isdigit() else c for c in case.spelling)
    is_readable = re.fullmatch(r"\+?[0-9 ().-]+", spelling, re.ASCII)
    number = number_of(spelling, case.country) if is_readable else None
    if number is None:
        return INVALID
    kind = phonenumbers.number_type(number)
    if number.country_code in SATELLITE_AND_GLOBAL or kind in NEVER_SENT_TO:
        return NOT_ALLOWED
    if kind == PhoneNumberType.FIXED_LINE and case.channel == "sms":
        return NOT_ALLOWED
    return 201, e164_of(number)


def app_of(case):
    """Each app allows only its own region, so that 201 also proves the region of the number."""
    number = number_of(case.spelling, case.country)
    region = number and phonenumbers.region_code_for_number(number)
    return region.lower() if region in phonenumbers.SUPPORTED_REGIONS else "default"


def cases():
    kinds = PhoneNumberType.values()
    found = [
        (region, phonenumbers.example_number_for_type(region, kind))
        for region in REGIONS
        for kind in kinds
    ]
    found += [(None, phonenumbers.example_number_for_non_geo_entity(code)) for code in NETWORKS]
    examples = {e164_of(number): (region, number) for region, number in found if number}
    for turn, (e164, (region, number)) in enumerate(examples.items()):
        yield Case("E.164, text", e164, None, "sms")
        # One of these for each number: an accepted send takes 20 times as long as a rejected one.
        international = phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)
        spellings = [
            ("E.164, call", e164),
            ("international, call", international),
            ("00 and digits, call", "00" + e164[1:]),
        ]
        yield Case(*spellings[turn % 3])
        if region:
            national = phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)
            yield Case("national with its country, call", national, region)
        yield Case("a digit more", e164 + "0")
        yield Case("a digit less", e164[:-1])
    mobile = PhoneNumberType.MOBILE
    mobiles = [phonenumbers.example_number_for_type(region, mobile) for region in REGIONS]
    abroad = itertools.cycle(e164_of(number) for number in mobiles[100:] + mobiles[:100] if number)
    for region, called in zip(REGIONS, abroad):
        yield from cases_of(region, called)


def cases_of(region, called):
    """Input in the region that is no number of it: invalid, and `called`, of another region."""
    invalid = e164_of(phonenumbers.invalid_example_number(region))
    yield Case("invalid examples", invalid, None, "sms")
    yield Case("invalid examples", invalid)
    own = e164_of(phonenumbers.example_number(region))
    in_other_digits = own.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    yield Case("digits of another script", in_other_digits)
    unreadable = ("tel:" + own, own + " ext. 5", own[:-3] + "ABC", f"{own},{own}")
    for spelling in unreadable:
        yield Case("tel:, extensions, letters, ...", spelling)
    spelling = called if REGIONS.index(region) % 2 else "00" + called[1:]
    yield Case("of another country, call", spelling, region)
    prefix = international_prefix(region)
    if not prefix.startswith("00"):
        yield Case("of another country, as dialled", f"{prefix} {called[1:]}", region)


def e164_of(number):
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def international_prefix(region):
    """The shortest prefix that is dialled in this region before the code of another country."""
    pattern = PhoneMetadata.metadata_for_region(region).international_prefix
    for length in range(1, 6):
        for digits in itertools.product("0123456789", repeat=length):
            if re.fullmatch(pattern, "".join(digits)):
                return "".join(digits)
    raise SystemExit(f"{region} has no international prefix")


class Service:
    """The local server, with an app for each region and limits that are not reached."""

    def __init__(self, program):
        apps = {region.lower(): {"allowed_countries": region} for region in REGIONS}
        passed_on = ("PATH", "HOME", "SSL_CERT_FILE")
        variables = {name: os.environ[name] for name in passed_on if name in os.environ}
        variables |= {
            "OTP_APPS": json.dumps(apps),
            "OTP_LOCAL_API_KEYS": ",".join(f"{app}={key_of(app)}" for app in ["default", *apps]),
            "OTP_COOLDOWN_SECONDS": "0",
            "OTP_SENDS_PER_HOUR": "1000",
            "OTP_SENDS_PER_DAY": "1000",
            "OTP_PREFIX_SENDS": "1000000/86400",
            "OTP_CONVERSION_MIN": "0",
        }
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        arguments = [program, "--port", "0"]
        self.process = subprocess.Popen(arguments, env=variables, text=True, **outputs)
        line = self.process.stdout.readline()
        if "listening on " not in line:
            raise SystemExit(f"{program} did not start")
        self.address = urllib.parse.urlsplit(line.split("listening on ")[1].strip()).netloc

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def responses(self, cases):
        """Each case with the service's response, over one connection."""
        connection, responses = http.client.HTTPConnection(self.address), []
        for case in cases:
            send = {"to": case.spelling, "channel": case.channel, "country": case.country}
            key = key_of(app_of(case))
            headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
            connection.request("POST", "/v1/verifications", json.dumps(send), headers)
            response = connection.getresponse()
            body = json.loads(response.read())
            result = response.status, body.get("to") or body.get("code")
            responses.append((case, result))
        connection.close()
        return responses


def thread_of(case, response):
    status, number = response
    return zlib.crc32((number if status == 201 else case.spelling).encode()) % THREADS


def key_of(app):
    return f"otp_test_numbers_of_{app}"


def print_table(expected_responses, responses, known, differing):
    print(f"phonenumbers {phonenumbers.__version__}:", end=" ")
    print(f"{len(REGIONS)} regions, {len(NETWORKS)} networks")
    columns = f"{'accepted':>9}{'not allowed':>13}{'invalid':>9}{'explained':>11}{'differ':>8}"
    print(f"{'':32}{columns}")
    for group in dict.fromkeys(case.group for case in expected_responses):
        statuses = [response[0] for case, response in responses.items() if case.group == group]
        accepted, not_allowed, invalid = (statuses.count(status) for status in (201, 403, 422))
        explained = sum(case.group == group for case in known)
        differ = sum(case.group == group for case in differing) - explained
        counts = f"{accepted:9}{not_allowed:13}{invalid:9}{explained:11}{differ:8}"
        print(f"{group:32}{counts}")


def is_known(case, response):
    return case[1:] in KNOWN_DIFFERENCES and response == KNOWN_DIFFERENCES[case[1:]][0]


def main():
    expected_responses = {case: expected(case) for case in cases()}
    threads = [[] for _ in range(THREADS)]
    # The sends to one number are made one after the other: concurrent sends to one recipient may be
    # asked to retry.
    for case, response in expected_responses.items():
        threads[thread_of(case, response)].append(case)
    with Service(sys.argv[1]) as service, ThreadPoolExecutor(THREADS) as pool:
        responses = dict(itertools.chain.from_iterable(pool.map(service.responses, threads)))
    differing = {
        case: response
        for case, response in responses.items()
        if response != expected_responses[case]
    }
    known = {case for case, response in differing.items() if is_known(case, response)}
    outdated = KNOWN_DIFFERENCES.keys() - {case[1:] for case in known}

    print_table(expected_responses, responses, known, differing)
    for case in differing.keys() - known:
        found, expectation = differing[case], expected_responses[case]
        print(f"FAIL {case}: the service responds {found}, phonenumbers {expectation}")
    for entry in outdated:
        print(f"FAIL {entry} is listed as a known difference and does not differ in that way")
    failed = len(differing) - len(known) + len(outdated)
    print(f"{len(responses) - len(differing) + len(known)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
