#!/usr/bin/env bash
# Runs a bundle inside a root folder that holds nothing but libc and the bundle: no Swift, no OpenCL
# driver. It must start, offer the CPU, train on it, and say what is missing.
set -euo pipefail
bundle=$1
if [ "$(id -u)" -ne 0 ]; then
  echo "check-bundle: needs root for chroot; skipped"
  exit 0
fi
if ! unshare --mount true 2>/dev/null; then
  echo "check-bundle: mounts are not allowed here; skipped"
  exit 0
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/tmp" "$root/opt" "$root/dev" "$root/proc" "$root/lib64" "$root/usr/lib64"
for library in libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libresolv.so.2; do
  path=$(ldconfig -p | awk -v name="$library" '$1 == name && !p { p = $NF } END { print p }')
  mkdir -p "$root$(dirname "$path")"
  cp -L "$path" "$root$path"
done
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
cp -r "$bundle" "$root/opt/keel"

# Swift reads its arguments from /proc. It is mounted in a namespace of its own, so that nothing of
# it is left when this script ends.
inside() {
  env -i PATH="$PATH:/usr/sbin" HOME=/tmp TMPDIR=/tmp KEEL_LOG="${KEEL_LOG:-warning}" \
    timeout 300 unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"' \
    "$root" /opt/keel/keel "$@"
}
fail() { echo "check-bundle: $1" >&2; exit 1; }
# Runs a command that must end with a given code and one sentence on standard error.
refused() { # code, text of the sentence, command...
  local code=$1 text=$2 status=0
  shift 2
  inside "$@" >"$root/tmp/output" 2>"$root/tmp/error" || status=$?
  cat "$root/tmp/error"
  [ "$status" = "$code" ] || fail "'keel $*' ended with $status instead of $code"
  grep -qi "$text" "$root/tmp/error" || fail "'keel $*' does not say '$text'"
}

inside devices
inside doctor | tee "$root/tmp/doctor"
grep -q 'no driver is registered' "$root/tmp/doctor" || fail "doctor does not miss the driver"
inside ops >/dev/null
inside train --quick --device cpu --out /tmp/run
inside evaluate /tmp/run --device cpu
# A picture of a one: 28x28, grey.
base64 -d >"$root/tmp/one.png" <<PNG
iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAAAAABXZoBIAAAAFklEQVR42mNgGGjw//+o5KgkZZL0
AQA3bSfZ5IUgJQAAAABJRU5ErkJggg==
PNG
inside predict /tmp/run /tmp/one.png --device cpu
inside parity --device cpu --case matmul/ --case softmax/ --case pooling2d/
inside bench --quick --device cpu --filter softmax
refused 3 opencl train --quick --device opencl:0 --out /tmp/none
refused 3 opencl parity --device opencl
[ ! -e "$root/tmp/none" ] || fail "a refused training wrote its folder"
echo "check-bundle: the bundle runs on libc alone"
