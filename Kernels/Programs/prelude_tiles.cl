// prelude_tiles — compiled after prelude.cl in front of the programs that multiply tiles in local
// memory: the tiles' shape, how quads of numbers come into them, the product of two, and where a
// work-item's sums lie in the result.
//
// A tile of the left matrix is TILE_INNER lines of TILE_ROWS, one of the right TILE_INNER lines of
// TILE_COLUMNS. There are two of each: one is filled while the other is multiplied, so that a step
// needs a single barrier. A work-item keeps ITEM_ROWS x ITEM_COLUMNS sums of the result's tile.
#ifndef TILE_ROWS
#define TILE_ROWS 64
#endif
#ifndef TILE_COLUMNS
#define TILE_COLUMNS 64
#endif
#ifndef TILE_INNER
#define TILE_INNER 16
#endif
// Work-items along the rows and along the columns of a tile: a work-group.
#ifndef LANE_ROWS
#define LANE_ROWS 16
#endif
#ifndef LANE_COLUMNS
#define LANE_COLUMNS 16
#endif
// How tiles are multiplied: by fused multiply-adds; by the tensor cores of an NVIDIA device, which
// round both operands to tf32; or by the same program with those instructions played by the
// work-items, so that it can be tested on any device.
#define KEEL_MULTIPLY_ADD 0
#define KEEL_TENSOR_CORES 1
#define KEEL_TENSOR_CORES_PLAYED 2
#ifndef KEEL_PRODUCT
#define KEEL_PRODUCT KEEL_MULTIPLY_ADD
#endif

#define GROUP (LANE_ROWS * LANE_COLUMNS)
#define ITEM_ROWS (TILE_ROWS / LANE_ROWS)
#define ITEM_COLUMNS (TILE_COLUMNS / LANE_COLUMNS)
#if TILE_ROWS % (4 * LANE_ROWS) || TILE_COLUMNS % (4 * LANE_COLUMNS)
#error "a work-item owns quads: a tile's sides must be multiples of 4 * LANE_ROWS, 4 * LANE_COLUMNS"
#endif
#if LANE_ROWS % 8 || LANE_COLUMNS % 8
#error "a warp covers 4 x 8 or 8 x 4 work-items: LANE_ROWS and LANE_COLUMNS must be multiples of 8"
#endif
#if TILE_INNER % 8 || GROUP % (TILE_ROWS / 4) || GROUP % (TILE_COLUMNS / 4)
#error "TILE_INNER must be a multiple of 8, and the quads of a line must divide the work-group"
#endif

// The inner axis is split at multiples of this, whatever the tiles: sums do not depend on them.
#define SPLIT_STEP 32
#if SPLIT_STEP % TILE_INNER
#error "TILE_INNER must divide SPLIT_STEP"
#endif

// Quads of a tile that a work-item loads at most; the last round may be for some of them only.
#define QUAD_ROUNDS(width) ((width * TILE_INNER / 4 + GROUP - 1) / GROUP)
#define HAS_QUAD(i, width) (width * TILE_INNER / 4 % GROUP == 0 || (i) < width * TILE_INNER / 4)

// Whether neighbours in memory lie along the inner axis, as in a left matrix that is not transposed
// and a right one that is. Four texts of a product: one for all would hold the addresses of each.
#ifndef LEFT_INWARDS
#define LEFT_INWARDS 1
#endif
#ifndef RIGHT_INWARDS
#define RIGHT_INWARDS 0
#endif

// Which arrays may be read or written 16 bytes at a time: their quads are whole and aligned.
#define LEFT_QUADS 1u
#define RIGHT_QUADS 2u
#define RESULT_QUADS 4u

// Where element `place` of line k lies in a tile of such lines. Blocks of elements change their
// places from line to line, so that lanes that store or read a column hit different banks, and
// quads stay whole; a margin that did so would not leave them aligned.
static inline uint tile_at(const uint k, const uint place, const uint width)
{
#if KEEL_PRODUCT == KEEL_MULTIPLY_ADD
  // 32 lanes store TILE_INNER / 4 quads of each of 128 / TILE_INNER columns.
  return k * width + (place ^ (k / 4 * (128 / TILE_INNER)));
#else
  // Four neighbouring lines are read at once.
  return k * width + (place ^ ((k + k / 4) % 4 * 8));
#endif
}

// Where quad i of a tile lies: x along the line, y the line. Its numbers are one element of four
// lines if `inwards`, else four elements of one line: as they are neighbours in memory.
static inline uint2 quad_place(const uint i, const uint width, const uint inwards)
{
  return inwards ? (uint2)(i / (TILE_INNER / 4), i % (TILE_INNER / 4) * 4)
                 : (uint2)(i % (width / 4) * 4, i / (width / 4));
}

// How far the place of quad i + GROUP is from that of quad i.
static inline uint2 quad_stride(const uint width, const uint inwards)
{
  return inwards ? (uint2)(GROUP / (TILE_INNER / 4), 0) : (uint2)(0, GROUP / (width / 4));
}

// A quad from `from` on, 0 where there is nothing: `elements` of the line and `lines` are left.
// If `aligned`, it exists or not, and `from` is a multiple of 16 bytes.
static inline float4 keel_quad(
    __global const float *from, const int elements, const int lines, const uint inwards,
    const uint aligned)
{
  const bool some = elements > 0 && lines > 0;
  if (aligned) return some ? *(__global const float4 *)from : (float4)(0.0f);
  const int count = some ? (inwards ? lines : elements) : 0;
  return (float4)(
      count > 0 ? from[0] : 0.0f, count > 1 ? from[1] : 0.0f, count > 2 ? from[2] : 0.0f,
      count > 3 ? from[3] : 0.0f);
}

static inline void keel_put_quad(
    __local float *tile, const float4 quad, const uint2 at, const uint width, const uint inwards)
{
  __local float *to = tile + tile_at(at.y, at.x, width);
  if (!inwards) {
    *(__local float4 *)to = quad;
    return;
  }
#if KEEL_PRODUCT == KEEL_MULTIPLY_ADD
  to[0] = quad.x;
  to[width] = quad.y;
  to[2 * width] = quad.z;
  to[3 * width] = quad.w;
#else
  to[0] = quad.x;
  tile[tile_at(at.y + 1, at.x, width)] = quad.y;
  tile[tile_at(at.y + 2, at.x, width)] = quad.z;
  tile[tile_at(at.y + 3, at.x, width)] = quad.w;
#endif
}

// Puts a work-item's quads into a tile: the first at `first`, the others `stride` apart. Not a
// function: its loop would be unrolled too late for `quads` to stay in registers.
#define KEEL_PUT_TILE(tile, quads, first, stride, width, inwards)            \
  _Pragma("unroll") for (uint t = 0; t < QUAD_ROUNDS(width); ++t) {          \
    if (!HAS_QUAD(t * GROUP + lane, width)) continue;                        \
    keel_put_quad(tile, (quads)[t], (first) + t * (stride), width, inwards); \
  }

#if KEEL_PRODUCT == KEEL_MULTIPLY_ADD

// Local memory that the product needs beside the tiles, as an array of the kernel: none.
#define TILE_EXCHANGE(name)
#define TILE_EXCHANGE_OF(name)
#define TILE_EXCHANGE_PARAMETER
// sum[i][j] to sum[i][j + RUN - 1] are neighbours in a row of the result, j a multiple of RUN.
#define RUN 4
typedef float4 run_of_sums;

// Row of the tile to which sum[i][...] belongs, and column of sum[...][j]. A warp covers 4 x 8
// work-items: it reads four quads of the left tile and eight of the right, which are 32 banks.
static inline uint tile_row(const uint i, const uint lane)
{
  const uint unit = lane / 32 / (LANE_COLUMNS / 8) * 4 + lane % 32 / 8;
  return i / 4 * 4 * LANE_ROWS + unit * 4 + i % 4;
}

static inline uint tile_column(const uint j, const uint lane)
{
  const uint unit = lane / 32 % (LANE_COLUMNS / 8) * 8 + lane % 8;
  return j / 4 * 4 * LANE_COLUMNS + unit * 4 + j % 4;
}

#else

// tf32 is a float32 with ten bits behind the point. 32 neighbouring work-items (a warp) multiply
// 16 x 8 by 8 x 8 numbers at once; each holds four of the left, two of the right, four sums.
// A warp owns WARP_ROWS x WARP_COLUMNS of the tile.
#define WARP_ROWS (ITEM_ROWS * 8)
#define WARP_COLUMNS (ITEM_COLUMNS * 4)
#define WARPS_ACROSS (TILE_COLUMNS / WARP_COLUMNS)
#define RUN 2
typedef float2 run_of_sums;

static inline uint tile_row(const uint i, const uint lane)
{
  return lane / 32 / WARPS_ACROSS * WARP_ROWS + i * 8 + lane % 32 / 4;
}

static inline uint tile_column(const uint j, const uint lane)
{
  return lane / 32 % WARPS_ACROSS * WARP_COLUMNS + j / 2 * 8 + lane % 4 * 2 + j % 2;
}

#if KEEL_PRODUCT == KEEL_TENSOR_CORES
#define TILE_EXCHANGE(name)
#define TILE_EXCHANGE_OF(name)
#define TILE_EXCHANGE_PARAMETER
#define TILE_UNROLL 16

// To the nearest tf32, ties away from zero.
static inline uint keel_tf32(const float x)
{
  uint result;
  __asm__("cvt.rna.tf32.f32 %0, %1;" : "=r"(result) : "f"(x));
  return result;
}

// sum += left * right in a warp: PTX ISA, "Matrix Fragments for mma.m16n8k8" with .tf32.
static inline void keel_warp_multiply(const uint *left, const uint *right, float *sum)
{
  __asm__ volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
}
#else
// What each work-item holds of the operands, for the others of its warp to see.
#define TILE_EXCHANGE(name) __local float name[GROUP * 6];
#define TILE_EXCHANGE_OF(name) , name
#define TILE_EXCHANGE_PARAMETER , __local float *exchange
// Each product holds two barriers, of which PoCL takes a few only.
#define TILE_UNROLL 1

static inline uint keel_tf32(const float x)
{
  return keel_is_finite(x) ? (as_uint(x) + 0x1000u) & 0xffffe000u : as_uint(x);
}

static inline void keel_warp_multiply_played(
    const uint *left, const uint *right, float *sum, const uint lane, __local float *exchange)
{
  #pragma unroll
  for (uint i = 0; i < 4; ++i) exchange[lane * 6 + i] = as_float(left[i]);
  #pragma unroll
  for (uint i = 0; i < 2; ++i) exchange[lane * 6 + 4 + i] = as_float(right[i]);
  barrier(CLK_LOCAL_MEM_FENCE);  // every lane of the warp has shown what it holds
  __local const float *warp = exchange + lane / 32 * 32 * 6;
  #pragma unroll
  for (uint i = 0; i < 4; ++i) {
    const uint row = lane % 32 / 4 + i / 2 * 8;
    const uint column = lane % 4 * 2 + i % 2;
    #pragma unroll
    for (uint k = 0; k < 8; ++k) {
      // Lane 4 * r + c holds (r, c), (r + 8, c), (r, c + 4), (r + 8, c + 4) of the left operand,
      // and lane 4 * c + r holds (r, c), (r + 4, c) of the right one.
      const float a = warp[(row % 8 * 4 + k % 4) * 6 + row / 8 + k / 4 * 2];
      const float b = warp[(column * 4 + k % 4) * 6 + 4 + k / 4];
      sum[i] = fma(a, b, sum[i]);
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // and every lane has read
}
#define keel_warp_multiply(left, right, sum) \
  keel_warp_multiply_played(left, right, sum, lane, exchange)
#endif
#endif

static inline void keel_clear_sums(float (*sum)[ITEM_COLUMNS])
{
  #pragma unroll
  for (uint i = 0; i < ITEM_ROWS; ++i) {
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; ++j) sum[i][j] = 0.0f;
  }
}

// sum[i][j] += the product of both tiles at (tile_row(i), tile_column(j)), in the order of k.
static inline void keel_tile_multiply(
    __local const float *left_tile, __local const float *right_tile, float (*sum)[ITEM_COLUMNS],
    const uint lane TILE_EXCHANGE_PARAMETER)
{
#if KEEL_PRODUCT == KEEL_MULTIPLY_ADD
  #pragma unroll 4
  for (uint k = 0; k < TILE_INNER; ++k) {
    float left[ITEM_ROWS], right[ITEM_COLUMNS];
    #pragma unroll
    for (uint i = 0; i < ITEM_ROWS; i += 4) {
      const float4 quad = *(__local const float4 *)(
          left_tile + tile_at(k, tile_row(0, lane), TILE_ROWS) + i * LANE_ROWS);
      left[i] = quad.x, left[i + 1] = quad.y, left[i + 2] = quad.z, left[i + 3] = quad.w;
    }
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; j += 4) {
      const float4 quad = *(__local const float4 *)(
          right_tile + tile_at(k, tile_column(0, lane), TILE_COLUMNS) + j * LANE_COLUMNS);
      right[j] = quad.x, right[j + 1] = quad.y, right[j + 2] = quad.z, right[j + 3] = quad.w;
    }
    #pragma unroll
    for (uint i = 0; i < ITEM_ROWS; ++i) {
      #pragma unroll
      for (uint j = 0; j < ITEM_COLUMNS; ++j) sum[i][j] = fma(left[i], right[j], sum[i][j]);
    }
  }
#else
  const uint across = lane % 4;
  const uint right_column = lane / 32 % WARPS_ACROSS * WARP_COLUMNS + lane % 32 / 4;
  #pragma unroll 1
  for (uint k = 0; k < TILE_INNER; k += 8) {
    uint right[ITEM_COLUMNS / 2][2];
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS / 2; ++j) {
      #pragma unroll
      for (uint part = 0; part < 2; ++part) {
        right[j][part] = keel_tf32(
            right_tile[tile_at(k + across + part * 4, right_column + j * 8, TILE_COLUMNS)]);
      }
    }
    #pragma unroll TILE_UNROLL
    for (uint i = 0; i < ITEM_ROWS; i += 2) {
      uint left[4];
      #pragma unroll
      for (uint part = 0; part < 2; ++part) {
        const uint line = k + across + part * 4;
        left[part * 2] = keel_tf32(left_tile[tile_at(line, tile_row(i, lane), TILE_ROWS)]);
        left[part * 2 + 1] =
            keel_tf32(left_tile[tile_at(line, tile_row(i + 1, lane), TILE_ROWS)]);
      }
      #pragma unroll TILE_UNROLL
      for (uint j = 0; j < ITEM_COLUMNS; j += 2) {
        float warp_sum[4] = {sum[i][j], sum[i][j + 1], sum[i + 1][j], sum[i + 1][j + 1]};
        keel_warp_multiply(left, right[j / 2], warp_sum);
        sum[i][j] = warp_sum[0];
        sum[i][j + 1] = warp_sum[1];
        sum[i + 1][j] = warp_sum[2];
        sum[i + 1][j + 1] = warp_sum[3];
      }
    }
  }
#endif
}

// Stores RUN neighbouring sums, of which `count` lie in the result; all or none if `aligned`.
static inline void keel_store_run(
    __global float *to, const float *run, const int count, const uint aligned)
{
  if (aligned) {
#if RUN == 4
    if (count > 0) *(__global run_of_sums *)to = (float4)(run[0], run[1], run[2], run[3]);
#else
    if (count > 0) *(__global run_of_sums *)to = (float2)(run[0], run[1]);
#endif
  } else {
    #pragma unroll
    for (int e = 0; e < RUN; ++e) {
      if (e < count) to[e] = run[e];
    }
  }
}

// Activations of a few instructions, which a work-item applies to its sums in registers. Of the
// others a text for each sum would fill the cache of instructions and take registers from the
// product: a work-item reads back what it stored, element by element.
static inline float keel_short_activation(const float x, const uint kind, const float parameter)
{
  if (kind == KEEL_RELU) return x <= 0.0f ? 0.0f : x;
  return kind == KEEL_LEAKY_RELU && x <= 0.0f ? x * parameter : x;
}

static inline bool keel_is_short_activation(const uint kind)
{
  return kind != KEEL_ELU && kind != KEEL_SIGMOID && kind != KEEL_TANH;
}
