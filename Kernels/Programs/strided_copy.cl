// Copies between regular patterns.

// The element's type: uint for four bytes of any meaning, uchar for one.
#ifndef TYPE
#define TYPE uint
#endif
// Whether elements are four bytes, which keel_put can store past the caches.
#define FOUR_BYTES_uint 1
#if KEEL_WIDTH == 1
#define LOAD(p) (*(p))
#define STORE(v, p, past) ((void)(past), *(p) = (v))
#elif KEEL_WIDTH == 16
// A vector that starts at any element; see keel_any16 in the prelude.
#define VECTOR KEEL_JOIN(TYPE, 16)
typedef VECTOR __attribute__((aligned(sizeof(TYPE)))) any_vector;
typedef KEEL_JOIN(TYPE, 8) __attribute__((aligned(sizeof(TYPE)))) any_eight;
typedef KEEL_JOIN(TYPE, 4) __attribute__((aligned(sizeof(TYPE)))) any_four;
#define LOAD(p) (*(__global const any_vector *)(p))
#if KEEL_JOIN(FOUR_BYTES_, TYPE)
#define STORE(v, p, past) keel_put(as_float16(v), (__global float *)(p), past)
#else
#define STORE(v, p, past) ((void)(past), *(__global any_vector *)(p) = (v))
#endif
#else
#define LOAD(p) KEEL_JOIN(vload, KEEL_WIDTH)(0, p)
#define STORE(v, p, past) ((void)(past), KEEL_JOIN(vstore, KEEL_WIDTH)(v, 0, p))
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
#if OUTER == 1
  (void)extents;
  return (long)rest * strides.s0;
#endif
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
// Why        clEnqueueCopyBuffer is single-threaded on some drivers and cannot be captured.
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
    const bool past = keel_goes_past((__global const float *)(to + first), rows * columns);
    size_t i = first;
    for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) STORE(LOAD(from + i), to + i, past);
#if KEEL_WIDTH == 16
    if (i + 8 <= end) {
      *(__global any_eight *)(to + i) = *(__global const any_eight *)(from + i);
      i += 8;
    }
    if (i + 4 <= end) {
      *(__global any_four *)(to + i) = *(__global const any_four *)(from + i);
      i += 4;
    }
#endif
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

#if KEEL_GROUP == 1 && KEEL_WIDTH == 16

// Four rounds of this, on rows r and r + 8, turn a tile of 16 x 16: each round moves one bit of
// the row's number to the column's.
#define LOW(a, b) \
  ((VECTOR)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, \
            a.s4, b.s4, a.s5, b.s5, a.s6, b.s6, a.s7, b.s7))
#define HIGH(a, b) \
  ((VECTOR)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, \
            a.sc, b.sc, a.sd, b.sd, a.se, b.se, a.sf, b.sf))
#define PAIR(to, from, n, low, high) \
  const VECTOR to##low = LOW(from##n, KEEL_JOIN(from, EIGHT_##n)); \
  const VECTOR to##high = HIGH(from##n, KEEL_JOIN(from, EIGHT_##n));
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

static inline void turn(
    __global const TYPE *from, const long x_step, __global TYPE *to, const long y_step,
    const bool past)
{
#define READ(n) const VECTOR a##n = LOAD(from + n * x_step);
  SIXTEEN(READ)
  ROUND(b, a)
  ROUND(c, b)
  ROUND(d, c)
  ROUND(e, d)
#define WRITE(n) STORE(e##n, to + n * y_step, past);
  SIXTEEN(WRITE)
}

// strided_copy_transpose — y[to(b) + r * y_step + c] = x[from(b) + r + c * x_step].
//
// Buffers    x, y: any; patterns of the enclosing index b as extents and strides.
// Work       one work-item per block of BLOCK_ROWS x BLOCK_COLUMNS: item = (b, block row, block
//            column).
// Requires   the items of the blocks and no more; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLStridedCopy.swift
// Checked    Sources/KeelCases/StridedCopyCases.swift
// Why        tiles of 16 x 16 turn in registers; x is read along r in runs of a KiB, as prefetchers
//            like it, and y written in whole lines.
#define BLOCK_ROWS 256
#define BLOCK_COLUMNS 32
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
  const uint across = (columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
  const uint down = (rows + BLOCK_ROWS - 1) / BLOCK_ROWS;
  const uint first_c = (uint)(item % across) * BLOCK_COLUMNS;
  const uint first_r = (uint)(item / across % down) * BLOCK_ROWS;
  const uint b = (uint)(item / across / down);
  __global const TYPE *from = x + x_offset + keel_place(b, extents, x_strides);
  __global TYPE *to = y + y_offset + keel_place(b, extents, y_strides);
  const uint end_r = min(rows, first_r + BLOCK_ROWS);
  const uint end_c = min(columns, first_c + BLOCK_COLUMNS);
  const size_t count = get_global_size(0) / across / down * rows * columns;
  const bool past = y_step % 8 == 0 && keel_goes_past((__global const float *)to, count);
  for (uint c = first_c; c < end_c; c += 16) {
    for (uint r = first_r; r < end_r; r += 16) {
      __global const TYPE *source = from + r + (long)c * x_step;
      __global TYPE *target = to + (long)r * y_step + c;
      if (r + 16 <= end_r && c + 16 <= end_c) {
        turn(source, x_step, target, y_step, past);
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

#elif KEEL_GROUP > 1

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
