// The cell of the gated recurrent unit: what lies between two matrix products of a time step.
#include "vector_math.h"

/// One row; without a state before, what comes from it is 0.
KEEL_INLINE void keel_gru_row(
    const float *product, float *gates, float *products, float *before, float *y, float *state,
    size_t units, const bool has_state) {
  KEEL_VECTORISE
  for (size_t k = 0; k < units; ++k) {
    const float qr = has_state ? product[k] : 0.0f;
    const float qu = has_state ? product[units + k] : 0.0f;
    const float qn = has_state ? product[2 * units + k] : 0.0f;
    const float earlier = has_state ? state[k] : 0.0f;
    const float r = keel_sigmoid(gates[k] + qr);
    const float u = keel_sigmoid(gates[units + k] + qu);
    const float n = keel_tanh(gates[2 * units + k] + r * qn);
    const float h = (1.0f - u) * n + u * earlier;
    gates[k] = r;
    gates[units + k] = u;
    gates[2 * units + k] = n;
    products[k] = qn;
    before[k] = earlier;
    y[k] = h;
    state[k] = h;
  }
}

KEEL_DISPATCH
void keel_gru_cell(
    const struct keel_recurrent_step *step, const float *product, float *gates, float *products,
    float *before, float *y, float *state, size_t begin, size_t end) {
  const size_t units = step->units;
  for (size_t r = begin; r < end; ++r) {
    const size_t row = r * step->steps + step->time, wide = 3 * units * row, narrow = units * row;
#define KEEL_ROW(has_state)                                                                  \
  keel_gru_row(                                                                              \
      product + 3 * units * r, gates + wide, products + narrow, before + narrow, y + narrow, \
      state + units * r, units, has_state)
    if (step->has_state) {
      KEEL_ROW(true);
    } else {
      KEEL_ROW(false);
    }
#undef KEEL_ROW
  }
}

KEEL_INLINE void keel_gru_gradient_row(
    const float *product, const float *gates, const float *products, const float *before,
    const float *dy, float *carried, float *dz, float *dq, float *flow, float *dh, size_t units,
    const bool has_later) {
  KEEL_VECTORISE
  for (size_t k = 0; k < units; ++k) {
    const float r = gates[k], u = gates[units + k], n = gates[2 * units + k];
    const float whole = has_later ? dy[k] + product[k] + carried[k] : dy[k];
    const float dn = whole * (1.0f - u) * (1.0f - n * n);
    const float dr = dn * products[k] * (r * (1.0f - r));
    const float du = whole * (before[k] - n) * (u * (1.0f - u));
    const float dp = dn * r;
    dz[k] = dr;
    dz[units + k] = du;
    dz[2 * units + k] = dn;
    dq[k] = dr;
    dq[units + k] = du;
    dq[2 * units + k] = dp;
    flow[k] = dr;
    flow[units + k] = du;
    flow[2 * units + k] = dp;
    dh[k] = whole;
    carried[k] = whole * u;
  }
}

KEEL_DISPATCH
void keel_gru_cell_gradient(
    const struct keel_recurrent_step *step, float *product, const float *gates,
    const float *products, const float *before, const float *dy, float *carried, float *dz,
    float *dq, float *flow, float *dh, size_t begin, size_t end) {
  const size_t units = step->units;
  for (size_t r = begin; r < end; ++r) {
    const size_t row = r * step->steps + step->time, wide = 3 * units * row, narrow = units * row;
    const size_t compact = units * r;
    // Without an array for the states' gradient it goes where the product came from.
    float *hidden = dh ? dh + narrow : product + compact;
#define KEEL_ROW(has_later)                                                                    \
  keel_gru_gradient_row(                                                                       \
      product + compact, gates + wide, products + narrow, before + narrow, dy + narrow,        \
      carried + compact, dz + wide, dq + wide, flow + 3 * compact, hidden, units, has_later)
    if (step->has_later) {
      KEEL_ROW(true);
    } else {
      KEEL_ROW(false);
    }
#undef KEEL_ROW
  }
}
