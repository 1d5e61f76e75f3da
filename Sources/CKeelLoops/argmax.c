// The first of the largest elements along an axis; the first NaN if there is one.
#include "loops.h"

KEEL_INLINE bool wins(float challenger, float best) {
  return challenger > best || (challenger != challenger && best == best);
}

KEEL_INLINE void argmax_of_columns(
    const float *x, size_t extent, size_t stride, size_t columns, int32_t *out) {
  enum { widest = 128 };
  float best[widest];
  int32_t position[widest];
  for (size_t c = 0; c < columns; ++c) {
    best[c] = x[c];
    position[c] = 0;
  }
  for (size_t a = 1; a < extent; ++a) {
    const float *row = x + a * stride;
    for (size_t c = 0; c < columns; ++c) {
      const bool won = wins(row[c], best[c]);
      best[c] = won ? row[c] : best[c];
      position[c] = won ? (int32_t)a : position[c];
    }
  }
  for (size_t c = 0; c < columns; ++c) out[c] = position[c];
}

KEEL_INLINE int32_t argmax_of_row(const float *x, size_t extent) {
  size_t best = 0;
  for (size_t a = 1; a < extent; ++a) {
    if (wins(x[a], x[best])) best = a;
  }
  return (int32_t)best;
}

KEEL_DISPATCH
void keel_argmax(
    const float *x, size_t outer_begin, size_t outer_end, size_t extent, size_t inner,
    int32_t *out) {
  for (size_t o = outer_begin; o < outer_end; ++o) {
    const float *from = x + o * extent * inner;
    if (inner == 1) {
      out[o] = argmax_of_row(from, extent);
      continue;
    }
    for (size_t c = 0; c < inner; c += 128) {
      argmax_of_columns(
          from + c, extent, inner, keel_smaller(128, inner - c), out + o * inner + c);
    }
  }
}
