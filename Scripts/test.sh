#!/usr/bin/env bash
# Builds and runs every test: format, then the suites, then a subset of the kernels under oclgrind.
#
# In release: numeric loops in debug builds are 50 to 100 times slower. No test uses @testable, so
# the products are those of `swift build -c release`.
set -euo pipefail
cd "$(dirname "$0")/.."
export SWIFT_BACKTRACE=enable=no
export POCL_CACHE_DIR=${POCL_CACHE_DIR:-$PWD/.build/pocl-cache}
mkdir -p "$POCL_CACHE_DIR"

swift format lint --strict --recursive Package.swift Sources Tests Benchmarks
# Without Keel's own cache (its tests make their own): PoCL compiles every kernel a second time when
# a program's binary is read, which doubles a first run; it keeps compiled kernels itself.
KEEL_CACHE='' timeout 1500 swift test -c release --disable-testable-imports
Scripts/oclgrind.sh
