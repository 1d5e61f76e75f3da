#!/usr/bin/env bash
# Builds and runs every test: format, kernels by themselves, the suites, then a subset of the kernels
# in oclgrind. Prints how long each part took; ends with the first that fails.
#
# In release: numeric loops in debug builds are 50 to 100 times slower. No test uses @testable, so
# the products are those of `swift build -c release`.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no
export POCL_CACHE_DIR=${POCL_CACHE_DIR:-$PWD/.build/pocl-cache}
mkdir -p "$POCL_CACHE_DIR"

part() { # title, command...
  local title=$1 start=$SECONDS
  shift
  echo "== $title"
  "$@"
  echo "== $title: $((SECONDS - start)) s"
}
# What passes is said once, at its end; `pipefail` keeps the exit code of the tests.
# Without Keel's own cache (its tests make their own): PoCL compiles every kernel a second time when
# a program's binary is read, which doubles a first run; it keeps compiled kernels itself.
suites() {
  KEEL_CACHE='' timeout 1500 swift test -c release --disable-testable-imports 2>&1 \
    | sed -u -E '/^◇ /d; /^✔ Test case /d; / (trace|debug|info) keel\./d'
}

part "format" swift format lint --strict --recursive Package.swift Sources Tests Benchmarks
part "kernels compile alone" Scripts/check-kernels.sh
part "build and run the suites" suites
part "build keel" swift build -c release --product keel
part "oclgrind" Scripts/oclgrind.sh
