#!/usr/bin/env bash
# Runs a bundle inside a root folder that holds nothing but libc and the bundle: no Swift, no OpenCL
# library, no /proc. It must start, offer the CPU, train on it, and say what is missing.
set -euo pipefail
bundle=$1
if [ "$(id -u)" -ne 0 ]; then
  echo "check-bundle: needs root for chroot; skipped"
  exit 0
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/tmp" "$root/opt" "$root/dev"
for library in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1; do
  path=$(ldconfig -p | awk -v name="$library" '$1 == name { print $NF; exit }')
  mkdir -p "$root$(dirname "$path")"
  cp -L "$path" "$root$path"
done
mkdir -p "$root/lib64"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
cp -r "$bundle" "$root/opt/keel"

# Without OpenCL at all: the loader is taken away.
inside() { timeout 300 chroot "$root" /opt/keel/keel "$@"; }
mv "$root/opt/keel/lib/libOpenCL.so.1" "$root/tmp/"
inside devices
inside doctor | tee "$root/tmp/doctor"
grep -qi 'opencl' "$root/tmp/doctor"
inside train --quick --device cpu --out /tmp/run
inside evaluate /tmp/run
# With the loader but no driver.
mv "$root/tmp/libOpenCL.so.1" "$root/opt/keel/lib/"
inside devices
if inside train --quick --device opencl:0 --out /tmp/none 2>"$root/tmp/error"; then
  echo "check-bundle: training on a missing device did not fail" >&2
  exit 1
fi
cat "$root/tmp/error"
echo "check-bundle: the bundle runs on libc alone"
