#!/usr/bin/env bash
# Changes rules one at a time, by cargo-mutants, and runs the unit tests of their layers: a change that no
# test notices is printed as MISSED. The files are copied into a package without the layers above `store`,
# so that each change is compiled in seconds. Usage: tests/mutants.sh file [argument of cargo-mutants ...],
# such as tests/mutants.sh 'shared/src/domain/verification.rs' --shard 0/4
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
copy=target/mutants
mkdir -p "$copy"
rm -rf "$copy/shared"
cp -r Cargo.lock rust-toolchain.toml shared "$copy"
sed -e 's/^members = .*/members = ["shared"]/' -e '/^default-members/d' -e '/^otp = /!{/ = { path = /d}' Cargo.toml \
    >"$copy/Cargo.toml"
printf '//! The layers that are tested.\n%s\n' "$layers" >"$copy/shared/src/lib.rs"
cd "$copy"
# Its own copy is changed in place, so that the dependencies are compiled once.
RUSTUP_TOOLCHAIN=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml) \
    cargo mutants --in-place --package otp --file "$file" --no-shuffle --timeout 300 --baseline skip "$@" -- --lib
