#!/usr/bin/env bash
# Runs each fuzz target for some seconds (default 5), by libFuzzer, with the stable compiler. Needs a C++
# compiler. An input that makes a reader panic, or takes 5 s or 1 GB, is a failure. New inputs go to
# target/fuzz, never to the examples in data/inputs. Usage: tests/fuzz/run.sh [seconds] [target ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-5}
shift || true
[ $# -gt 0 ] || set -- callbacks headers json_bodies queue_messages recipients stored_items
# With `tests`, because the features of the dependencies are then those that the tests have.
RUSTC_WORKSPACE_WRAPPER=$PWD/tests/fuzz/rustc.sh cargo build --locked --quiet -p tests -p fuzz --bin fuzz
found=${CARGO_TARGET_DIR:-target}/fuzz
for target in "$@"; do
    mkdir -p "$found/$target"
    if ! OTP_FUZZ_TARGET=$target "${CARGO_TARGET_DIR:-target}/debug/fuzz" "$found/$target" \
        "tests/data/inputs/$target" -max_total_time="$seconds" -max_len=20000 -timeout=5 -rss_limit_mb=1024 \
        -dict=tests/fuzz/dictionary.txt -artifact_prefix="$found/$target-" -print_final_stats=1 \
        >"$found/$target.log" 2>&1; then
        tail -n 60 "$found/$target.log"
        echo "$target failed; see the input above"
        exit 1
    fi
    echo "$target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$target.log") inputs," \
        "$(grep -o 'cov: [0-9]*' "$found/$target.log" | tail -n 1)"
done
