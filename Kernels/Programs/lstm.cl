// The cell of long short-term memory: what lies between two matrix products of a time step.
//
// A state has `rows` rows of `units` columns; gates have four times as many: i, f, g, o. A
// work-item takes `run` pieces, each a vector of KEEL_WIDTH units of one row.

static inline floats sigmoids(const floats z) { return 1.0f / (1.0f + exp(-z)); }

// lstm_cell — i, o, f = sigmoid of z_i, z_o, z_f and g = tanh(z_g), where z = x + recurrent;
// cell = f * previous + i * g; hidden = o * tanh(cell).
//
// Buffers    x, gates (may be x): rows x 4 units; recurrent: the same or null; cell, hidden: rows x
//            units; previous: the same or null. Null stands for 0.
// Work       one work-item per `run` pieces of KEEL_WIDTH units.
// Requires   recurrent and previous both null or neither; any local size.
// Numerics   exp and tanh as the device rounds them, one rounding for each other operation.
// Launched   Sources/KeelOpenCL/OpenCLLSTM.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        a step's nine arrays are read or written once; composed of elementwise operations they
//            would be some thirty passes.
__kernel void lstm_cell(
    __global const float *x,
    __global const float *recurrent,
    __global const float *previous,
    __global float *gates,
    __global float *cell,
    __global float *hidden,
    const uint pieces,
    const uint units,
    const uint run)
{
  const uint vectors = (units + KEEL_WIDTH - 1) / KEEL_WIDTH;
  const uint first = get_global_id(0) * run;
  for (uint p = first; p < min(first + run, pieces); ++p) {
    const size_t row = p / vectors;
    const uint u = p % vectors * KEEL_WIDTH;
    const size_t wide = row * 4 * units, narrow = row * units;
    floats z[4];
    for (uint k = 0; k < 4; ++k) {
      z[k] = keel_load_part(x + wide + k * units, u, units, 0.0f);
      if (recurrent) z[k] += keel_load_part(recurrent + wide + k * units, u, units, 0.0f);
    }
    floats before = (floats)(0.0f);
    if (previous) before = keel_load_part(previous + narrow, u, units, 0.0f);
    const floats i = sigmoids(z[0]), f = sigmoids(z[1]), g = tanh(z[2]), o = sigmoids(z[3]);
    const floats c = f * before + i * g;
    keel_store_part(i, gates + wide, u, units);
    keel_store_part(f, gates + wide + units, u, units);
    keel_store_part(g, gates + wide + 2 * units, u, units);
    keel_store_part(o, gates + wide + 3 * units, u, units);
    keel_store_part(c, cell + narrow, u, units);
    keel_store_part(o * tanh(c), hidden + narrow, u, units);
  }
}

// lstm_cell_gradient — with s = dy + dh, t = tanh(cell) and dc = carried + s * o * (1 - t * t):
// dz_i = dc * g * i * (1 - i), dz_f = dc * previous * f * (1 - f), dz_g = dc * i * (1 - g * g),
// dz_o = s * t * o * (1 - o), dcell = dc * f.
//
// Buffers    gates, dz: rows x 4 units; cell, dy, dcell: rows x units; previous, dh, carried: the
//            same or null, which stands for 0; dcell may be carried.
// Work       as lstm_cell.
// Requires   dh and carried both null or neither; any local size.
// Numerics   tanh as the device rounds it, one rounding for each other operation.
// Launched   Sources/KeelOpenCL/OpenCLLSTM.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        tanh(cell) is computed again instead of being kept for every step.
__kernel void lstm_cell_gradient(
    __global const float *gates,
    __global const float *cell,
    __global const float *previous,
    __global const float *dy,
    __global const float *dh,
    __global const float *carried,
    __global float *dz,
    __global float *dcell,
    const uint pieces,
    const uint units,
    const uint run)
{
  const uint vectors = (units + KEEL_WIDTH - 1) / KEEL_WIDTH;
  const uint first = get_global_id(0) * run;
  for (uint p = first; p < min(first + run, pieces); ++p) {
    const size_t row = p / vectors;
    const uint u = p % vectors * KEEL_WIDTH;
    const size_t wide = row * 4 * units, narrow = row * units;
    const floats i = keel_load_part(gates + wide, u, units, 0.0f);
    const floats f = keel_load_part(gates + wide + units, u, units, 0.0f);
    const floats g = keel_load_part(gates + wide + 2 * units, u, units, 0.0f);
    const floats o = keel_load_part(gates + wide + 3 * units, u, units, 0.0f);
    const floats t = tanh(keel_load_part(cell + narrow, u, units, 0.0f));
    floats before = (floats)(0.0f);
    if (previous) before = keel_load_part(previous + narrow, u, units, 0.0f);
    floats state = keel_load_part(dy + narrow, u, units, 0.0f);
    if (dh) state += keel_load_part(dh + narrow, u, units, 0.0f);
    floats dc = state * o * (1.0f - t * t);
    if (carried) dc = keel_load_part(carried + narrow, u, units, 0.0f) + dc;
    keel_store_part(dc * g * (i * (1.0f - i)), dz + wide, u, units);
    keel_store_part(dc * before * (f * (1.0f - f)), dz + wide + units, u, units);
    keel_store_part(dc * i * (1.0f - g * g), dz + wide + 2 * units, u, units);
    keel_store_part(state * t * (o * (1.0f - o)), dz + wide + 3 * units, u, units);
    keel_store_part(dc * f, dcell + narrow, u, units);
  }
}
