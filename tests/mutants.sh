#!/usr/bin/env bash
# Changes rules one at a time, by cargo-mutants, and runs the unit tests of their layer: a change that no
# test notices is printed as MISSED. The files are copied into a package without the layers above `store`,
# so that each change is compiled in seconds. Usage: tests/mutants.sh file [argument of cargo-mutants ...],
# such as tests/mutants.sh 'shared/src/domain/verification.rs' --shard 0/4
# A change is first given to the quick tests, and to all tests of the layer if they do not notice it: only
# what is printed after the line "All tests:" was missed. OTP_MUTANTS_COPY is another directory for the copied
# files: each run that goes on at the same time needs its own.
set -euo pipefail
cd "$(dirname "$0")/.."
file=${1:?a file, or a pattern such as shared/src/crypto/**}
shift
case "$file" in
shared/src/domain/*) layers='pub mod domain; pub mod platform { pub mod random; }' ;;
shared/src/crypto/*) layers='pub mod domain; pub mod platform; pub mod crypto;' ;;
shared/src/store/*) layers='pub mod domain; pub mod platform; pub mod crypto; pub mod store;' ;;
*) echo "only domain, crypto and store are layers that compile without those above" && exit 1 ;;
esac
layer=${file#shared/src/}
layer=${layer%%/*}
copy=${OTP_MUTANTS_COPY:-target/mutants}
rm -rf "$copy/shared" "$copy/tests" "$copy/mutants.out"
mkdir -p "$copy/tests"
cp -r Cargo.lock rust-toolchain.toml shared "$copy"
cp -r tests/data "$copy/tests"
sed -e 's/^members = .*/members = ["shared"]/' -e '/^default-members/d' -e '/^otp = /!{/ = { path = /d}' Cargo.toml \
    >"$copy/Cargo.toml"
# Only the tests of the store have a table.
[ "$layer" = store ] || sed -i '/^dynoxide-rs/d' "$copy/shared/Cargo.toml"
printf '//! The layers that are tested.\n%s\n' "$layers" >"$copy/shared/src/lib.rs"
cd "$copy"
RUSTUP_TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
export RUSTUP_TOOLCHAIN CARGO_PROFILE_DEV_DEBUG=0
# A failing case proves enough: it is neither made smaller nor kept for the next change.
export PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_DISABLE_FAILURE_PERSISTENCE=true
# Its own copy is changed in place, so that the dependencies are compiled once.
mutants=(cargo mutants --in-place --package otp --file "$file" --no-shuffle --baseline skip --cargo-arg=--lib)
# These read whole tables, draw many codes or simulate hours: most of the time of all tests.
slow=(tables_are_those_of_unicode every_spelling_is_read_as_with_all_tables are_uniform shard_is_a_fair
    at_any_rate)
status=0
PROPTEST_CASES=32 "${mutants[@]}" --timeout 20 "$@" -- "$layer::" -- "${slow[@]/#/--skip=}" || status=$?
# 2 and 3: some were missed, or ran out of time.
case $status in 0) exit ;; 2 | 3) ;; *) exit "$status" ;; esac
echo "All tests:"
"${mutants[@]}" --iterate --timeout 90 "$@" -- "$layer::"
