// What every source of this folder shares: dispatch by instruction set and rounding rules.
//
// Every loop gives the same bits with every instruction set: products and sums are rounded
// separately (contraction is off), a fused multiply-add is written as one, and reductions run over
// a fixed number of lanes.
#pragma once

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "CKeelLoops.h"

#pragma STDC FP_CONTRACT OFF
// The narrowest variant of a loop need not vectorise.
#pragma clang diagnostic ignored "-Wpass-failed"

#if defined(__x86_64__) && defined(__linux__)
#define KEEL_DISPATCH \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KEEL_DISPATCH
#endif

// Inlined into each variant, so that it is compiled for that instruction set.
#define KEEL_INLINE static inline __attribute__((always_inline))

// The loop's iterations are independent even where output and input are the same array.
#define KEEL_VECTORISE _Pragma("clang loop vectorize(assume_safety)")

typedef float keel_float8 __attribute__((ext_vector_type(8)));
typedef double keel_double8 __attribute__((ext_vector_type(8)));

// Vectors are handed on by pointer: by value they would change the calling convention.
KEEL_INLINE void keel_load8(const float *from, keel_double8 *to) {
  keel_float8 value;
  memcpy(&value, from, sizeof value);
  *to = __builtin_convertvector(value, keel_double8);
}

KEEL_INLINE double keel_fold4(const keel_double8 *lanes) {
  const keel_double8 v = (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

KEEL_INLINE size_t keel_smaller(size_t a, size_t b) { return a < b ? a : b; }
