// Products of many rows with a small right operand, for CPU-class devices: register tiles, a few
// tiles of rows to a work-item, all columns of each.
//
// Both the rows that are read and those that are written come from memory and are needed once, in
// pieces too short for a core to see where they lead; so a tile calls those of the next one into
// the cache while it multiplies.
#define TILE_ROWS 8

// Defines NAME: eight rows of c without the first `from`, up to VECTORS * 16 columns of which
// `left` are there.
#define KEEL_ROWS_TILE(NAME, VECTORS)                                                            \
  static inline void NAME(                                                                       \
      __global const float *a, const uint inner, __global const float *b, const uint b_step,     \
      __global float *c, const uint columns, const uint from, const uint left,                   \
      __global const float *bias, const uint relu)                                               \
  {                                                                                              \
    __global const float *next_a = a + (size_t)TILE_ROWS * inner;                                \
    __global const float *next_c = c + (size_t)TILE_ROWS * columns;                              \
    float16 sum[TILE_ROWS][VECTORS];                                                             \
    _Pragma("unroll") for (uint i = 0; i < TILE_ROWS; ++i) {                                     \
      _Pragma("unroll") for (uint j = 0; j < VECTORS; ++j) sum[i][j] = (float16)(0.0f);          \
    }                                                                                            \
    for (uint k = 0; k < inner; ++k) {                                                           \
      const uint line_of_next = k / TILE_ROWS * 16;                                              \
      keel_fetch(next_a + (size_t)(k % TILE_ROWS) * inner + line_of_next);                       \
      keel_fetch(next_c + (size_t)(k % TILE_ROWS) * columns + line_of_next);                     \
      float16 line[VECTORS];                                                                     \
      _Pragma("unroll") for (uint j = 0; j < VECTORS; ++j) line[j] = keel_load(b + 16 * j);      \
      _Pragma("unroll") for (uint i = 0; i < TILE_ROWS; ++i) {                                   \
        const float16 value = (float16)(a[(size_t)i * inner]);                                   \
        _Pragma("unroll") for (uint j = 0; j < VECTORS; ++j) {                                   \
          sum[i][j] = fma(value, line[j], sum[i][j]);                                            \
        }                                                                                        \
      }                                                                                          \
      ++a;                                                                                       \
      b += b_step;                                                                               \
    }                                                                                            \
    const int16 cut = (int16)(relu ? -1 : 0);                                                    \
    _Pragma("unroll") for (uint j = 0; j < VECTORS; ++j) {                                       \
      const float16 shift =                                                                      \
          bias ? keel_load_part(bias, 16 * j, left, 0.0f) : (float16)(0.0f);                     \
      _Pragma("unroll") for (uint i = 0; i < TILE_ROWS; ++i) {                                   \
        if (i < from) continue;                                                                  \
        const float16 y = sum[i][j] + shift;                                                     \
        const float16 result = select(y, (float16)(0.0f), (y <= (float16)(0.0f)) & cut);         \
        __global float *to = c + (size_t)i * columns;                                            \
        if (j + 1 < VECTORS) {                                                                   \
          keel_store(result, to + 16 * j);                                                       \
        } else {                                                                                 \
          keel_store_part(result, to, 16 * j, left);                                             \
        }                                                                                        \
      }                                                                                          \
    }                                                                                            \
  }
KEEL_ROWS_TILE(rows_of_three, 3)
KEEL_ROWS_TILE(rows_of_two, 2)
KEEL_ROWS_TILE(rows_of_one, 1)

// matmul_rows — c[r, s] = activation(sum over k of a[r, k] * b[k, s] + bias[s]).
//
// Buffers    a: rows x inner and c: rows x columns, row-major; b: element (k, s) at
//            k * b_step + s; bias: columns, read if has_bias.
// Work       one work-item per `tiles` tiles of eight rows.
// Requires   local size 1; at least eight rows, the last tile is moved back into the matrix and
//            stores only what is new; b is there up to a multiple of sixteen columns.
// Numerics   one fma per step in the order of k, then one addition of the bias.
// Launched   Sources/KeelOpenCL/OpenCLMatmulRows.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        a right operand that stays in the second cache need not be cut. Tiles of three, two
//            and one vectors side by side leave less than a vector unused: 72 columns are five
//            vectors, not six.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_rows(
    __global const float *restrict a,
    __global const float *restrict b,
    __global const float *restrict bias,
    __global float *restrict c,
    const uint rows,
    const uint inner,
    const uint columns,
    const uint b_step,
    const uint tiles,
    const uint has_bias,
    const uint activation,
    const float parameter)
{
  const uint vectors = (columns + 15) / 16;
  const uint begin = get_global_id(0) * tiles;
  const uint end = min(begin + tiles, (rows + TILE_ROWS - 1) / TILE_ROWS);
  const uint relu = activation == KEEL_RELU;
  for (uint tile = begin; tile < end; ++tile) {
    const uint row = min(tile * TILE_ROWS, rows - TILE_ROWS);
    const uint from = tile * TILE_ROWS - row;
    __global const float *a_tile = a + (size_t)row * inner;
    __global float *c_tile = c + (size_t)row * columns;
    for (uint v = 0; v < vectors;) {
      const uint rest = vectors - v;
      const uint left = columns - 16 * v;
      __global const float *b_tile = b + 16 * v;
      __global const float *shift = has_bias ? bias + 16 * v : 0;
      __global float *to = c_tile + 16 * v;
      if (rest == 1) {
        rows_of_one(a_tile, inner, b_tile, b_step, to, columns, from, left, shift, relu);
        v += 1;
      } else if (rest == 2 || rest == 4) {
        rows_of_two(a_tile, inner, b_tile, b_step, to, columns, from, left, shift, relu);
        v += 2;
      } else {
        rows_of_three(a_tile, inner, b_tile, b_step, to, columns, from, left, shift, relu);
        v += 3;
      }
    }
    if (activation <= KEEL_RELU) continue;
    // From what was stored, so that there is one copy of the other activations.
    for (uint i = from; i < TILE_ROWS; ++i) {
      __global float *line = c_tile + (size_t)i * columns;
#pragma unroll 1
      for (uint s = 0; s < columns; s += 16) {
        const float16 y = keel_load_part(line, s, columns, 0.0f);
        keel_store_part(keel_activations(y, activation, parameter), line, s, columns);
      }
    }
  }
}
