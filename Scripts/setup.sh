#!/usr/bin/env bash
# Makes a fresh Debian or Ubuntu machine that has Swift ready to build, test and run Keel.
#
# Installs through apt what is missing, and only that: oneDNN (the CPU device), zlib and libpng
# (readers), the OpenCL headers and loader, and PoCL where no OpenCL driver is registered.
# With `--tests` also oclgrind, which checks the kernels for out-of-bounds accesses and races.
set -euo pipefail

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

if ! command -v swift >/dev/null 2>&1; then
  fail "swift is not on the PATH; install Swift 6.2 or newer from https://www.swift.org/install"
fi

missing=()
need() { # package, file that shows it is there
  compgen -G "$2" >/dev/null || missing+=("$1")
}
need libdnnl-dev '/usr/include/*/*/dnnl.h'
need zlib1g-dev '/usr/include/zlib.h'
need libpng-dev '/usr/include/png.h'
need opencl-headers '/usr/include/CL/cl.h'
need ocl-icd-libopencl1 '/usr/lib/*/libOpenCL.so.1'
need libcurl4 '/usr/lib/*/libcurl.so.4'
# Any registered driver will do (a GPU's, or PoCL already there).
need pocl-opencl-icd "${OCL_ICD_VENDORS:-/etc/OpenCL/vendors}/*.icd"
if [ "${1:-}" = --tests ] && ! command -v oclgrind >/dev/null 2>&1; then missing+=(oclgrind); fi

if [ "${#missing[@]}" -eq 0 ]; then exit 0; fi
say "installing ${missing[*]}"
command -v apt-get >/dev/null 2>&1 \
  || fail "no apt-get here; install the equivalents of: ${missing[*]}"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || fail "run as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() { "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"; }
# The package lists may be absent or old: fetch them and try once more before giving up.
if ! install >"$log" 2>&1; then
  "${as_root[@]}" apt-get update >"$log" 2>&1 || { cat "$log" >&2; fail "apt-get update failed"; }
  install >"$log" 2>&1 || { cat "$log" >&2; fail "could not install ${missing[*]}"; }
fi
say "done"
