// The cell of long short-term memory: what lies between two matrix products of a time step.
#include "vector_math.h"

/// One row; without a state before, what comes from it is 0.
KEEL_INLINE void keel_lstm_row(
    const float *product, const float *previous, float *gates, float *cell, float *before,
    float *y, float *state, size_t units, const bool has_state) {
  KEEL_VECTORISE
  for (size_t u = 0; u < units; ++u) {
    float zi = gates[u], zf = gates[units + u], zg = gates[2 * units + u];
    float zo = gates[3 * units + u];
    if (has_state) {
      zi += product[u];
      zf += product[units + u];
      zg += product[2 * units + u];
      zo += product[3 * units + u];
    }
    const float i = keel_sigmoid(zi), f = keel_sigmoid(zf);
    const float g = keel_tanh(zg), o = keel_sigmoid(zo);
    const float c = f * (has_state ? previous[u] : 0.0f) + i * g;
    const float h = o * keel_tanh(c);
    gates[u] = i;
    gates[units + u] = f;
    gates[2 * units + u] = g;
    gates[3 * units + u] = o;
    cell[u] = c;
    before[u] = has_state ? state[u] : 0.0f;
    y[u] = h;
    state[u] = h;
  }
}

KEEL_DISPATCH
void keel_lstm_cell(
    const struct keel_recurrent_step *step, const float *product, float *gates, float *cells,
    float *before, float *y, float *state, size_t begin, size_t end) {
  const size_t units = step->units;
  for (size_t r = begin; r < end; ++r) {
    const size_t row = r * step->steps + step->time, wide = 4 * units * row, narrow = units * row;
    const size_t earlier = units * (r * step->steps + step->previous);
    if (step->has_state) {
      keel_lstm_row(
          product + 4 * units * r, cells + earlier, gates + wide, cells + narrow, before + narrow,
          y + narrow, state + units * r, units, true);
    } else {
      keel_lstm_row(
          NULL, NULL, gates + wide, cells + narrow, before + narrow, y + narrow,
          state + units * r, units, false);
    }
  }
}

KEEL_INLINE void keel_lstm_gradient_row(
    const float *product, const float *gates, const float *cell, const float *previous,
    const float *dy, float *carried, float *dz, float *flow, float *dh, size_t units,
    const bool has_state, const bool has_later) {
  KEEL_VECTORISE
  for (size_t u = 0; u < units; ++u) {
    const float i = gates[u], f = gates[units + u];
    const float g = gates[2 * units + u], o = gates[3 * units + u];
    const float t = keel_tanh(cell[u]);
    const float state = has_later ? dy[u] + product[u] : dy[u];
    const float through = state * o * (1.0f - t * t);
    const float dc = has_later ? carried[u] + through : through;
    const float di = dc * g * (i * (1.0f - i));
    const float df = dc * (has_state ? previous[u] : 0.0f) * (f * (1.0f - f));
    const float dg = dc * i * (1.0f - g * g);
    const float d_out = state * t * (o * (1.0f - o));
    dz[u] = di;
    dz[units + u] = df;
    dz[2 * units + u] = dg;
    dz[3 * units + u] = d_out;
    flow[u] = di;
    flow[units + u] = df;
    flow[2 * units + u] = dg;
    flow[3 * units + u] = d_out;
    dh[u] = state;
    carried[u] = dc * f;
  }
}

KEEL_DISPATCH
void keel_lstm_cell_gradient(
    const struct keel_recurrent_step *step, float *product, const float *gates, const float *cells,
    const float *dy, float *carried, float *dz, float *flow, float *dh, size_t begin,
    size_t end) {
  const size_t units = step->units;
  for (size_t r = begin; r < end; ++r) {
    const size_t row = r * step->steps + step->time, wide = 4 * units * row, narrow = units * row;
    const size_t compact = units * r;
    const float *earlier = cells + units * (r * step->steps + step->previous);
    // Without an array for the states' gradient it goes where the product came from.
    float *hidden = dh ? dh + narrow : product + compact;
#define KEEL_ROW(has_state, has_later)                                                        \
  keel_lstm_gradient_row(                                                                     \
      product + compact, gates + wide, cells + narrow, (has_state) ? earlier : NULL,          \
      dy + narrow, carried + compact, dz + wide, flow + 4 * compact, hidden, units, has_state, \
      has_later)
    if (step->has_state && step->has_later) {
      KEEL_ROW(true, true);
    } else if (step->has_state) {
      KEEL_ROW(true, false);
    } else if (step->has_later) {
      KEEL_ROW(false, true);
    } else {
      KEEL_ROW(false, false);
    }
#undef KEEL_ROW
  }
}
