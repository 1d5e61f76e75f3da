#!/usr/bin/env bash
# Runs cases of every kernel family in oclgrind, a simulator that finds accesses out of bounds, data
# races and misuse of the interface. It is about a thousand times slower than a device: small cases.
set -euo pipefail
cd "$(dirname "$0")/.."
keel=.build/release/keel
log=$(mktemp)
cache=$(mktemp -d)
trap 'rm -rf "$log" "$cache"' EXIT

if ! command -v oclgrind >/dev/null 2>&1; then
  echo "oclgrind: not installed; skipped (apt install oclgrind)"
  exit 0
fi
# oclgrind exits with 0 even where it found something: what counts is its log.
KEEL_CACHE=$cache SWIFT_BACKTRACE=enable=no timeout 900 \
  oclgrind --data-races --check-api --log "$log" \
  "$keel" parity --device opencl --only-device --set oclgrind
if [ -s "$log" ]; then
  echo "oclgrind: found errors in kernels" >&2
  head -n 60 "$log" >&2
  exit 1
fi
echo "oclgrind: no access out of bounds, no data race, no misuse of the interface"
