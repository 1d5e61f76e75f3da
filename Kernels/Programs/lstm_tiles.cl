// Long short-term memory over whole sequences for CPU-class devices: all time steps in one launch.
//
// The rows of a batch do not know of each other, so a work-item takes a few rows through all of
// time: nobody waits for anybody. The four gates of sixteen units stand side by side in registers,
// where the cell is computed from them. GPUs take lstm.cl.
//
// Sequences are batch x steps x columns, row-major. Order of gates: i, f, g, o.

KEEL_RECURRENT_SUMS(add_products, 4, 4, 3)
KEEL_RECURRENT_SUMS(
    add_flow, TILE_VECTORS, TILE_VECTORS, TILE_VECTORS - 1)

// lstm_tiles — with z[t] = bias + x[t] W + y[t'] U, t' the step before: i, f, o = sigmoid of z_i,
// z_f, z_o, g = tanh(z_g), cells[t] = f * cells[t'] + i * g, y[t] = o * tanh(cells[t]).
//
// Buffers    x: batch x steps x features; bias: 4 units or null; w, u: the two weights in panels,
//            4 x ceil(units / 16) x rows of the weight x 16, padded with 0; gates: batch x steps x
//            4 units; cells, before (y[t'], 0 at the first step), y: batch x steps x units.
// Work       one work-item per `tiles` tiles of TILE_ROWS rows of the batch.
// Requires   local size 1; the work-items cover the batch.
// Numerics   z: one chain of fma over features, then units; sigmoid and tanh to 4 units in the last
//            place; a NaN stays in its row. The bits do not depend on TILE_ROWS or `tiles`.
// Launched   Sources/KeelOpenCL/OpenCLLSTMTiles.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        a launch per step packs or re-reads the weight each time, passes z through memory and
//            makes both cores wait for each other twice a step. Weights that do not stay in the
//            second cache are read once for all tiles of a work-item.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void lstm_tiles(
    __global const float *restrict x,
    __global const float *restrict bias,
    __global const float *restrict w,
    __global const float *restrict u,
    __global float *restrict gates,
    __global float *restrict cells,
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
          const float16 shift = bias
              ? keel_load_part(bias + g * units, unit, units, 0.0f) : (float16)(0.0f);
#pragma unroll
          for (uint r = 0; r < TILE_ROWS; ++r) sum[r][g] = shift;
        }
        // What the tile will write is called before its products: rows lie a whole sequence apart,
        // where no core expects them.
#pragma unroll
        for (uint r = 0; r < TILE_ROWS; ++r) {
          const size_t row = top + (size_t)min(r, used - 1) * steps + time;
#pragma unroll
          for (uint g = 0; g < 4; ++g) keel_fetch(gates + (row * 4 + g) * units + unit);
          keel_fetch(cells + row * units + unit);
          keel_fetch(before + row * units + unit);
          keel_fetch(y + row * units + unit);
        }
        add_products(
            sum, x + (top + time) * features, (size_t)steps * features, used,
            w + (size_t)unit * features, (size_t)panels * 16 * features, 16, features);
        if (s > 0) {
          add_products(
              sum, y + (top + previous) * units, (size_t)steps * units, used,
              u + (size_t)unit * units, (size_t)panels * 16 * units, 16, units);
        }
        float16 tile[TILE_ROWS * 4];
        KEEL_RECURRENT_KEEP(tile, sum, 4);
#pragma unroll 1
        for (uint r = 0; r < used; ++r) {
          const size_t row = top + (size_t)r * steps + time;
          const size_t row_before = top + (size_t)r * steps + previous;
          __global float *opened = gates + row * 4 * units;
          const float16 i = keel_recurrent_sigmoid(tile[r * 4]);
          const float16 f = keel_recurrent_sigmoid(tile[r * 4 + 1]);
          const float16 g = keel_recurrent_tanh(tile[r * 4 + 2]);
          const float16 o = keel_recurrent_sigmoid(tile[r * 4 + 3]);
          float16 cell = (float16)(0.0f);
          float16 hidden = (float16)(0.0f);
          if (s > 0) {
            cell = keel_load_part(cells + row_before * units, unit, units, 0.0f);
            hidden = keel_load_part(y + row_before * units, unit, units, 0.0f);
          }
          cell = f * cell + i * g;
          keel_store_part(i, opened, unit, units);
          keel_store_part(f, opened + units, unit, units);
          keel_store_part(g, opened + 2 * units, unit, units);
          keel_store_part(o, opened + 3 * units, unit, units);
          keel_store_part(cell, cells + row * units, unit, units);
          keel_store_part(hidden, before + row * units, unit, units);
          keel_store_part(o * keel_recurrent_tanh(cell), y + row * units, unit, units);
        }
      }
    }
  }
}

// lstm_tiles_gradient — with t" the step after, dh[t] = dy[t] + dz[t"] Uᵀ, h = tanh(cells[t]) and
// dc[t] = dc[t"] * f[t"] + dh * o * (1 - h * h): dz_i = dc * g * i * (1 - i),
// dz_f = dc * cells[t'] * f * (1 - f), dz_g = dc * i * (1 - g * g), dz_o = dh * h * o * (1 - o).
//
// Buffers    gates, dz: batch x steps x 4 units; cells, dy, dh: batch x steps x units, dh or null;
//            u: the weight in panels, ceil(units / (16 TILE_VECTORS)) x 4 units x
//            16 TILE_VECTORS, padded with 0; carried: batch x units, for dc * f of a step.
// Work       as lstm_tiles.
// Requires   local size 1; the work-items cover the batch.
// Numerics   dz Uᵀ: one chain of fma over 4 units; tanh as above, one rounding for each other
//            operation; a NaN stays in its row.
// Launched   Sources/KeelOpenCL/OpenCLLSTMTiles.swift
// Checked    Sources/KeelCases/LSTMCases.swift
// Why        as lstm_tiles; tanh(cells) is computed again instead of being kept for every step.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void lstm_tiles_gradient(
    __global const float *restrict gates,
    __global const float *restrict cells,
    __global const float *restrict dy,
    __global const float *restrict u,
    __global float *restrict carried,
    __global float *restrict dz,
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
  const uint inner = 4 * units;
  for (uint s = steps; s-- > 0;) {
    const uint time = is_reversed ? steps - 1 - s : s;
    const uint previous = is_reversed ? time + 1 : time - 1;
    const uint later = is_reversed ? time - 1 : time + 1;
    for (uint start = 0; start < units; start += width) {
      for (uint first = begin; first < end; first += TILE_ROWS) {
        const uint used = min((uint)TILE_ROWS, end - first);
        const size_t top = (size_t)first * steps;
        float16 sum[TILE_ROWS][TILE_VECTORS];
#pragma unroll
        for (uint r = 0; r < TILE_ROWS; ++r) {
#pragma unroll
          for (uint v = 0; v < TILE_VECTORS; ++v) sum[r][v] = (float16)(0.0f);
        }
        // One gate of sixteen units after the other: what the tile will read and write of it is
        // called, then a share of the sum is made.
        const uint shares = 4 * TILE_VECTORS;
        const uint share = (inner + shares - 1) / shares;
        for (uint i = 0; i < shares; ++i) {
          const uint unit = start + i / 4 * 16;
#pragma unroll
          for (uint r = 0; r < TILE_ROWS; ++r) {
            const size_t row = top + (size_t)min(r, used - 1) * steps + time;
            keel_fetch(gates + row * inner + i % 4 * units + unit);
            keel_fetch(dz + row * inner + i % 4 * units + unit);
            if (i % 4 == 0) {
              keel_fetch(cells + row * units + unit);
              keel_fetch(dy + row * units + unit);
            }
          }
          const uint k = min(i * share, inner);
          if (s + 1 < steps) {
            add_flow(
                sum, dz + (top + later) * inner + k, (size_t)steps * inner, used,
                u + (size_t)start * inner + k * width, 16, width, min(share, inner - k));
          }
        }
        float16 tile[TILE_ROWS * TILE_VECTORS];
        KEEL_RECURRENT_KEEP(tile, sum, TILE_VECTORS);
        const uint vectors = min((uint)TILE_VECTORS, (units - start + 15) / 16);
#pragma unroll 1
        for (uint place = 0; place < used * vectors; ++place) {
          const uint r = place / vectors;
          const uint v = place % vectors;
          const uint unit = start + 16 * v;
          const size_t row = top + (size_t)r * steps + time;
          __global const float *opened = gates + row * inner;
          __global float *flow = dz + row * inner;
          __global float *carry = carried + (size_t)(first + r) * units;
          const float16 i = keel_load_part(opened, unit, units, 0.0f);
          const float16 f = keel_load_part(opened + units, unit, units, 0.0f);
          const float16 g = keel_load_part(opened + 2 * units, unit, units, 0.0f);
          const float16 o = keel_load_part(opened + 3 * units, unit, units, 0.0f);
          const float16 h = keel_recurrent_tanh(
              keel_load_part(cells + row * units, unit, units, 0.0f));
          const float16 arrived = keel_load_part(dy + row * units, unit, units, 0.0f);
          const float16 state = s + 1 < steps ? arrived + tile[r * TILE_VECTORS + v] : arrived;
          float16 dc = state * o * (1.0f - h * h);
          if (s + 1 < steps) dc = keel_load_part(carry, unit, units, 0.0f) + dc;
          float16 cell = (float16)(0.0f);
          if (s > 0) {
            cell = keel_load_part(
                cells + (top + (size_t)r * steps + previous) * units, unit, units, 0.0f);
          }
          keel_store_part(dc * g * (i * (1.0f - i)), flow, unit, units);
          keel_store_part(dc * cell * (f * (1.0f - f)), flow + units, unit, units);
          keel_store_part(dc * i * (1.0f - g * g), flow + 2 * units, unit, units);
          keel_store_part(state * h * (o * (1.0f - o)), flow + 3 * units, unit, units);
          keel_store_part(dc * f, carry, unit, units);
          if (dh) keel_store_part(state, dh + row * units, unit, units);
        }
      }
    }
  }
}
