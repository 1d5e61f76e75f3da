#!/usr/bin/env bash
# Times Keel and its peers on this machine, one after the other, and prints the table of ratios.
#
#   Benchmarks/Peers/run.sh [FOLDER] [FILTER]
#
# Peers live in a virtual environment in FOLDER (default: .build/peers), which is made if it is not
# there; CLBlast comes from the package libclblast1. A peer that is missing is left out.
# Leave the machine alone meanwhile.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.build/peers}
filter=${2:-}
mkdir -p "$folder"
python=$folder/venv/bin/python
if [ ! -x "$python" ]; then
  python3 -m venv "$folder/venv"
  "$python" -m pip install --quiet torch tinygrad numpy pyopencl
fi
peer() { # NAME COMMAND...: a peer's times, or a line that says that it is missing
  local name=$1
  shift
  echo "== $name"
  if ! "$@" --filter "$filter" --json "$folder/$name.json"; then
    rm -f "$folder/$name.json"
    echo "left out"
  fi
}
swift build -c release --product keel
for device in opencl cpu; do
  echo "== Keel on $device"
  file=$folder/keel-$device.json
  .build/release/keel bench --device "$device" --filter "$filter" --json "$file" || rm -f "$file"
done
peer pytorch "$python" Benchmarks/Peers/pytorch.py
peer pytorch-default "$python" Benchmarks/Peers/pytorch.py --form default
peer tinygrad "$python" Benchmarks/Peers/tinygrad_opencl.py
peer clblast "$python" Benchmarks/Peers/clblast.py
# In this order: the first peer is the one that all others are compared with.
files=()
for name in keel-opencl keel-cpu pytorch pytorch-default tinygrad clblast; do
  [ -f "$folder/$name.json" ] && files+=("$folder/$name.json")
done
python3 Benchmarks/Peers/compare.py "${files[@]}" | tee "$folder/ratios.md"
