#!/usr/bin/env bash
# Times Keel and its peers on this machine, in turn, and prints the table of ratios.
#
#   Benchmarks/Peers/run.sh [FOLDER] [FILTER] [ROUNDS]
#
# Peers live in a virtual environment in FOLDER (default: .build/peers), which is made if it is not
# there; CLBlast comes from the package libclblast1. A peer that is missing is left out. Everybody
# has a turn in each of ROUNDS rounds (default: 2) and is judged by the best, so that what else the
# machine does for a while harms nobody alone. Leave the machine alone meanwhile.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.build/peers}
filter=${2:-}
rounds=${3:-2}
mkdir -p "$folder"
python=$folder/venv/bin/python
if [ ! -x "$python" ]; then
  python3 -m venv "$folder/venv"
  "$python" -m pip install --quiet torch tinygrad numpy pyopencl
fi
swift build -c release --product keel
rm -f "$folder"/*.json
files=()
turn() { # NAME COMMAND...: one's times in this round, or a line that says that it is missing
  local file=$folder/$1-$round.json
  echo "== $1, round $round of $rounds"
  shift
  if "$@" --filter "$filter" --json "$file"; then
    files+=("$file")
  else
    rm -f "$file"
    echo "left out"
  fi
}
for round in $(seq "$rounds"); do
  turn keel-opencl .build/release/keel bench --quick --device opencl \
    --roofline "$folder/roofline.svg"
  turn keel-cpu .build/release/keel bench --quick --device cpu
  # The first peer is the one that all others are compared with.
  turn pytorch "$python" Benchmarks/Peers/pytorch.py
  turn pytorch-default "$python" Benchmarks/Peers/pytorch.py --form default
  turn tinygrad "$python" Benchmarks/Peers/tinygrad_opencl.py
  turn clblast "$python" Benchmarks/Peers/clblast.py
done
python3 Benchmarks/Peers/compare.py "${files[@]}" | tee "$folder/ratios.md"
