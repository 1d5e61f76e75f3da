// The gradient of y = activation(z + bias), from the output.

// The activation's number, as in the prelude.
#ifndef ACTIVATION
#define ACTIVATION 1
#endif
#if ACTIVATION > 5
#error "ACTIVATION must lie between 0 and 5"
#endif

// activation'(y); a NaN in y fails the comparisons. A dy that is not finite shows through 0.
static inline floats derivative(const floats y, const float parameter)
{
  (void)parameter;
#if ACTIVATION == 1
  return (y <= 0.0f) ? (floats)(0.0f) : (floats)(1.0f);
#elif ACTIVATION == 2
  return (y <= 0.0f) ? (floats)(parameter) : (floats)(1.0f);
#elif ACTIVATION == 3
  return (y <= 0.0f) ? y + parameter : (floats)(1.0f);
#elif ACTIVATION == 4
  return y * (1.0f - y);
#elif ACTIVATION == 5
  return 1.0f - y * y;
#else
  (void)y;
  return (floats)(1.0f);
#endif
}

// bias_activation_flat — dz[i] = dy[i] * activation'(y[i]).
//
// Buffers    y, dy: count; dz: count, may be dy.
// Work       one work-item per chunk of elements, in vectors of KEEL_WIDTH.
// Requires   chunk is a multiple of KEEL_WIDTH; any local size.
// Numerics   one rounding for the product, up to two for the derivative.
// Launched   Sources/KeelOpenCL/OpenCLBiasActivation.swift
// Checked    Sources/KeelCases/BiasActivationCases.swift
// Why        where there is no bias there is nothing to sum.
__kernel void bias_activation_flat(
    __global const keel_stored *y,
    __global const keel_stored *dy,
    __global keel_stored *dz,
    const float parameter,
    const ulong count,
    const ulong chunk)
{
  size_t i = get_global_id(0) * chunk;
  const size_t end = min((size_t)count, (size_t)(i + chunk));
  for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) {
    keel_set(keel_get(dy + i) * derivative(keel_get(y + i), parameter), dz + i);
  }
#if KEEL_WIDTH > 1
  if (i >= end) return;
  const uint rest = (uint)(end - i);
  const floats last_y = keel_get_part(y + i, 0, rest);
  const floats last_dy = keel_get_part(dy + i, 0, rest);
  keel_set_part(last_dy * derivative(last_y, parameter), dz + i, 0, rest);
#endif
}

#if KEEL_GROUP == 1

// bias_activation_columns — dz[r, c] = dy[r, c] * activation'(y[r, c]) and
// sums[part, c] = sum of dz[r, c] over the rows of the part.
//
// Buffers    y, dy: rows x columns; dz: the same or null, may be dy; sums: parts x columns.
// Work       one work-item per (part, block of MOST * KEEL_WIDTH columns): axis 0 = block, axis 1 =
//            part.
// Requires   parts * part_rows >= rows; any local size.
// Numerics   one chain per column and part; the host sums the parts over a fixed tree.
// Launched   Sources/KeelOpenCL/OpenCLBiasActivation.swift
// Checked    Sources/KeelCases/BiasActivationCases.swift
// Why        dy and y are read once for both results, in long runs.
#define MOST 64
__kernel void bias_activation_columns(
    __global const keel_stored *y,
    __global const keel_stored *dy,
    __global keel_stored *dz,
    __global float *restrict sums,
    const float parameter,
    const uint rows,
    const uint columns,
    const uint part_rows)
{
  const uint first = get_global_id(0) * MOST * KEEL_WIDTH;
  const uint part = get_global_id(1);
  if (first >= columns) return;
  const uint end = min(rows, part * part_rows + part_rows);
  const uint own = min(columns - first, (uint)(MOST * KEEL_WIDTH));
  const uint whole = own / KEEL_WIDTH;
  const uint rest = whole * KEEL_WIDTH;
  floats sum[MOST + 1];
  for (uint v = 0; v <= whole; ++v) sum[v] = (floats)(0.0f);
  for (uint r = part * part_rows; r < end; ++r) {
    const size_t i = (size_t)r * columns + first;
    for (uint v = 0; v < whole; ++v) {
      const size_t k = i + v * KEEL_WIDTH;
      const floats value = keel_get(dy + k) * derivative(keel_get(y + k), parameter);
      if (dz) keel_set(value, dz + k);
      sum[v] += value;
    }
#if KEEL_WIDTH > 1
    if (rest < own) {
      const floats last_y = keel_get_part(y + i, rest, own);
      const floats last_dy = keel_get_part(dy + i, rest, own);
      const floats value = last_dy * derivative(last_y, parameter);
      if (dz) keel_set_part(value, dz + i, rest, own);
      sum[whole] += value;
    }
#endif
  }
  __global float *to = sums + (size_t)part * columns + first;
  for (uint v = 0; v < whole; ++v) keel_store(sum[v], to + v * KEEL_WIDTH);
#if KEEL_WIDTH > 1
  if (rest < own) keel_store_part(sum[whole], to, rest, own);
#endif
}

#else

// bias_activation_columns_team — the same, by teams of lanes that share a block of columns.
//
// Buffers    y, dy: rows x columns; dz: the same or null, may be dy; sums: parts x columns.
// Work       one team per (part, block of LANES columns); its rows of lanes take every
//            (KEEL_GROUP / LANES)th row.
// Requires   KEEL_GROUP work-items to a team, a multiple of 32; KEEL_WIDTH 1.
// Numerics   one chain per lane, then a tree of halves.
// Launched   Sources/KeelOpenCL/OpenCLBiasActivation.swift
// Checked    Sources/KeelCases/BiasActivationCases.swift
// Why        32 neighbouring lanes read one memory transaction.
#define LANES 32
#if KEEL_GROUP % LANES || KEEL_WIDTH != 1
#error "KEEL_GROUP must be a multiple of LANES, KEEL_WIDTH 1"
#endif
__kernel void bias_activation_columns_team(
    __global const keel_stored *y,
    __global const keel_stored *dy,
    __global keel_stored *dz,
    __global float *restrict sums,
    const float parameter,
    const uint rows,
    const uint columns,
    const uint part_rows)
{
  __local float scratch[KEEL_GROUP];
  const uint blocks = (columns + LANES - 1) / LANES;
  const uint column = (uint)(KEEL_TEAM % blocks) * LANES + KEEL_LANE % LANES;
  const uint part = (uint)(KEEL_TEAM / blocks);
  const uint end = min(rows, part * part_rows + part_rows);
  float sum = 0.0f;
  if (column < columns) {
    for (uint r = part * part_rows + KEEL_LANE / LANES; r < end; r += KEEL_GROUP / LANES) {
      const size_t i = (size_t)r * columns + column;
      const float value = keel_get_one(dy + i) * derivative(keel_get_one(y + i), parameter);
      if (dz) keel_set_one(value, dz + i);
      sum += value;
    }
  }
  scratch[KEEL_LANE] = sum;
  for (uint reach = KEEL_GROUP / 2; reach >= LANES; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the level before is stored
    if (KEEL_LANE < reach) scratch[KEEL_LANE] += scratch[KEEL_LANE + reach];
  }
  if (KEEL_LANE < LANES && column < columns) {
    sums[(size_t)part * columns + column] = scratch[KEEL_LANE];
  }
}

#endif
