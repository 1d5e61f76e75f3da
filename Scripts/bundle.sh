#!/usr/bin/env bash
# Makes `bundle/`: one folder to copy to a machine that has a GPU driver but neither Swift nor the
# libraries. Swift is linked statically; what else the binary needs beyond libc lies in `lib/`,
# found through $ORIGIN. BUNDLE_FETCH=0 leaves out libcurl, which only `keel data fetch` needs.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=.build-bundle
target=bundle
shopt -s nullglob

# DT_RPATH (not DT_RUNPATH): libraries in lib/ must find each other there as well.
# lld folds equal functions and packs relocations, which the default linker cannot.
swift build -c release --product keel --static-swift-stdlib --scratch-path "$scratch" \
  -Xswiftc -use-ld=lld -Xlinker --icf=safe -Xlinker -z -Xlinker pack-relative-relocs \
  -Xlinker -rpath -Xlinker '$ORIGIN/lib' -Xlinker --disable-new-dtags
rm -rf "$target"
mkdir -p "$target/lib"
strip -o "$target/keel" "$scratch/release/keel"

# What libc brings is the system's; everything else that the files need is copied, to any depth.
is_libc() {
  case "$1" in
    ld-linux*|libc.so.*|libm.so.*|libpthread.so.*|libdl.so.*|librt.so.*|libresolv.so.*) true ;;
    *) false ;;
  esac
}
copy_needed() { # a binary or library
  local missing
  missing=$(ldd "$1" | awk '/not found/ { print $1 }')
  [ -z "$missing" ] || { echo "bundle: $1 needs $missing, which is not here" >&2; exit 1; }
  ldd "$1" | awk '$2 == "=>" && $3 ~ /^\// { print $1, $3 }' | while read -r name path; do
    is_libc "$name" || [ -e "$target/lib/$name" ] || cp -L "$path" "$target/lib/$name"
  done
}
loaded_at_run_time() { # a library that the binary opens by name if it is there
  local path
  path=$(ldconfig -p | awk -v name="$1" '$1 == name && /x86-64/ && !p { p = $NF } END { print p }')
  [ -n "$path" ] || { echo "bundle: $1 is not on this machine; run 'make setup'" >&2; exit 1; }
  cp -L "$path" "$target/lib/$1"
  copy_needed "$path"
}
size() { du -sm --apparent-size "$target" | cut -f1; }

copy_needed "$target/keel"
loaded_at_run_time libOpenCL.so.1
chmod -R u+w "$target/lib"
strip --strip-unneeded "$target"/lib/*
core=$(size)
if [ "${BUNDLE_FETCH:-1}" = 1 ]; then
  loaded_at_run_time libcurl.so.4
  chmod -R u+w "$target/lib"
fi

# The newest version of glibc's symbols that any of the files asks for. Packed relocations ask for
# the loader of 2.36.
glibc=$( (echo GLIBC_2.36; objdump -T "$target/keel" "$target"/lib/*) \
  | grep -oE 'GLIBC_[0-9]+\.[0-9]+' | sort -Vu | tail -n 1 | cut -d_ -f2)
cat >"$target/README" <<README
Keel for x86-64 Linux with glibc $glibc or newer. Copy this folder anywhere; nothing is installed.
./keel doctor     what is found on this machine, what is missing, what to do
./keel devices    every OpenCL device and the CPU; needs only the GPU's driver
./keel parity --device opencl:0    every kernel against its reference
./keel train --device auto         trains on the GPU if there is one, else on the CPU
README
Scripts/check-bundle.sh "$target"
echo "bundle: $target/ is ready: $(size) MiB ($core MiB without libcurl), glibc $glibc or newer"
