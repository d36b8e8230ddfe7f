"""Python's port of libphonenumber judges which phone numbers the built local server takes, and as what it keeps them:
the example numbers of all regions and of the networks without one, in several spellings, over the wire.

Usage: phone_numbers.py PATH_OF_THE_LOCAL_SERVER. Needs phonenumbers with the metadata of the Rust port, see `.ci/run`."""

import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import urllib.parse
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat, PhoneNumberType

THREADS = 8
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
NETWORKS = sorted(phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS)

# The contract's words, "Numbers".
SATELLITE_AND_GLOBAL = {870, 878, 881, 882, 883, 888, 979}
NEVER_SENT_TO = {
    PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.TOLL_FREE, PhoneNumberType.PAGER,
    PhoneNumberType.VOICEMAIL, PhoneNumberType.UAN,
}
NOT_ALLOWED, INVALID = (403, "number_not_allowed"), (422, "invalid_number")

# Where the service and this rule are known to differ: (spelling, country, channel) -> (what the service answers, why).
# An entry that no longer differs is an error as well.
KNOWN_DIFFERENCES = {}


class Case(NamedTuple):
    group: str
    spelling: str
    country: str | None = None
    channel: str = "voice"


def number_of(spelling, country):
    """The valid number that this is, or None. `00` is `+`, whatever is dialled in the country."""
    if spelling.startswith("00"):
        spelling = "+" + spelling[2:]
    try:
        number = phonenumbers.parse(spelling, country)
    except NumberParseException:
        return None
    # All of a global network is refused alike.
    is_number = phonenumbers.is_valid_number(number) or number.country_code in SATELLITE_AND_GLOBAL
    return number if is_number else None


def expected(case):
    """The status, and the code of the problem or the canonical number."""
    is_read = re.fullmatch(r"\+?[0-9 ().-]+", case.spelling, re.ASCII)
    number = number_of(case.spelling, case.country) if is_read else None
    if number is None:
        return INVALID
    kind = phonenumbers.number_type(number)
    if number.country_code in SATELLITE_AND_GLOBAL or kind in NEVER_SENT_TO:
        return NOT_ALLOWED
    if kind == PhoneNumberType.FIXED_LINE and case.channel == "sms":
        return NOT_ALLOWED
    return 201, e164_of(number)


def app_of(case):
    """An app is served its own region alone, so that an answer of 201 also says which region the number was found to be of."""
    number = number_of(case.spelling, case.country)
    region = number and phonenumbers.region_code_for_number(number)
    return region.lower() if region in phonenumbers.SUPPORTED_REGIONS else "default"


def cases():
    kinds = PhoneNumberType.values()
    found = [(region, phonenumbers.example_number_for_type(region, kind)) for region in REGIONS for kind in kinds]
    found += [(None, phonenumbers.example_number_for_non_geo_entity(code)) for code in NETWORKS]
    examples = {e164_of(number): (region, number) for region, number in found if number}
    for turn, (e164, (region, number)) in enumerate(examples.items()):
        yield Case("E.164, text", e164, None, "sms")
        # One of these for each number: a send that is taken costs the service twenty times one that is not.
        yield Case(*[
            ("E.164, call", e164),
            ("international, call", phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)),
            ("00 and digits, call", "00" + e164[1:]),
        ][turn % 3])
        if region:
            yield Case("national with its country, call", phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL), region)
        yield Case("a digit more", e164 + "0")
        yield Case("a digit less", e164[:-1])
    mobiles = [phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE) for region in REGIONS]
    abroad = itertools.cycle(e164_of(number) for number in mobiles[100:] + mobiles[:100] if number)
    for region, called in zip(REGIONS, abroad):
        yield from cases_of(region, called)


def cases_of(region, called):
    """What somebody there may type that is no number of the region: wrong ones, and `called`, of another region."""
    invalid = e164_of(phonenumbers.invalid_example_number(region))
    yield Case("invalid examples", invalid, None, "sms")
    yield Case("invalid examples", invalid)
    own = e164_of(phonenumbers.example_number(region))
    in_other_digits = own.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    for spelling in ("tel:" + own, own + " ext. 5", own[:-3] + "ABC", f"{own},{own}", in_other_digits):
        yield Case("tel:, extensions, letters, ...", spelling)
    yield Case("of another country, call", called if REGIONS.index(region) % 2 else "00" + called[1:], region)
    first = dialled_first(region)
    if not first.startswith("00"):
        yield Case("of another country, as dialled", f"{first} {called[1:]}", region)


def e164_of(number):
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def dialled_first(region):
    """What somebody in this region dials before the code of a country."""
    plan = PhoneMetadata.metadata_for_region(region)
    dialled = ("".join(digits) for length in range(1, 6) for digits in itertools.product("0123456789", repeat=length))
    return next(digits for digits in dialled if re.fullmatch(plan.international_prefix, digits))


class Service:
    """The local server, with an app for each region and no limit in the way."""

    def __init__(self, program):
        apps = {region.lower(): {"allowed_countries": region} for region in REGIONS}
        variables = {name: os.environ[name] for name in ("PATH", "HOME", "SSL_CERT_FILE") if name in os.environ}
        variables |= {
            "OTP_APPS": json.dumps(apps),
            "OTP_LOCAL_API_KEYS": ",".join(f"{app}={key_of(app)}" for app in ["default", *apps]),
            "OTP_COOLDOWN_SECONDS": "0", "OTP_SENDS_PER_HOUR": "1000", "OTP_SENDS_PER_DAY": "1000",
            "OTP_PREFIX_SENDS": "1000000/86400", "OTP_CONVERSION_MIN": "0",
        }
        self.process = subprocess.Popen(
            [program, "--port", "0"], env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if "listening on " not in line:
            raise SystemExit(f"{program} did not start")
        self.address = urllib.parse.urlsplit(line.split("listening on ")[1].strip()).netloc

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def answers(self, some):
        """Each of these with what it answers, over one connection."""
        connection, answered = http.client.HTTPConnection(self.address), []
        for case in some:
            document = {"to": case.spelling, "channel": case.channel, "country": case.country}
            headers = {"authorization": f"Bearer {key_of(app_of(case))}", "content-type": "application/json"}
            connection.request("POST", "/v1/verifications", json.dumps(document), headers)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            answered.append((case, (answer.status, body.get("to") or body.get("code"))))
        connection.close()
        return answered


def thread_of(case, wanted):
    status, number = wanted
    return zlib.crc32((number if status == 201 else case.spelling).encode()) % THREADS


def key_of(app):
    return f"otp_test_numbers_of_{app}"


def main():
    wanted = {case: expected(case) for case in cases()}
    with Service(sys.argv[1]) as service, ThreadPoolExecutor(THREADS) as pool:
        # What goes to one number goes one after the other: sends at once to one recipient may be told to come again.
        threads = [[case for case in wanted if thread_of(case, wanted[case]) == thread] for thread in range(THREADS)]
        found = dict(itertools.chain.from_iterable(pool.map(service.answers, threads)))
    differing = {case: answer for case, answer in found.items() if answer != wanted[case]}
    known = {case for case, answer in differing.items() if case[1:] in KNOWN_DIFFERENCES and answer == KNOWN_DIFFERENCES[case[1:]][0]}
    settled = KNOWN_DIFFERENCES.keys() - {case[1:] for case in known}

    print(f"phonenumbers {phonenumbers.__version__}: {len(REGIONS)} regions, {len(NETWORKS)} networks")
    print(f"{'':32}{'taken':>8}{'not allowed':>13}{'invalid':>9}{'explained':>11}{'differ':>8}")
    for group in dict.fromkeys(case.group for case in wanted):
        statuses = [answer[0] for case, answer in found.items() if case.group == group]
        explained = sum(case.group == group for case in known)
        differ = sum(case.group == group for case in differing) - explained
        print(f"{group:32}{statuses.count(201):8}{statuses.count(403):13}{statuses.count(422):9}{explained:11}{differ:8}")
    for case in differing.keys() - known:
        print(f"FAIL {case}: the service answers {differing[case]}, phonenumbers {wanted[case]}")
    for entry in settled:
        print(f"FAIL {entry} is a known difference, and does not differ so")
    failed = len(differing) - len(known) + len(settled)
    print(f"{len(found) - len(differing) + len(known)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
