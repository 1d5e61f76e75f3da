#!/usr/bin/env bash
# Compiles every kernel program alone with the toolchain's clang: syntax and warnings, no driver.
set -euo pipefail
cd "$(dirname "$0")/../Kernels/Programs"

# The clang that comes with Swift knows OpenCL C and its built-in functions.
clang=$(dirname "$(readlink -f "$(command -v swift)")")/clang
[ -x "$clang" ] || clang=clang
failed=0
for program in *.cl; do
  [[ "$program" = prelude*.cl ]] && continue
  "$clang" -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -fsyntax-only -Wall -Wextra \
    -Werror -target spir64 -include prelude.cl -include prelude_random.cl \
    "$program" || failed=1
done
exit "$failed"
