// Long short-term memory for GPUs: all time steps in one launch where the weight is small, else one
// matrix product and one cell per time step.
//
// Sequences are batch x steps x columns, row-major. Order of gates: i, f, g, o. CPU-class devices
// take lstm_tiles.cl.

// One unit from its four z: cell = f * cell_before + i * g; returns hidden = o * tanh(cell).
// `row` and `row_before` count rows of all time steps; without a state before, it is 0.
static inline float open_cell(
    const float z[4], const bool has_state, const size_t row, const size_t row_before,
    const uint unit, const uint units, __global float *gates, __global float *cells)
{
  const float i = sigmoid(z[0]), f = sigmoid(z[1]), g = tanh(z[2]), o = sigmoid(z[3]);
  const float cell = f * (has_state ? cells[row_before * units + unit] : 0.0f) + i * g;
  __global float *opened = gates + row * 4 * units + unit;
  opened[0] = i;
  opened[units] = f;
  opened[2 * units] = g;
  opened[3 * units] = o;
  cells[row * units + unit] = cell;
  return o * tanh(cell);
}

// One unit back from the gradient of its hidden state; returns what goes on to the cell before.
static inline float pull_cell(
    const float state, const float carried, const bool has_state, const size_t row,
    const size_t row_before, const uint unit, const uint units, __global const float *gates,
    __global const float *cells, float flow[4])
{
  __global const float *opened = gates + row * 4 * units + unit;
  const float i = opened[0], f = opened[units], g = opened[2 * units], o = opened[3 * units];
  const float h = tanh(cells[row * units + unit]);
  const float dc = carried + state * o * (1.0f - h * h);
  flow[0] = dc * g * (i * (1.0f - i));
  flow[1] = dc * (has_state ? cells[row_before * units + unit] : 0.0f) * (f * (1.0f - f));
  flow[2] = dc * i * (1.0f - g * g);
  flow[3] = state * h * (o * (1.0f - o));
  return dc * f;
}

// lstm_steps — with z[t] = gates[t] + y[t'] U, t' the step before: i, f, o = sigmoid of z_i, z_f,
// z_o, g = tanh(z_g), cells[t] = f * cells[t'] + i * g, y[t] = o * tanh(cells[t]).
//
// Buffers    u: units x 4 units; gates: batch x steps x 4 units, what comes from the input,
//            receives i, f, g, o; cells, before (y[t'], 0 at the first step), y: batch x steps x
//            units.
// Work       one group per RECURRENT_ROWS rows of the batch; a work-item takes units.
// Requires   any local size of one axis.
// Numerics   y U: one chain of fma over units; exp and tanh as the device rounds them.
// Launched   Sources/KeelOpenCL/OpenCLLSTM.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        two launches per step cost more than a small step's arithmetic. Rows of the batch do
//            not know of each other, so a barrier of their group is all that a step needs.
__kernel void lstm_steps(
    __global const float *u,
    __global float *gates,
    __global float *cells,
    __global float *before,
    __global float *y,
    const uint batch,
    const uint steps,
    const uint units,
    const uint is_reversed)
{
  __local float state[RECURRENT_ROWS * RECURRENT_CHUNK];
  const uint lane = get_local_id(0), lanes = get_local_size(0);
  const uint first = get_group_id(0) * RECURRENT_ROWS;
  const uint used = min((uint)RECURRENT_ROWS, batch - first);
  for (uint s = 0; s < steps; ++s) {
    const uint time = is_reversed ? steps - 1 - s : s;
    const uint previous = is_reversed ? time + 1 : time - 1;
    for (uint base = 0; base < units; base += lanes) {
      const uint unit = base + lane;
      float sum[RECURRENT_ROWS * 4];
      keel_group_products(
          sum, 4, y + ((size_t)first * steps + previous) * units, (size_t)steps * units, used, u,
          units, unit, s > 0 ? units : 0, state);
      for (uint r = 0; unit < units && r < used; ++r) {
        const size_t row = (size_t)(first + r) * steps + time;
        const size_t row_before = (size_t)(first + r) * steps + previous;
        float z[4];
        __global const float *arrived = gates + row * 4 * units + unit;
        for (uint g = 0; g < 4; ++g) z[g] = arrived[g * units] + sum[r * 4 + g];
        before[row * units + unit] = s > 0 ? y[row_before * units + unit] : 0.0f;
        y[row * units + unit] =
            open_cell(z, s > 0, row, row_before, unit, units, gates, cells);
      }
    }
  }
}

// lstm_steps_gradient — with t" the step after, dh[t] = dy[t] + dz[t"] Uᵀ, h = tanh(cells[t]) and
// dc[t] = dc[t"] * f[t"] + dh * o * (1 - h * h): dz_i = dc * g * i * (1 - i),
// dz_f = dc * cells[t'] * f * (1 - f), dz_g = dc * i * (1 - g * g), dz_o = dh * h * o * (1 - o).
//
// Buffers    u: the weight transposed, 4 units x units; gates, dz: batch x steps x 4 units; cells,
//            dy, dh: batch x steps x units, dh or null; carried: batch x units, for dc * f of a
//            step.
// Work       as lstm_steps.
// Requires   any local size of one axis.
// Numerics   dz Uᵀ: one chain of fma over 4 units; tanh as the device rounds it.
// Launched   Sources/KeelOpenCL/OpenCLLSTM.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        as lstm_steps; tanh(cells) is computed again instead of being kept for every step.
__kernel void lstm_steps_gradient(
    __global const float *u,
    __global const float *gates,
    __global const float *cells,
    __global const float *dy,
    __global float *carried,
    __global float *dz,
    __global float *dh,
    const uint batch,
    const uint steps,
    const uint units,
    const uint is_reversed)
{
  __local float flow[RECURRENT_ROWS * RECURRENT_CHUNK];
  const uint lane = get_local_id(0), lanes = get_local_size(0);
  const uint first = get_group_id(0) * RECURRENT_ROWS;
  const uint used = min((uint)RECURRENT_ROWS, batch - first);
  for (uint s = steps; s-- > 0;) {
    const uint time = is_reversed ? steps - 1 - s : s;
    const uint previous = is_reversed ? time + 1 : time - 1;
    const uint later = is_reversed ? time - 1 : time + 1;
    const bool has_later = s + 1 < steps;
    for (uint base = 0; base < units; base += lanes) {
      const uint unit = base + lane;
      float sum[RECURRENT_ROWS];
      keel_group_products(
          sum, 1, dz + ((size_t)first * steps + later) * 4 * units, (size_t)steps * 4 * units, used,
          u, units, unit, has_later ? 4 * units : 0, flow);
      for (uint r = 0; unit < units && r < used; ++r) {
        const size_t row = (size_t)(first + r) * steps + time;
        const size_t row_before = (size_t)(first + r) * steps + previous;
        __global float *carry = carried + (size_t)(first + r) * units + unit;
        const float arrived = dy[row * units + unit];
        const float whole = has_later ? arrived + sum[r] : arrived;
        float parts[4];
        *carry = pull_cell(
            whole, has_later ? *carry : 0.0f, s > 0, row, row_before, unit, units, gates, cells,
            parts);
        for (uint g = 0; g < 4; ++g) dz[row * 4 * units + g * units + unit] = parts[g];
        if (dh) dh[row * units + unit] = whole;
      }
    }
  }
}

// lstm_cell — one step of lstm_steps, y[t'] U given.
//
// Buffers    product: batch x 4 units, y[t'] U; state: batch x units, y[t'], receives y[t]; the
//            others: as lstm_steps.
// Work       one work-item per unit of each row of the batch.
// Requires   without has_state, product and state are not read; any local size.
// Numerics   exp and tanh as the device rounds them, one rounding for each other operation.
// Launched   Sources/KeelOpenCL/OpenCLLSTM.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        a large weight wants the matrix product of all rows; a step's arrays are then read or
//            written once; composed of elementwise operations they would be some thirty passes.
__kernel void lstm_cell(
    __global const float *product,
    __global float *gates,
    __global float *cells,
    __global float *before,
    __global float *y,
    __global float *state,
    const uint batch,
    const uint steps,
    const uint units,
    const uint time,
    const uint previous,
    const uint has_state)
{
  const size_t place = get_global_id(0);
  if (place >= (size_t)batch * units) return;
  const size_t row = place / units * steps + time;
  const uint unit = place % units;
  float z[4];
  for (uint g = 0; g < 4; ++g) {
    z[g] = gates[row * 4 * units + g * units + unit];
    if (has_state) z[g] += product[place / units * 4 * units + g * units + unit];
  }
  before[row * units + unit] = has_state ? state[place] : 0.0f;
  const float hidden = open_cell(
      z, has_state, row, place / units * steps + previous, unit, units, gates, cells);
  y[row * units + unit] = hidden;
  state[place] = hidden;
}

// lstm_cell_gradient — one step of lstm_steps_gradient, dz[t"] Uᵀ given.
//
// Buffers    product: batch x units, dz[t"] Uᵀ; flow: batch x 4 units, receives dz[t]; the others:
//            as lstm_steps_gradient.
// Work       as lstm_cell.
// Requires   without has_later, product and carried are not read; any local size.
// Numerics   tanh as the device rounds it, one rounding for each other operation.
// Launched   Sources/KeelOpenCL/OpenCLLSTM.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        as lstm_cell.
__kernel void lstm_cell_gradient(
    __global const float *product,
    __global const float *gates,
    __global const float *cells,
    __global const float *dy,
    __global float *carried,
    __global float *dz,
    __global float *flow,
    __global float *dh,
    const uint batch,
    const uint steps,
    const uint units,
    const uint time,
    const uint previous,
    const uint has_state,
    const uint has_later)
{
  const size_t place = get_global_id(0);
  if (place >= (size_t)batch * units) return;
  const size_t row = place / units * steps + time;
  const uint unit = place % units;
  const float arrived = dy[row * units + unit];
  const float whole = has_later ? arrived + product[place] : arrived;
  float parts[4];
  carried[place] = pull_cell(
      whole, has_later ? carried[place] : 0.0f, has_state, row,
      place / units * steps + previous, unit, units, gates, cells, parts);
  for (uint g = 0; g < 4; ++g) {
    dz[row * 4 * units + g * units + unit] = parts[g];
    flow[place / units * 4 * units + g * units + unit] = parts[g];
  }
  if (dh) dh[row * units + unit] = whole;
}
