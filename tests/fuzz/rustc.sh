#!/bin/sh
# Compiles the packages of this workspace: `otp` and `fuzz` with the coverage that libFuzzer reads. These
# flags are those of cargo-fuzz; they need no nightly compiler. Cargo runs this as RUSTC_WORKSPACE_WRAPPER,
# so that the dependencies are those of the tests, already compiled.
case " $* " in
*" --crate-name otp "* | *" --crate-name fuzz "*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$@"
