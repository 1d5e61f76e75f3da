// The cell of long short-term memory: what lies between two matrix products of a time step.
#include "vector_math.h"

/// One row; without a state before, what comes from it is 0.
KEEL_INLINE void keel_lstm_row(
    const float *x, const float *recurrent, const float *previous, float *gates, float *cell,
    float *hidden, size_t units, const bool has_state) {
  KEEL_VECTORISE
  for (size_t u = 0; u < units; ++u) {
    float zi = x[u], zf = x[units + u], zg = x[2 * units + u], zo = x[3 * units + u];
    if (has_state) {
      zi += recurrent[u];
      zf += recurrent[units + u];
      zg += recurrent[2 * units + u];
      zo += recurrent[3 * units + u];
    }
    const float i = keel_sigmoid(zi), f = keel_sigmoid(zf);
    const float g = keel_tanh(zg), o = keel_sigmoid(zo);
    const float c = f * (has_state ? previous[u] : 0.0f) + i * g;
    gates[u] = i;
    gates[units + u] = f;
    gates[2 * units + u] = g;
    gates[3 * units + u] = o;
    cell[u] = c;
    hidden[u] = o * keel_tanh(c);
  }
}

KEEL_DISPATCH
void keel_lstm_cell(
    const float *x, const float *recurrent, const float *previous, float *gates, float *cell,
    float *hidden, size_t units, size_t begin, size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const size_t wide = 4 * units * r, narrow = units * r;
    if (recurrent) {
      keel_lstm_row(
          x + wide, recurrent + wide, previous + narrow, gates + wide, cell + narrow,
          hidden + narrow, units, true);
    } else {
      keel_lstm_row(
          x + wide, NULL, NULL, gates + wide, cell + narrow, hidden + narrow, units, false);
    }
  }
}

KEEL_INLINE void keel_lstm_gradient_row(
    const float *gates, const float *cell, const float *previous, const float *dy,
    const float *dh, const float *carried, float *dz, float *dcell, size_t units,
    const bool has_state, const bool has_later) {
  KEEL_VECTORISE
  for (size_t u = 0; u < units; ++u) {
    const float i = gates[u], f = gates[units + u];
    const float g = gates[2 * units + u], o = gates[3 * units + u];
    const float t = keel_tanh(cell[u]);
    const float state = has_later ? dy[u] + dh[u] : dy[u];
    const float through = state * o * (1.0f - t * t);
    const float dc = has_later ? carried[u] + through : through;
    dz[u] = dc * g * (i * (1.0f - i));
    dz[units + u] = dc * (has_state ? previous[u] : 0.0f) * (f * (1.0f - f));
    dz[2 * units + u] = dc * i * (1.0f - g * g);
    dz[3 * units + u] = state * t * (o * (1.0f - o));
    dcell[u] = dc * f;
  }
}

KEEL_DISPATCH
void keel_lstm_cell_gradient(
    const float *gates, const float *cell, const float *previous, const float *dy,
    const float *dh, const float *carried, float *dz, float *dcell, size_t units, size_t begin,
    size_t end) {
  for (size_t r = begin; r < end; ++r) {
    const size_t wide = 4 * units * r, narrow = units * r;
#define KEEL_ROW(has_state, has_later)                                                        \
  keel_lstm_gradient_row(                                                                     \
      gates + wide, cell + narrow, (has_state) ? previous + narrow : NULL, dy + narrow,       \
      (has_later) ? dh + narrow : NULL, (has_later) ? carried + narrow : NULL, dz + wide,     \
      dcell + narrow, units, has_state, has_later)
    if (previous && dh) {
      KEEL_ROW(true, true);
    } else if (previous) {
      KEEL_ROW(true, false);
    } else if (dh) {
      KEEL_ROW(false, true);
    } else {
      KEEL_ROW(false, false);
    }
#undef KEEL_ROW
  }
}
