#!/usr/bin/env bash
# Compiles the GPU-class tile kernels to PTX and says how they load and what registers they take:
# no GPU is needed. With a clang that knows NVIDIA's targets; registers with its ptxas as well
# (pip install nvidia-cuda-nvcc-cu12), named by PTXAS or found on the path. Fails if a kernel loads
# or stores no vectors, or keeps sums in memory. A driver's own compiler may do otherwise.
#
# Usage: Scripts/ptx.sh [architecture]        (that ptxas assembles for; default: sm_80)
set -euo pipefail
cd "$(dirname "$0")/../Kernels/Programs"
architecture=${1:-sm_80}
clang=${CLANG:-clang}
for one in "$clang" clang-{20,19,18,17,16,15,14}; do
  if command -v "$one" >/dev/null && "$one" --print-targets | grep -q nvptx64; then
    clang=$one found=1
    break
  fi
done
[ "${found:-}" ] || { echo "ptx: no clang with the target nvptx64; skipped"; exit 0; }
ptxas=${PTXAS:-$(command -v ptxas || true)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The built-in functions of the kernels as instructions; only their registers matter here.
cat >"$scratch/builtins.h" <<'END'
#define fma(a, b, c) __builtin_fmaf(a, b, c)
#define barrier(flags) __nvvm_bar_sync(0)
#define get_local_id(i) ((uint)__nvvm_read_ptx_sreg_tid_x())
#define get_group_id(i) \
  ((uint)((i) == 0 ? __nvvm_read_ptx_sreg_ctaid_x() \
              : (i) == 1 ? __nvvm_read_ptx_sreg_ctaid_y() : __nvvm_read_ptx_sreg_ctaid_z()))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define exp(x) __nvvm_ex2_approx_f(x)
#define expm1(x) __nvvm_ex2_approx_f(x)
#define tanh(x) __nvvm_ex2_approx_f(x)
END

# report PROGRAM TILE_ROWS TILE_COLUMNS LANE_ROWS LANE_COLUMNS TILE_INNER LEFT RIGHT PRODUCT
report() {
  local ptx=$scratch/$1.ptx kernel=$1_tiles line
  "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -target nvptx64 \
    -Xclang -target-cpu -Xclang sm_80 -Xclang -target-feature -Xclang +ptx70 -O3 -S \
    -w -DTILE_ROWS="$2" -DTILE_COLUMNS="$3" -DLANE_ROWS="$4" -DLANE_COLUMNS="$5" -DTILE_INNER="$6" \
    -DLEFT_INWARDS="$7" -DRIGHT_INWARDS="$8" -DKEEL_PRODUCT="$9" -include prelude.cl \
    -include "$scratch/builtins.h" -include prelude_tiles.cl "$1.cl" -o "$ptx"
  awk "/entry $kernel/ { inside = 1 } inside { print } /^}/ { if (inside) exit }" "$ptx" \
    >"$scratch/body"
  count() { grep -cE "$1" "$scratch/body" || true; }
  line=$(printf '%-26s %3d x %-3d %2d x %-2d %2d %d%d %s' "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" "$9")
  line+=": ld.global.v4 $(count 'ld.global(.nc)?.v4'), ld.shared.v4 $(count 'ld.shared.v4')"
  line+=", st.shared.v4 $(count 'st.shared.v4'), fma $(count 'fma.rn.f32'), mma $(count 'mma.sync')"
  line+=", local memory $(count '(ld|st).local')"
  if [ -n "$ptxas" ]; then
    line+=", $("$ptxas" -arch="$architecture" -c -v "$ptx" -o "$scratch/cubin" 2>&1 |
      grep -A3 "entry.*$kernel" | grep -oE '[0-9]+ bytes spill stores|Used [0-9]+ registers' |
      tr '\n' ' ')"
  fi
  echo "$line"
  if [ "$(count 'ld.global(.nc)?.v4')" = 0 ] || [ "$(count '(ld|st).local')" != 0 ]; then failed=1; fi
  if [ "$9" = 0 ] && [ "$(count 'ld.shared.v4')" = 0 ]; then failed=1; fi
}

failed=0
echo "kernel, tile, work-items, steps, operands along the inner axis, product (1: tensor cores)"
for product in 0 1; do
  for tile in "128 128 16 16 8" "128 64 16 16 16" "64 64 8 16 16" "32 64 8 8 16"; do
    for form in "1 0" "0 0" "1 1"; do report matmul_local $tile $form $product; done
    for form in "1 0" "1 1"; do report convolution2d_local $tile $form $product; done
    report convolution2d_filter_local $tile 0 0 $product
  done
done
exit "$failed"
