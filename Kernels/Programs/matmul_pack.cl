// Operands of matrix products in panels, for CPU-class devices; matmul.cl and the recurrent layers
// read them.

// Interleaves the elements of two vectors, or their pairs, inside each quad.
#define ONES_LOW(a, b)                                                        \
  (float16)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5,                   \
            a.s8, b.s8, a.s9, b.s9, a.sc, b.sc, a.sd, b.sd)
#define ONES_HIGH(a, b)                                                       \
  (float16)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7,                   \
            a.sa, b.sa, a.sb, b.sb, a.se, b.se, a.sf, b.sf)
#define PAIRS_LOW(a, b) \
  (float16)(a.s01, b.s01, a.s45, b.s45, a.s89, b.s89, a.scd, b.scd)
#define PAIRS_HIGH(a, b) \
  (float16)(a.s23, b.s23, a.s67, b.s67, a.sab, b.sab, a.sef, b.sef)

// to[k, i] = from[i, k] for sixteen by sixteen elements: whole cache lines are read, turned round
// in registers, and written.
static inline void turn_block(
    __global const keel_stored *from, const size_t from_step, __global float *to,
    const size_t to_step)
{
  // quads[g][j] holds, in quad b, step 4 b + j of lines 4 g ... 4 g + 3.
  float16 quads[4][4];
#pragma unroll
  for (uint g = 0; g < 4; ++g) {
    __global const keel_stored *line = from + 4 * g * from_step;
    const float16 l0 = keel_get(line);
    const float16 l1 = keel_get(line + from_step);
    const float16 l2 = keel_get(line + 2 * from_step);
    const float16 l3 = keel_get(line + 3 * from_step);
    const float16 low01 = ONES_LOW(l0, l1);
    const float16 low23 = ONES_LOW(l2, l3);
    const float16 high01 = ONES_HIGH(l0, l1);
    const float16 high23 = ONES_HIGH(l2, l3);
    quads[g][0] = PAIRS_LOW(low01, low23);
    quads[g][1] = PAIRS_HIGH(low01, low23);
    quads[g][2] = PAIRS_LOW(high01, high23);
    quads[g][3] = PAIRS_HIGH(high01, high23);
  }
#pragma unroll
  for (uint j = 0; j < 4; ++j) {
    const float16 a = quads[0][j];
    const float16 b = quads[1][j];
    const float16 c = quads[2][j];
    const float16 d = quads[3][j];
    __global float *line = to + j * to_step;
    *(__global keel_any16 *)line = (float16)(a.lo.lo, b.lo.lo, c.lo.lo, d.lo.lo);
    line += 4 * to_step;
    *(__global keel_any16 *)line = (float16)(a.lo.hi, b.lo.hi, c.lo.hi, d.lo.hi);
    line += 4 * to_step;
    *(__global keel_any16 *)line = (float16)(a.hi.lo, b.hi.lo, c.hi.lo, d.hi.lo);
    line += 4 * to_step;
    *(__global keel_any16 *)line = (float16)(a.hi.hi, b.hi.hi, c.hi.hi, d.hi.hi);
  }
}

// matmul_pack — p[panel, k, i] = m[panel * width + i, k], zero beyond the last of the lines.
//
// Buffers    m: lines x inner elements at (line * line_step + k * inner_step), batch_step apart
//            per matrix; packed: batch x panels x inner x width.
// Work       one work-item per panel: axis 0 = panel, axis 1 = batch.
// Requires   local size 1 x 1; one of the two steps is 1.
// Numerics   exact: elements are copied.
// Launched   Sources/KeelOpenCL/OpenCLMatmulTiles.swift
// Checked    Sources/KeelCases/MatmulCases.swift
// Why        a panel is read front to back by every tile that needs it: no address arithmetic, no
//            two lines on one cache set when the width of the matrix is a power of two.
__kernel __attribute__((reqd_work_group_size(1, 1, 1)))
void matmul_pack(
    __global const keel_stored *restrict m,
    __global float *restrict packed,
    const uint lines,
    const uint inner,
    const uint line_step,
    const uint inner_step,
    const uint width,
    const ulong batch_step)
{
  const uint panel = get_global_id(0);
  const uint first = panel * width;
  const uint used = min(width, lines - first);
  __global const keel_stored *from = m + get_global_id(1) * batch_step + (size_t)first * line_step;
  __global float *to =
      packed + ((size_t)get_global_id(1) * get_global_size(0) + panel) * inner * width;
  if (line_step == 1) {
    for (uint k = 0; k < inner; ++k) {
      __global const keel_stored *row = from + (size_t)k * inner_step;
      uint i = 0;
#ifdef KEEL_HALF
      for (; i + 16 <= used; i += 16) keel_store(keel_get(row + i), to + i);
#else
      for (; i + 8 <= used; i += 8) vstore8(vload8(0, row + i), 0, to + i);
#endif
      for (; i < used; ++i) to[i] = keel_get_one(row + i);
      for (; i < width; ++i) to[i] = 0.0f;
      to += width;
    }
    return;
  }
  for (uint start = 0; start < inner; start += 16) {
    const uint stop = min(start + 16u, inner);
    for (uint i = 0; i < width; i += 16) {
      __global float *t = to + (size_t)start * width + i;
      if (i + 16 <= used && stop - start == 16u) {
        turn_block(from + (size_t)i * line_step + start, line_step, t, width);
        continue;
      }
      for (uint l = i; l < min(i + 16u, width); ++l, ++t) {
        for (uint k = start; k < stop; ++k) {
          t[(size_t)(k - start) * width] =
              l < used ? keel_get_one(from + (size_t)l * line_step + (size_t)k * inner_step)
                       : 0.0f;
        }
      }
    }
  }
}
