// Operands of matrix products in panels, for CPU-class devices; matmul.cl and the recurrent layers
// read them.

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
        float16 turned[16];
        keel_turn_block(from + (size_t)i * line_step + start, line_step, turned);
#pragma unroll
        for (uint k = 0; k < 16; ++k) *(__global keel_any16 *)(t + (size_t)k * width) = turned[k];
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
