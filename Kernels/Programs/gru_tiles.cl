// The gated recurrent unit over whole sequences for CPU-class devices: all steps in one launch.
//
// As lstm_tiles.cl: a work-item takes a few rows through all of time, the gates of sixteen units
// side by side in registers. GPUs take gru.cl.
//
// Sequences are batch x steps x columns, row-major. Order of gates: r, u, n.

// Four sums: r and u of both products, n of the input's, n of the state's.
KEEL_RECURRENT_SUMS(add_input, 4, 3, 2)
KEEL_RECURRENT_SUMS(add_state, 4, 3, 3)
KEEL_RECURRENT_SUMS(
    add_flow, TILE_VECTORS, TILE_VECTORS, TILE_VECTORS - 1)

// gru_tiles — with z[t] = bias + x[t] W and q[t] = y[t'] V, t' the step before:
// r, u = sigmoid of z_r + q_r, z_u + q_u, n = tanh(z_n + r * q_n),
// y[t] = (1 - u) * n + u * y[t'].
//
// Buffers    x: batch x steps x features; bias: 3 units or null; w, v: the two weights in panels,
//            3 x ceil(units / 16) x rows of the weight x 16, padded with 0; gates: batch x steps x
//            3 units; products (q_n), before (y[t'], 0 at the first step), y: batch x steps x
//            units.
// Work       one work-item per `tiles` tiles of TILE_ROWS rows of the batch.
// Requires   local size 1; the work-items cover the batch.
// Numerics   sums: one chain of fma over features, then units; sigmoid and tanh to 4 units in the
//            last place; a NaN stays in its row. The bits do not depend on TILE_ROWS or `tiles`.
// Launched   Sources/KeelOpenCL/OpenCLGRU.swift
// Checked    Sources/KeelCases/GRUCases.swift
// Why        of elementwise operations, a step would be two launches for a product and five more.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gru_tiles(
    __global const float *restrict x,
    __global const float *restrict bias,
    __global const float *restrict w,
    __global const float *restrict v,
    __global float *restrict gates,
    __global float *restrict products,
    __global float *restrict before,
    __global float *restrict y,
    const uint batch,
    const uint steps,
    const uint features,
    const uint units,
    const uint is_reversed,
    const uint tiles)
{
  const uint begin = get_global_id(0) * tiles * TILE_ROWS;
  const uint end = min(begin + tiles * TILE_ROWS, batch);
  const uint panels = (units + 15) / 16;
  for (uint s = 0; s < steps; ++s) {
    const uint time = is_reversed ? steps - 1 - s : s;
    const uint previous = is_reversed ? time + 1 : time - 1;
    for (uint panel = 0; panel < panels; ++panel) {
      const uint unit = panel * 16;
      for (uint first = begin; first < end; first += TILE_ROWS) {
        const uint used = min((uint)TILE_ROWS, end - first);
        const size_t top = (size_t)first * steps;
        float16 sum[TILE_ROWS][4];
#pragma unroll
        for (uint g = 0; g < 4; ++g) {
          const float16 shift = bias && g < 3
              ? keel_load_part(bias + g * units, unit, units, 0.0f) : (float16)(0.0f);
#pragma unroll
          for (uint r = 0; r < TILE_ROWS; ++r) sum[r][g] = shift;
        }
        // As in lstm_tiles.
#pragma unroll
        for (uint r = 0; r < TILE_ROWS; ++r) {
          const size_t row = top + (size_t)min(r, used - 1) * steps + time;
#pragma unroll
          for (uint g = 0; g < 3; ++g) keel_fetch(gates + (row * 3 + g) * units + unit);
          keel_fetch(products + row * units + unit);
          keel_fetch(before + row * units + unit);
          keel_fetch(y + row * units + unit);
        }
        add_input(
            sum, x + (top + time) * features, (size_t)steps * features, used,
            w + (size_t)unit * features, (size_t)panels * 16 * features, 16, features);
        if (s > 0) {
          add_state(
              sum, y + (top + previous) * units, (size_t)steps * units, used,
              v + (size_t)unit * units, (size_t)panels * 16 * units, 16, units);
        }
        float16 tile[TILE_ROWS * 4];
        KEEL_RECURRENT_KEEP(tile, sum, 4);
#pragma unroll 1
        for (uint row_of_tile = 0; row_of_tile < used; ++row_of_tile) {
          const size_t row = top + (size_t)row_of_tile * steps + time;
          const float16 *z = tile + row_of_tile * 4;
          __global float *opened = gates + row * 3 * units;
          const float16 r = keel_recurrent_sigmoid(z[0]);
          const float16 u = keel_recurrent_sigmoid(z[1]);
          const float16 n = keel_recurrent_tanh(z[2] + r * z[3]);
          float16 state = (float16)(0.0f);
          if (s > 0) {
            state = keel_load_part(
                y + (top + (size_t)row_of_tile * steps + previous) * units, unit, units, 0.0f);
          }
          keel_store_part(r, opened, unit, units);
          keel_store_part(u, opened + units, unit, units);
          keel_store_part(n, opened + 2 * units, unit, units);
          keel_store_part(z[3], products + row * units, unit, units);
          keel_store_part(state, before + row * units, unit, units);
          keel_store_part((1.0f - u) * n + u * state, y + row * units, unit, units);
        }
      }
    }
  }
}

// gru_tiles_gradient — with t" the step after, dh[t] = dy[t] + dq[t"] Vᵀ + dh[t"] * u[t"]:
// dz_n = dh * (1 - u) * (1 - n * n), dq_n = dz_n * r, dz_r = dq_r = dz_n * q_n * r * (1 - r),
// dz_u = dq_u = dh * (before - n) * u * (1 - u).
//
// Buffers    gates, dz, dq: batch x steps x 3 units; products, before, dy, dh: batch x steps x
//            units, dh or null; v: the weight in panels, ceil(units / (16 TILE_VECTORS)) x 3 units
//            x 16 TILE_VECTORS, padded with 0; carried: batch x units, for dh * u of a step.
// Work       as gru_tiles.
// Requires   local size 1; the work-items cover the batch.
// Numerics   dq Vᵀ: one chain of fma over 3 units; one rounding for each other operation; a NaN
//            stays in its row.
// Launched   Sources/KeelOpenCL/OpenCLGRU.swift
// Checked    Sources/KeelCases/GRUCases.swift
// Why        as gru_tiles.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void gru_tiles_gradient(
    __global const float *restrict gates,
    __global const float *restrict products,
    __global const float *restrict before,
    __global const float *restrict dy,
    __global const float *restrict v,
    __global float *restrict carried,
    __global float *restrict dz,
    __global float *restrict dq,
    __global float *restrict dh,
    const uint batch,
    const uint steps,
    const uint units,
    const uint is_reversed,
    const uint tiles)
{
  const uint begin = get_global_id(0) * tiles * TILE_ROWS;
  const uint end = min(begin + tiles * TILE_ROWS, batch);
  const uint width = 16 * TILE_VECTORS;
  const uint inner = 3 * units;
  for (uint s = steps; s-- > 0;) {
    const uint time = is_reversed ? steps - 1 - s : s;
    const uint later = is_reversed ? time - 1 : time + 1;
    for (uint start = 0; start < units; start += width) {
      for (uint first = begin; first < end; first += TILE_ROWS) {
        const uint used = min((uint)TILE_ROWS, end - first);
        const size_t top = (size_t)first * steps;
        float16 sum[TILE_ROWS][TILE_VECTORS];
#pragma unroll
        for (uint r = 0; r < TILE_ROWS; ++r) {
#pragma unroll
          for (uint k = 0; k < TILE_VECTORS; ++k) sum[r][k] = (float16)(0.0f);
        }
        // As in lstm_tiles_gradient.
        const uint shares = 3 * TILE_VECTORS;
        const uint share = (inner + shares - 1) / shares;
        for (uint i = 0; i < shares; ++i) {
          const uint unit = start + i / 3 * 16;
#pragma unroll
          for (uint r = 0; r < TILE_ROWS; ++r) {
            const size_t row = top + (size_t)min(r, used - 1) * steps + time;
            keel_fetch(gates + row * inner + i % 3 * units + unit);
            keel_fetch(dz + row * inner + i % 3 * units + unit);
            keel_fetch(dq + row * inner + i % 3 * units + unit);
            if (i % 3 == 0) {
              keel_fetch(products + row * units + unit);
              keel_fetch(before + row * units + unit);
              keel_fetch(dy + row * units + unit);
            }
          }
          const uint k = min(i * share, inner);
          if (s + 1 < steps) {
            add_flow(
                sum, dq + (top + later) * inner + k, (size_t)steps * inner, used,
                v + (size_t)start * inner + k * width, 16, width, min(share, inner - k));
          }
        }
        float16 tile[TILE_ROWS * TILE_VECTORS];
        KEEL_RECURRENT_KEEP(tile, sum, TILE_VECTORS);
        const uint vectors = min((uint)TILE_VECTORS, (units - start + 15) / 16);
#pragma unroll 1
        for (uint place = 0; place < used * vectors; ++place) {
          const uint row_of_tile = place / vectors;
          const uint vector = place % vectors;
          const uint unit = start + 16 * vector;
          const size_t row = top + (size_t)row_of_tile * steps + time;
          __global const float *opened = gates + row * inner;
          __global float *to_z = dz + row * inner;
          __global float *to_q = dq + row * inner;
          __global float *carry = carried + (size_t)(first + row_of_tile) * units;
          const float16 r = keel_load_part(opened, unit, units, 0.0f);
          const float16 u = keel_load_part(opened + units, unit, units, 0.0f);
          const float16 n = keel_load_part(opened + 2 * units, unit, units, 0.0f);
          const float16 q = keel_load_part(products + row * units, unit, units, 0.0f);
          const float16 state = keel_load_part(before + row * units, unit, units, 0.0f);
          float16 whole = keel_load_part(dy + row * units, unit, units, 0.0f);
          if (s + 1 < steps) {
            whole += tile[row_of_tile * TILE_VECTORS + vector];
            whole += keel_load_part(carry, unit, units, 0.0f);
          }
          const float16 dn = whole * (1.0f - u) * (1.0f - n * n);
          const float16 dr = dn * q * (r * (1.0f - r));
          const float16 du = whole * (state - n) * (u * (1.0f - u));
          keel_store_part(dr, to_z, unit, units);
          keel_store_part(du, to_z + units, unit, units);
          keel_store_part(dn, to_z + 2 * units, unit, units);
          keel_store_part(dr, to_q, unit, units);
          keel_store_part(du, to_q + units, unit, units);
          keel_store_part(dn * r, to_q + 2 * units, unit, units);
          keel_store_part(whole * u, carry, unit, units);
          if (dh) keel_store_part(whole, dh + row * units, unit, units);
        }
      }
    }
  }
}
