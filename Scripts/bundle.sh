#!/usr/bin/env bash
# Makes `bundle/`: one folder to copy to a machine that has a GPU driver but neither Swift nor the
# libraries. Swift is linked statically; what else the binary needs beyond libc lies in `lib/`,
# found through $ORIGIN. The folder runs where glibc is at least as new as the one here.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=.build-bundle
target=bundle

# DT_RPATH (not DT_RUNPATH): libraries in lib/ must find each other there as well.
swift build -c release --product keel --static-swift-stdlib --scratch-path "$scratch" \
  -Xlinker -rpath -Xlinker '$ORIGIN/lib' -Xlinker --disable-new-dtags
rm -rf "$target"
mkdir -p "$target/lib"
strip -o "$target/keel" "$scratch/release/keel"

# What libc brings is the system's; everything else that the files need is copied, to any depth.
is_libc() { case "$1" in ld-linux*|libc.so.*|libm.so.*|libpthread.so.*|libdl.so.*|librt.so.*) true ;; *) false ;; esac; }
copy_needed() { # a binary or library
  ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | while read -r name path; do
    is_libc "$name" || cp -nL "$path" "$target/lib/$name"
  done
}
loaded_at_run_time() { # a library that the binary opens by name if it is there
  local path
  path=$(ldconfig -p | awk -v name="$1" '$1 == name { print $NF; exit }')
  [ -n "$path" ] || { echo "bundle: $1 is not on this machine; run 'make setup'" >&2; exit 1; }
  cp -L "$path" "$target/lib/$1"
  copy_needed "$path"
}
copy_needed "$target/keel"
loaded_at_run_time libOpenCL.so.1
# BUNDLE_FETCH=0 leaves out libcurl and what it needs (10 MB): only `keel data fetch` uses it.
if [ "${BUNDLE_FETCH:-1}" = 1 ]; then loaded_at_run_time libcurl.so.4; fi
chmod -R u+w "$target/lib"
strip --strip-unneeded "$target"/lib/*.so* 2>/dev/null || true

glibc=$(ldd --version | head -1 | grep -oE '[0-9]+\.[0-9]+$')
cat >"$target/README" <<README
Keel for x86-64 Linux with glibc $glibc or newer. Copy this folder anywhere; nothing is installed.
./keel doctor     what is found on this machine, what is missing, what to do
./keel devices    every OpenCL device and the CPU; needs only the GPU's driver
./keel parity --device opencl:0    every kernel against its reference
./keel train --device auto         trains on the GPU if there is one, else on the CPU
README
echo "bundle: $(du -sh "$target" | cut -f1) in $target/"
Scripts/check-bundle.sh "$target"
