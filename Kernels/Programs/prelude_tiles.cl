// prelude_tiles — compiled after prelude.cl in front of the programs that multiply tiles in local
// memory: the tiles' shape, the product of two, and where a work-item's sums lie in the result.
//
// A tile of the left matrix is TILE_INNER x TILE_ROWS, one of the right TILE_INNER x TILE_COLUMNS,
// both with a margin. A work-item keeps ITEM_ROWS x ITEM_COLUMNS sums of the result's tile.
#ifndef TILE_ROWS
#define TILE_ROWS 64
#endif
#ifndef TILE_COLUMNS
#define TILE_COLUMNS 64
#endif
#ifndef TILE_INNER
#define TILE_INNER 16
#endif
// Work-items along each side of a tile; the work-group has SIDE * SIDE of them.
#ifndef SIDE
#define SIDE 16
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

#define GROUP (SIDE * SIDE)
#define ITEM_ROWS (TILE_ROWS / SIDE)
#define ITEM_COLUMNS (TILE_COLUMNS / SIDE)
#if TILE_ROWS % (4 * SIDE) || TILE_COLUMNS % (4 * SIDE)
#error "a work-item owns quads: TILE_ROWS and TILE_COLUMNS must be multiples of 4 * SIDE"
#endif
#if GROUP % TILE_INNER || GROUP % TILE_ROWS || GROUP % TILE_COLUMNS || GROUP < 2 * TILE_INNER
#error "TILE_ROWS, TILE_COLUMNS and twice TILE_INNER must divide the work-group"
#endif

#if KEEL_PRODUCT == KEEL_MULTIPLY_ADD

// Four floats beyond a line, so that lanes that store a column of it hit different banks.
#define TILE_MARGIN 4
// Local memory that the product needs beside the tiles, as an array of the kernel: none.
#define TILE_EXCHANGE(name)
#define TILE_EXCHANGE_OF(name)
#define TILE_EXCHANGE_PARAMETER

// Row of the tile to which sum[i][...] belongs, and column of sum[...][j].
static inline uint tile_row(const uint i, const uint lane)
{
  return i / 4 * 4 * SIDE + lane / SIDE * 4 + i % 4;
}

static inline uint tile_column(const uint j, const uint lane)
{
  return j / 4 * 4 * SIDE + lane % SIDE * 4 + j % 4;
}

#else

// tf32 is a float32 with ten bits behind the point. 32 neighbouring work-items (a warp) multiply
// 16 x 8 by 8 x 8 numbers at once; each holds four of the left, two of the right, four sums.
#if SIDE % 8 || TILE_INNER % 8
#error "tensor cores need SIDE and TILE_INNER to be multiples of 8"
#endif
// A warp owns WARP_ROWS x WARP_COLUMNS of the tile.
#define WARP_ROWS (ITEM_ROWS * 8)
#define WARP_COLUMNS (ITEM_COLUMNS * 4)
#define WARPS_ACROSS (TILE_COLUMNS / WARP_COLUMNS)
// The lines of a quad of lanes start eight banks apart, and the quad's eight numbers fill them.
#define TILE_MARGIN 8

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

// sum[i][j] += the product of both tiles at (tile_row(i), tile_column(j)), in the order of k.
static inline void keel_tile_multiply(
    __local const float (*left_tile)[TILE_ROWS + TILE_MARGIN],
    __local const float (*right_tile)[TILE_COLUMNS + TILE_MARGIN],
    float (*sum)[ITEM_COLUMNS],
    const uint lane TILE_EXCHANGE_PARAMETER)
{
#if KEEL_PRODUCT == KEEL_MULTIPLY_ADD
  #pragma unroll 4
  for (uint k = 0; k < TILE_INNER; ++k) {
    float left[ITEM_ROWS], right[ITEM_COLUMNS];
    #pragma unroll
    for (uint i = 0; i < ITEM_ROWS; i += 4) {
      vstore4(vload4(0, &left_tile[k][tile_row(i, lane)]), 0, left + i);
    }
    #pragma unroll
    for (uint j = 0; j < ITEM_COLUMNS; j += 4) {
      vstore4(vload4(0, &right_tile[k][tile_column(j, lane)]), 0, right + j);
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
        right[j][part] = keel_tf32(right_tile[k + across + part * 4][right_column + j * 8]);
      }
    }
    #pragma unroll TILE_UNROLL
    for (uint i = 0; i < ITEM_ROWS; i += 2) {
      uint left[4];
      #pragma unroll
      for (uint part = 0; part < 2; ++part) {
        left[part * 2] = keel_tf32(left_tile[k + across + part * 4][tile_row(i, lane)]);
        left[part * 2 + 1] = keel_tf32(left_tile[k + across + part * 4][tile_row(i + 1, lane)]);
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
