// Copies between regular patterns.

// The element's type: uint for four bytes of any meaning, uchar for one.
#ifndef TYPE
#define TYPE uint
#endif
#if KEEL_WIDTH == 1
#define LOAD(p) (*(p))
#define STORE(v, p) (*(p) = (v))
#else
#define LOAD(p) KEEL_JOIN(vload, KEEL_WIDTH)(0, p)
#define STORE(v, p) KEEL_JOIN(vstore, KEEL_WIDTH)(v, 0, p)
#endif
// How many axes enclose the innermost: 0 to 7.
#ifndef OUTER
#define OUTER 1
#endif
#if OUTER < 0 || OUTER > 7
#error "OUTER must lie between 0 and 7"
#endif

// The place in a pattern of the index `rest`, row-major over the outer axes, innermost first.
static inline long keel_place(uint rest, const uint8 extents, const int8 strides)
{
  long place = 0;
#define STEP(n) \
  place += (long)(rest % extents.s##n) * strides.s##n; \
  rest /= extents.s##n;
#if OUTER > 0
  STEP(0)
#endif
#if OUTER > 1
  STEP(1)
#endif
#if OUTER > 2
  STEP(2)
#endif
#if OUTER > 3
  STEP(3)
#endif
#if OUTER > 4
  STEP(4)
#endif
#if OUTER > 5
  STEP(5)
#endif
#if OUTER > 6
  STEP(6)
#endif
  (void)rest;
  (void)extents;
  (void)strides;
  return place;
}

// strided_copy_rows — y[to(row) + c] = x[from(row) + c]: the innermost axis is dense in both.
//
// Buffers    x, y: any; patterns as extents and strides of the outer axes, innermost first.
// Work       one work-item per part of a row, or per several rows: item = row part * column parts
//            + column part.
// Requires   nothing; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLStridedCopy.swift
// Checked    Sources/KeelCases/StridedCopyCases.swift
// Why        clEnqueueCopyBuffer is single-threaded on some drivers.
__kernel void strided_copy_rows(
    __global const TYPE *restrict x,
    __global TYPE *restrict y,
    const long x_offset,
    const long y_offset,
    const uint8 extents,
    const int8 x_strides,
    const int8 y_strides,
    const uint rows,
    const ulong columns,
    const uint column_parts,
    const ulong part_columns,
    const uint part_rows)
{
  const size_t item = get_global_id(0);
  const size_t first = item % column_parts * part_columns;
  const size_t end = min((size_t)columns, (size_t)(first + part_columns));
  const size_t start_row = item / column_parts * part_rows;
  const size_t end_row = min((size_t)rows, (size_t)(start_row + part_rows));
  for (size_t row = start_row; row < end_row; ++row) {
    __global const TYPE *from = x + x_offset + keel_place((uint)row, extents, x_strides);
    __global TYPE *to = y + y_offset + keel_place((uint)row, extents, y_strides);
    size_t i = first;
    for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) STORE(LOAD(from + i), to + i);
#if KEEL_WIDTH > 1
    for (; i < end; ++i) to[i] = from[i];
#endif
  }
}

// strided_copy_elements — y[to(row) + c * y_step] = x[from(row) + c * x_step].
//
// Buffers    x, y: any; patterns as extents and strides of the outer axes, innermost first.
// Work       one work-item per part of a row: axis 0 = part, axis 1 = row.
// Requires   nothing; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLStridedCopy.swift
// Checked    Sources/KeelCases/StridedCopyCases.swift
// Why        the form that takes every pattern: reversed, stepped, stretched.
__kernel void strided_copy_elements(
    __global const TYPE *restrict x,
    __global TYPE *restrict y,
    const long x_offset,
    const long y_offset,
    const uint8 extents,
    const int8 x_strides,
    const int8 y_strides,
    const uint rows,
    const uint columns,
    const int x_step,
    const int y_step,
    const uint column_parts,
    const uint part_columns,
    const uint part_rows)
{
  const size_t item = get_global_id(0);
  const uint first = (uint)(item % column_parts) * part_columns;
  const uint end = min(columns, first + part_columns);
  const size_t start_row = item / column_parts * part_rows;
  const size_t end_row = min((size_t)rows, (size_t)(start_row + part_rows));
  for (size_t row = start_row; row < end_row; ++row) {
    __global const TYPE *from = x + x_offset + keel_place((uint)row, extents, x_strides);
    __global TYPE *to = y + y_offset + keel_place((uint)row, extents, y_strides);
    for (uint i = first; i < end; ++i) to[(long)i * y_step] = from[(long)i * x_step];
  }
}

#if KEEL_GROUP == 1

// Four rounds of this, on rows r and r + 8, turn a tile of 16 x 16: each round moves one bit of
// the row's number to the column's.
#define VECTOR16 KEEL_JOIN(TYPE, 16)
#define LOW(a, b) \
  ((VECTOR16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, \
              a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))
#define HIGH(a, b) \
  ((VECTOR16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, \
              a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf))
#define PAIR(to, from, n, low, high) \
  const VECTOR16 to##low = LOW(from##n, KEEL_JOIN(from, EIGHT_##n)); \
  const VECTOR16 to##high = HIGH(from##n, KEEL_JOIN(from, EIGHT_##n));
#define EIGHT_0 8
#define EIGHT_1 9
#define EIGHT_2 10
#define EIGHT_3 11
#define EIGHT_4 12
#define EIGHT_5 13
#define EIGHT_6 14
#define EIGHT_7 15
#define ROUND(to, from) \
  PAIR(to, from, 0, 0, 1) PAIR(to, from, 1, 2, 3) PAIR(to, from, 2, 4, 5) \
  PAIR(to, from, 3, 6, 7) PAIR(to, from, 4, 8, 9) PAIR(to, from, 5, 10, 11) \
  PAIR(to, from, 6, 12, 13) PAIR(to, from, 7, 14, 15)
#define SIXTEEN(DO) \
  DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) \
  DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
// A vector that starts at any element; see keel_any16 in the prelude.
typedef VECTOR16 __attribute__((aligned(sizeof(TYPE)))) any16;

static inline void turn(
    __global const TYPE *from, const long x_step, __global TYPE *to, const long y_step)
{
#define READ(n) const VECTOR16 a##n = *(__global const any16 *)(from + n * x_step);
  SIXTEEN(READ)
  ROUND(b, a)
  ROUND(c, b)
  ROUND(d, c)
  ROUND(e, d)
#define WRITE(n) *(__global any16 *)(to + n * y_step) = e##n;
  SIXTEEN(WRITE)
}

// strided_copy_transpose — y[to(b) + r * y_step + c] = x[from(b) + r + c * x_step].
//
// Buffers    x, y: any; patterns of the enclosing index b as extents and strides.
// Work       one work-item per block of BLOCK x BLOCK: item = (b, block row, block column).
// Requires   nothing; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLStridedCopy.swift
// Checked    Sources/KeelCases/StridedCopyCases.swift
// Why        tiles of 16 x 16 turn in registers; a block of several keeps to few pages at a time.
#define BLOCK 64
__kernel void strided_copy_transpose(
    __global const TYPE *restrict x,
    __global TYPE *restrict y,
    const long x_offset,
    const long y_offset,
    const uint8 extents,
    const int8 x_strides,
    const int8 y_strides,
    const uint rows,
    const uint columns,
    const int x_step,
    const int y_step)
{
  const size_t item = get_global_id(0);
  const uint across = (columns + BLOCK - 1) / BLOCK;
  const uint down = (rows + BLOCK - 1) / BLOCK;
  const uint first_c = (uint)(item % across) * BLOCK;
  const uint first_r = (uint)(item / across % down) * BLOCK;
  const uint b = (uint)(item / across / down);
  __global const TYPE *from = x + x_offset + keel_place(b, extents, x_strides);
  __global TYPE *to = y + y_offset + keel_place(b, extents, y_strides);
  const uint end_r = min(rows, first_r + BLOCK);
  const uint end_c = min(columns, first_c + BLOCK);
  for (uint r = first_r; r < end_r; r += 16) {
    for (uint c = first_c; c < end_c; c += 16) {
      __global const TYPE *source = from + r + (long)c * x_step;
      __global TYPE *target = to + (long)r * y_step + c;
      if (r + 16 <= end_r && c + 16 <= end_c) {
        turn(source, x_step, target, y_step);
        continue;
      }
      const uint height = min(16u, end_r - r);
      const uint width = min(16u, end_c - c);
      for (uint i = 0; i < height; ++i) {
        for (uint k = 0; k < width; ++k) {
          target[(long)i * y_step + k] = source[i + (long)k * x_step];
        }
      }
    }
  }
}

#else

// strided_copy_transpose_team — the same, by teams of 16 x 16 work-items.
//
// Buffers    x, y: any; patterns of the enclosing index b as extents and strides.
// Work       one team of 256 per tile of 16 x 16, numbered (b, tile row, tile column).
// Requires   KEEL_GROUP 256.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLStridedCopy.swift
// Checked    Sources/KeelCases/StridedCopyCases.swift
// Why        neighbouring lanes touch neighbouring elements on both sides; the odd pitch keeps
//            columns of the tile in different banks.
#if KEEL_GROUP != 256
#error "KEEL_GROUP must be 256"
#endif
__kernel void strided_copy_transpose_team(
    __global const TYPE *restrict x,
    __global TYPE *restrict y,
    const long x_offset,
    const long y_offset,
    const uint8 extents,
    const int8 x_strides,
    const int8 y_strides,
    const uint rows,
    const uint columns,
    const int x_step,
    const int y_step)
{
  __local TYPE tile[16][17];
  const size_t team = KEEL_TEAM;
  const uint across = (columns + 15) / 16;
  const uint down = (rows + 15) / 16;
  const uint c0 = (uint)(team % across) * 16;
  const uint r0 = (uint)(team / across % down) * 16;
  const uint b = (uint)(team / across / down);
  const uint fast = KEEL_LANE % 16;
  const uint slow = KEEL_LANE / 16;
  __global const TYPE *from = x + x_offset + keel_place(b, extents, x_strides);
  __global TYPE *to = y + y_offset + keel_place(b, extents, y_strides);
  if (r0 + fast < rows && c0 + slow < columns) {
    tile[slow][fast] = from[r0 + fast + (long)(c0 + slow) * x_step];
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the tile is whole
  if (r0 + slow < rows && c0 + fast < columns) {
    to[(long)(r0 + slow) * y_step + c0 + fast] = tile[fast][slow];
  }
}

#endif
