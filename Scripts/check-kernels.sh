#!/usr/bin/env bash
# Compiles every kernel program alone with the toolchain's clang: syntax and warnings, no driver.
set -euo pipefail
cd "$(dirname "$0")/../Kernels/Programs"

# The clang that comes with Swift knows OpenCL C and its built-in functions.
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
[ -x "$clang" ] || clang=clang
failed=0

# compile PROGRAM OPTION...: with the preludes that the host would put in front of it.
compile() {
  local program=$1 preludes=(-include prelude.cl)
  shift
  ! grep -q keel_philox "$program" || preludes+=(-include prelude_random.cl)
  ! grep -q keel_stored "$program" || preludes+=(-include prelude_half.cl)
  ! grep -q keel_team_ "$program" || preludes+=(-include prelude_team.cl)
  ! grep -q keel_turn_ "$program" || preludes+=(-include prelude_turn.cl)
  ! grep -q keel_group_products "$program" || preludes+=(-include prelude_recurrent_groups.cl)
  ! grep -q keel_winograd_ "$program" || preludes+=(-include prelude_winograd.cl)
  ! grep -q keel_tile_multiply "$program" || preludes+=(-include prelude_tiles.cl)
  ! grep -q keel_step_ "$program" || preludes+=(-include prelude_step.cl)
  ! grep -q keel_recurrent_sigmoid "$program" || preludes+=(-include prelude_recurrent.cl)
  "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -Wall -Wextra -Werror \
    "${preludes[@]}" "$@" "$program"
}

for program in *.cl; do
  [[ "$program" = prelude*.cl ]] && continue
  compile "$program" -fsyntax-only -target spir64 || failed=1
  if grep -q keel_stored "$program"; then
    for half in 1 2; do
      compile "$program" -fsyntax-only -target spir64 -DKEEL_HALF=$half || failed=1
    done
  fi
  grep -q keel_tile_multiply "$program" || continue
  compile "$program" -fsyntax-only -target spir64 -DLEFT_INWARDS=0 -DRIGHT_INWARDS=1 || failed=1
  compile "$program" -fsyntax-only -target spir64 -DKEEL_PRODUCT=2 || failed=1
  compile "$program" -fsyntax-only -target nvptx64 -DKEEL_PRODUCT=1 || failed=1
done
exit "$failed"
