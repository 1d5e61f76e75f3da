#!/usr/bin/env bash
# Builds and runs every test: format, then the suites, then a subset of the kernels under oclgrind.
#
# In release: numeric loops in debug builds are 50 to 100 times slower. No test uses @testable, so
# the products are those of `swift build -c release`.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no
export POCL_CACHE_DIR=${POCL_CACHE_DIR:-$PWD/.build/pocl-cache}
export KEEL_CACHE=${KEEL_CACHE:-$PWD/.build/keel-cache}
mkdir -p "$POCL_CACHE_DIR" "$KEEL_CACHE"

swift format lint --strict --recursive Package.swift Sources Tests Benchmarks
timeout 1500 swift test -c release --disable-testable-imports
Scripts/oclgrind.sh
