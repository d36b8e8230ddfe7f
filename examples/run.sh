#!/usr/bin/env bash
# Runs the login in each language against a local server: examples/run.sh URL API_KEY
# Empties the phones, then types a wrong code first, then the one that is on the phone. What a missing
# toolchain needs is left out.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: examples/run.sh URL API_KEY" >&2; exit 2; }
url=$1 key=$2
cd "$(dirname "$0")/.."
pipe=$(mktemp -u) output=$(mktemp)
mkfifo "$pipe"
trap 'rm -f "$pipe" "$output"' EXIT

curl -sf -X DELETE "$url/local/messages" >/dev/null

# A number each: a second send to one number within 30 s is rejected.
login() {
    local language=$1 to=$2 program code wrong
    shift 2
    printf '\n-- %s\n' "$language"
    "$@" "$url" "$key" "$to" <"$pipe" >"$output" &
    program=$!
    exec 3>"$pipe"
    code=$(curl -sf "$url/local/messages?wait=30&to=%2B${to#+}" | sed -n 's/.*"code":"\([0-9]*\)".*/\1/p')
    case $code in *0) wrong=${code%?}1 ;; *) wrong=${code%?}0 ;; esac
    printf '%s\n%s\n' "$wrong" "$code" >&3
    exec 3>&-
    wait "$program"
    cat "$output"
    grep -q '^Logged in' "$output"
}

login Python +12025550161 python3 examples/login.py
login Node +12025550162 node examples/login.mjs
cargo build --quiet --locked -p examples
login Rust +12025550163 cargo run --quiet --locked -p examples --
if command -v go >/dev/null; then
    login Go +12025550164 go run examples/login.go
else
    echo "Go: left out, not installed"
fi

# A program that was written for Twilio Verify, moved here by its two settings.
if python3 -c 'import flask, twilio' 2>/dev/null; then
    printf '\n-- Flask with the SDK of Twilio\n'
    to=+12025550145
    app=$(curl -sf -H "Authorization: Bearer $key" "$url/v1/app")
    sid() { sed -n "s/.*\"$1\":\"\([A-Za-z0-9]*\)\".*/\1/p" <<<"$app"; }
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    VERIFY_BASE_URL=$url VERIFY_CREDENTIALS=$(sid account_sid):$key:$(sid service_sid) PORT=$port \
        python3 examples/twilio_login.py 2>"$pipe.log" &
    flask=$!
    trap 'kill "$flask" 2>/dev/null || true; rm -f "$pipe" "$pipe.log" "$pipe.cookies"' EXIT
    post() {
        curl -s -b "$pipe.cookies" -c "$pipe.cookies" --retry 30 --retry-delay 1 --retry-connrefused "$@"
        echo
    }
    post "http://127.0.0.1:$port/send" --data-urlencode "number=$to"
    code=$(curl -sf "$url/local/messages?wait=30&to=%2B${to#+}" | sed -n 's/.*"code":"\([0-9]*\)".*/\1/p')
    case $code in *0) wrong=${code%?}1 ;; *) wrong=${code%?}0 ;; esac
    post "http://127.0.0.1:$port/check" -d "code=$wrong" | grep -x "Wrong code."
    post "http://127.0.0.1:$port/send" --data-urlencode "number=$to" | grep "wait a moment"
    post "http://127.0.0.1:$port/check" -d "code=$code" | grep -Fx "Logged in as $to."
else
    echo "Flask with the SDK of Twilio: left out, no flask or twilio"
fi
