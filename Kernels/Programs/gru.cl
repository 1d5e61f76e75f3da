// The gated recurrent unit over whole sequences for GPUs: all time steps in one launch.
//
// Sequences are batch x steps x columns, row-major. Order of gates: r, u, n. CPU-class devices
// take gru_tiles.cl.

// gru_steps — with z[t] = gates[t] and q[t] = y[t'] V, t' the step before:
// r, u = sigmoid of z_r + q_r, z_u + q_u, n = tanh(z_n + r * q_n),
// y[t] = (1 - u) * n + u * y[t'].
//
// Buffers    v: units x 3 units; gates: batch x steps x 3 units, what comes from the input,
//            receives r, u, n; products (q_n), before (y[t'], 0 at the first step), y: batch x
//            steps x units.
// Work       one group per RECURRENT_ROWS rows of the batch; a work-item takes units.
// Requires   any local size of one axis.
// Numerics   q: one chain of fma over units; exp and tanh as the device rounds them.
// Launched   Sources/KeelOpenCL/OpenCLGRU.swift
// Checked    Sources/KeelCases/GRUCases.swift
// Why        as lstm_steps: a barrier of the group is all that a step needs.
__kernel void gru_steps(
    __global const float *v,
    __global float *gates,
    __global float *products,
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
      float sum[RECURRENT_ROWS * 3];
      keel_group_products(
          sum, 3, y + ((size_t)first * steps + previous) * units, (size_t)steps * units, used, v,
          units, unit, s > 0 ? units : 0, state);
      for (uint k = 0; unit < units && k < used; ++k) {
        const size_t row = (size_t)(first + k) * steps + time;
        __global float *opened = gates + row * 3 * units + unit;
        const float hidden =
            s > 0 ? y[((size_t)(first + k) * steps + previous) * units + unit] : 0.0f;
        const float r = sigmoid(opened[0] + sum[k * 3 + 0]);
        const float u = sigmoid(opened[units] + sum[k * 3 + 1]);
        const float n = tanh(opened[2 * units] + r * sum[k * 3 + 2]);
        opened[0] = r;
        opened[units] = u;
        opened[2 * units] = n;
        products[row * units + unit] = sum[k * 3 + 2];
        before[row * units + unit] = hidden;
        y[row * units + unit] = (1.0f - u) * n + u * hidden;
      }
    }
  }
}

// gru_steps_gradient — with t" the step after, dh[t] = dy[t] + dq[t"] Vᵀ + dh[t"] * u[t"]:
// dz_n = dh * (1 - u) * (1 - n * n), dq_n = dz_n * r, dz_r = dq_r = dz_n * q_n * r * (1 - r),
// dz_u = dq_u = dh * (before - n) * u * (1 - u).
//
// Buffers    v: the weight transposed, 3 units x units; gates, dz, dq: batch x steps x 3 units;
//            products, before, dy, dh: batch x steps x units, dh or null; carried: batch x units,
//            for dh * u of a step.
// Work       as gru_steps.
// Requires   any local size of one axis.
// Numerics   dq Vᵀ: one chain of fma over 3 units; one rounding for each other operation.
// Launched   Sources/KeelOpenCL/OpenCLGRU.swift
// Checked    Sources/KeelCases/GRUCases.swift
// Why        as gru_steps.
__kernel void gru_steps_gradient(
    __global const float *v,
    __global const float *gates,
    __global const float *products,
    __global const float *before,
    __global const float *dy,
    __global float *carried,
    __global float *dz,
    __global float *dq,
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
    const uint later = is_reversed ? time - 1 : time + 1;
    const bool has_later = s + 1 < steps;
    for (uint base = 0; base < units; base += lanes) {
      const uint unit = base + lane;
      float sum[RECURRENT_ROWS];
      keel_group_products(
          sum, 1, dq + ((size_t)first * steps + later) * 3 * units, (size_t)steps * 3 * units, used,
          v, units, unit, has_later ? 3 * units : 0, flow);
      for (uint k = 0; unit < units && k < used; ++k) {
        const size_t row = (size_t)(first + k) * steps + time;
        const size_t place = row * units + unit, wide = row * 3 * units + unit;
        __global float *carry = carried + (size_t)(first + k) * units + unit;
        const float r = gates[wide], u = gates[wide + units], n = gates[wide + 2 * units];
        const float whole = has_later ? dy[place] + sum[k] + *carry : dy[place];
        const float dn = whole * (1.0f - u) * (1.0f - n * n);
        const float dr = dn * products[place] * (r * (1.0f - r));
        const float du = whole * (before[place] - n) * (u * (1.0f - u));
        dz[wide] = dr;
        dz[wide + units] = du;
        dz[wide + 2 * units] = dn;
        dq[wide] = dr;
        dq[wide + units] = du;
        dq[wide + 2 * units] = dn * r;
        *carry = whole * u;
        if (dh) dh[place] = whole;
      }
    }
  }
}
