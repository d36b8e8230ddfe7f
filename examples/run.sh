#!/usr/bin/env bash
# Runs the login in each language against a local server: examples/run.sh URL API_KEY
# Types a wrong code first, then the one that is on the phone. What a missing toolchain needs is left out.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: examples/run.sh URL API_KEY" >&2; exit 2; }
url=$1 key=$2
cd "$(dirname "$0")/.."
pipe=$(mktemp -u)
mkfifo "$pipe"
trap 'rm -f "$pipe"' EXIT

# A number each: a second send to one number within 30 s is rejected.
login() {
    local language=$1 to=$2 program code wrong
    shift 2
    printf '\n-- %s\n' "$language"
    "$@" "$url" "$key" "$to" <"$pipe" &
    program=$!
    exec 3>"$pipe"
    code=$(curl -sf "$url/local/messages?wait=30&to=%2B${to#+}" | sed -n 's/.*"code":"\([0-9]*\)".*/\1/p')
    case $code in *0) wrong=${code%?}1 ;; *) wrong=${code%?}0 ;; esac
    printf '%s\n%s\n' "$wrong" "$code" >&3
    exec 3>&-
    wait "$program"
}

login Python +12025550141 python3 examples/login.py
login Node +12025550142 node examples/login.mjs
cargo build --quiet --locked -p examples
login Rust +12025550143 cargo run --quiet --locked -p examples --
if command -v go >/dev/null; then
    login Go +12025550144 go run examples/login.go
else
    echo "Go: left out, not installed"
fi
