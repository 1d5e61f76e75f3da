// Matrix product for CPU-class devices: register tiles of float16, no local memory, no barrier.
//
// One work-item is one work-group here. A driver that runs work-groups on CPU threads keeps the
// tile of TILE_ROWS x 32 sums in vector registers; tiles with barriers run 70 times slower there.
// GPUs take matmul_local.cl.
#ifndef TILE_ROWS
#define TILE_ROWS 8
#endif
#if TILE_ROWS < 1 || TILE_ROWS > 16
#error "TILE_ROWS must lie between 1 and 16"
#endif
// Sixteen columns to a vector, TILE_VECTORS vectors to a tile.
#ifndef TILE_VECTORS
#define TILE_VECTORS 2
#endif
#if TILE_VECTORS < 1 || TILE_VECTORS > 3
#error "TILE_VECTORS must lie between 1 and 3"
#endif
#define TILE_COLUMNS (16 * TILE_VECTORS)
// How many steps before it is needed a left operand in place is called into the cache; 0 not at
// all. Its steps are half a cache line each, a row apart.
#ifndef TILE_AHEAD
#define TILE_AHEAD 0
#endif

// Loads and stores of columns from ..< to of up to sixteen.
static inline float16 load_columns(__global const float *p, const uint from, const uint to)
{
  if (from == 0 && to >= 16) return vload16(0, p);
  float v[16];
  for (uint i = 0; i < 16; ++i) v[i] = i >= from && i < to ? p[i] : 0.0f;
  return vload16(0, v);
}

static inline void store_columns(const float16 x, __global float *p, const uint from, const uint to)
{
  if (from == 0 && to >= 16) {
    vstore16(x, 0, p);
    return;
  }
  float v[16];
  vstore16(x, 0, v);
  for (uint i = from; i < to && i < 16; ++i) p[i] = v[i];
}

// The sum of sixteen columns over `steps` lines, of which the first `whole` are read as they are
// and the others up to column `to`. The order is that of reduction_columns, to the bit.
static inline float16 sum_of_lines(
    __global const float *b, const uint step, const uint whole, const uint steps, const uint to)
{
  float16 sum = (float16)(0.0f);
  uint k = 0;
  for (; k + 4 <= steps; k += 4, b += 4 * (size_t)step) {
    float16 line[4];
    for (uint i = 0; i < 4; ++i) {
      __global const float *p = b + i * (size_t)step;
      line[i] = k + i < whole ? vload16(0, p) : load_columns(p, 0, to);
    }
    sum += (line[0] + line[1]) + (line[2] + line[3]);
  }
  for (; k < steps; ++k, b += step) {
    sum += k < whole ? vload16(0, b) : load_columns(b, 0, to);
  }
  return sum;
}

// matmul_tiles — c[r, s] = activation(sum over k of a[r, k] * b[k, s] + bias[s]).
//
// Buffers    a: element (r, k) at r * a_row_step + k * a_inner_step, panel a_panel_step apart;
//            b: element (k, s) at k * b_inner_step + s inside a panel, panels b_panel_step apart;
//            c: rows x columns per batch, row-major, c_batch_step apart; bias: columns, read if
//            has_bias.
// Work       one work-item per tile: axis 0 = tile of rows, axis 1 = tile of columns, axis 2 =
//            batch.
//            column_sums: columns, or NULL; sum over k of b[k, s].
// Requires   local size 1 x 1 x 1. A left operand in place has at least one tile of rows; the last
//            tile of an operand in place is moved back into the matrix and stores only what is new;
//            a right one narrower than a tile is read beyond its rows, not beyond its end. With
//            `accumulates`, which adds to c, no bias and no activation. column_sums: one matrix,
//            one split.
// Numerics   one fma per step in the order of k, then one addition of the bias (or of c). A column
//            sum is one chain of four rows by halves.
// Launched   Sources/KeelOpenCL/OpenCLMatmulTiles.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        the sums stay in registers over the whole inner axis: each step costs TILE_ROWS
//            broadcasts and TILE_VECTORS loads for TILE_ROWS * TILE_VECTORS fmas.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_tiles(
    __global const float *restrict a,
    __global const float *restrict b,
    __global const float *restrict bias,
    __global float *restrict c,
    __global float *restrict column_sums,
    const uint rows,
    const uint inner,
    const uint columns,
    const uint a_row_step,
    const uint a_inner_step,
    const ulong a_panel_step,
    const ulong a_batch_step,
    const uint b_inner_step,
    const ulong b_panel_step,
    const ulong b_batch_step,
    const ulong c_batch_step,
    const uint a_packed,
    const uint b_packed,
    const uint accumulates,
    const uint splits,
    const uint slice,
    const uint columns_first,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  // Both read with a constant axis: PoCL cannot link get_global_id of a variable one.
  const uint axis0 = get_global_id(0);
  const uint axis1 = get_global_id(1);
  const size_t row_tile = columns_first ? axis1 : axis0;
  const size_t column_tile = columns_first ? axis0 : axis1;
  const uint row = row_tile * TILE_ROWS;
  const uint column = column_tile * TILE_COLUMNS;
  const size_t batch = get_global_id(2) / splits;
  const uint begin = (uint)get_global_id(2) % splits * slice;
  const uint steps = min(slice, inner - begin);
  // In place, the last tile starts early enough to end inside the matrix.
  const uint row_back = a_packed ? 0 : max((int)(row + TILE_ROWS - rows), 0);
  const bool is_narrow = !b_packed && columns < TILE_COLUMNS;
  const uint column_back =
      b_packed || is_narrow ? 0 : max((int)(column + TILE_COLUMNS - columns), 0);
  // Steps whose line of a tile ends inside the matrix.
  const uint whole = !is_narrow
      ? steps
      : (uint)clamp((int)inner - (int)begin - (int)((TILE_COLUMNS - 1) / b_inner_step),
                    0, (int)steps);
  __global const float *a_tile = a + batch * a_batch_step + row_tile * a_panel_step +
      (size_t)begin * a_inner_step - (size_t)row_back * a_row_step;
  __global const float *b_tile = b + batch * b_batch_step + column_tile * b_panel_step +
      (size_t)begin * b_inner_step - column_back;

  float16 sum[TILE_ROWS][TILE_VECTORS];
#pragma unroll
  for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = (float16)(0.0f);
  }
  __global const float *b_line = b_tile;
  for (uint k = 0; k < whole; ++k) {
#if TILE_AHEAD
    keel_fetch(a_tile + (size_t)TILE_AHEAD * a_inner_step);
#endif
    float16 line[TILE_VECTORS];
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) line[j] = ((__global const keel_any16 *)b_line)[j];
#pragma unroll
    for (uint i = 0; i < TILE_ROWS; ++i) {
      const float16 value = (float16)(a_tile[(size_t)i * a_row_step]);
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = fma(value, line[j], sum[i][j]);
    }
    a_tile += a_inner_step;
    b_line += b_inner_step;
  }
#pragma unroll 1
  for (uint k = whole; k < steps; ++k) {
    float16 line[TILE_VECTORS];
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      line[j] = load_columns(b_line + 16 * j, 0, max((int)(columns - 16 * j), 0));
    }
#pragma unroll
    for (uint i = 0; i < TILE_ROWS; ++i) {
      const float16 value = (float16)(a_tile[(size_t)i * a_row_step]);
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) sum[i][j] = fma(value, line[j], sum[i][j]);
    }
    a_tile += a_inner_step;
    b_line += b_inner_step;
  }

  const uint first = column - column_back;
  if (column_sums && row_tile == 0) {
#pragma unroll 1
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      const uint from = max((int)(column_back - 16 * j), 0);
      const uint to = max((int)(columns - first - 16 * j), 0);
      if (from >= 16 || to == 0) continue;
      store_columns(sum_of_lines(b_tile + 16 * j, b_inner_step, whole, steps, to),
                    column_sums + first + 16 * j, from, to);
    }
  }
  float16 shift[TILE_VECTORS];
#pragma unroll
  for (uint j = 0; j < TILE_VECTORS; ++j) {
    shift[j] = has_bias && first + 16 * j < columns
        ? load_columns(bias + first + 16 * j, 0, columns - first - 16 * j) : (float16)(0.0f);
  }
  __global float *c_tile =
      c + get_global_id(2) * c_batch_step + (size_t)(row - row_back) * columns + first;
  if (row_back == 0 && row + TILE_ROWS <= rows && column_back == 0 &&
      column + TILE_COLUMNS <= columns && activation <= KEEL_RELU) {
    if (accumulates) {
#pragma unroll
      for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
        for (uint j = 0; j < TILE_VECTORS; ++j) {
          sum[i][j] += ((__global keel_any16 *)(c_tile + (size_t)i * columns))[j];
        }
      }
    }
    // A whole tile with a cheap activation goes from the registers to its place.
    const int16 relu = (int16)(activation == KEEL_RELU ? -1 : 0);
#pragma unroll
    for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
      for (uint j = 0; j < TILE_VECTORS; ++j) {
        const float16 y = sum[i][j] + shift[j];
        ((__global keel_any16 *)(c_tile + (size_t)i * columns))[j] =
            select(y, (float16)(0.0f), (y <= (float16)(0.0f)) & relu);
      }
    }
    return;
  }
  // Through memory, so that the loop below stays rolled: one copy of the activations.
  float16 tile[TILE_ROWS * TILE_VECTORS];
#pragma unroll
  for (uint i = 0; i < TILE_ROWS; ++i) {
#pragma unroll
    for (uint j = 0; j < TILE_VECTORS; ++j) tile[i * TILE_VECTORS + j] = sum[i][j] + shift[j];
  }
  const uint last_row = min((uint)TILE_ROWS, rows - (row - row_back));
  for (uint i = row_back; i < last_row; ++i) {
#pragma unroll 1
    for (uint j = 0; j < TILE_VECTORS; ++j) {
      const uint from = max((int)(column_back - 16 * j), 0);
      const uint to = max((int)(columns - first - 16 * j), 0);
      if (from >= 16 || to == 0) continue;
      __global float *to_columns = c_tile + (size_t)i * columns + 16 * j;
      float16 y = keel_activations(tile[i * TILE_VECTORS + j], activation, parameter);
      if (accumulates) y += load_columns(to_columns, from, to);
      store_columns(y, to_columns, from, to);
    }
  }
}
