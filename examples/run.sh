#!/usr/bin/env bash
# Runs the login flow in each language against a local server: examples/run.sh URL API_KEY
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: examples/run.sh URL API_KEY" >&2; exit 2; }
cd "$(dirname "$0")/.."

# A number each: a second send to one number within 30 s is rejected.
printf '\n-- Python\n'
python3 examples/login.py "$1" "$2" +12025550141 --demo
printf '\n-- Node\n'
node examples/login.mjs "$1" "$2" +12025550142 --demo
printf '\n-- Rust\n'
cargo run --quiet --locked -p examples -- "$1" "$2" +12025550143 --demo
