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

version=$(swift --version 2>/dev/null | grep -oE 'Swift version [0-9]+\.[0-9]+' | grep -oE '[0-9.]+$' || true)
if [ -n "$version" ] && ! printf '6.2\n%s\n' "$version" | sort -V -C; then
  fail "this is Swift $version; Keel needs 6.2 or newer from https://www.swift.org/install"
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
wanted=()
if [ "${1:-}" = --tests ] && ! command -v oclgrind >/dev/null 2>&1; then wanted+=(oclgrind); fi

if [ "${#missing[@]}" -eq 0 ] && [ "${#wanted[@]}" -eq 0 ]; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then
  [ "${#missing[@]}" -eq 0 ] && exit 0
  fail "no apt-get here; install the equivalents of: ${missing[*]}"
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || fail "run as root: apt-get install ${missing[*]} ${wanted[*]}"
  as_root=(sudo env DEBIAN_FRONTEND=noninteractive)
fi
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
updated=no
# The package lists may be absent or old: fetch them and try once more before giving up.
install() {
  say "installing $*"
  "${as_root[@]}" apt-get install -y --no-install-recommends "$@" >"$log" 2>&1 && return
  [ "$updated" = no ] || return 1
  updated=yes
  "${as_root[@]}" apt-get update >"$log" 2>&1 || return 1
  "${as_root[@]}" apt-get install -y --no-install-recommends "$@" >"$log" 2>&1
}
if [ "${#missing[@]}" -gt 0 ]; then
  install "${missing[@]}" || { cat "$log" >&2; fail "could not install ${missing[*]}"; }
fi
# Not every release has oclgrind; without it the test run says that it skips the simulator.
if [ "${#wanted[@]}" -gt 0 ]; then
  install "${wanted[@]}" || say "${wanted[*]} is not to be had here; its check will be skipped"
fi
say "done"
