// Rows picked by index, and the sum back.

// gather — y[o, k, i] = x[o, indices[k], i]; 0 where the index lies outside 0 ..< extent.
//
// Buffers    x: outer x extent x inner; indices: picks, int; y: outer x picks x inner.
// Work       one work-item per item_rows rows (o, k) and part of inner: item = rows part * column
//            parts + column part.
// Requires   nothing; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLGather.swift
// Checked    Sources/KeelCases/GatherCases.swift
// Why        the index is read once per row, the row in vectors.
__kernel void gather(
    __global const float *restrict x,
    __global const int *restrict indices,
    __global float *restrict y,
    const ulong rows,
    const uint extent,
    const uint picks,
    const uint inner,
    const uint column_parts,
    const uint part_columns,
    const uint item_rows)
{
  const size_t item = get_global_id(0);
  const uint first = (uint)(item % column_parts) * part_columns;
  const uint end = min(inner, first + part_columns);
  const size_t start = item / column_parts * item_rows;
  const size_t stop = min((size_t)rows, (size_t)(start + item_rows));
  for (size_t row = start; row < stop; ++row) {
    const int index = indices[row % picks];
    __global float *to = y + row * inner;
    uint i = first;
    if (index < 0 || (uint)index >= extent) {
      for (; i < end; ++i) to[i] = 0.0f;
      continue;
    }
    __global const float *from = x + (row / picks * extent + index) * inner;
    for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) keel_store(keel_load(from + i), to + i);
#if KEEL_WIDTH > 1
    for (; i < end; ++i) to[i] = from[i];
#endif
  }
}

// gather_gradient — dx[o, e, i] = sum over k with indices[k] = e of dy[o, k, i], k ascending.
//
// Buffers    dy: outer x picks x inner; indices: picks, int; dx: outer x extent x inner.
// Work       one work-item per (e, vector of KEEL_WIDTH columns): axis 0 = vector, axis 1 = e.
// Requires   any local size.
// Numerics   one chain per element in the order of the picks; no atomics, so two runs agree.
// Launched   Sources/KeelOpenCL/OpenCLGather.swift
// Checked    Sources/KeelCases/GatherCases.swift
// Why        scattering would need atomics, whose order is not fixed; sixteen indices are compared
//            at once, and most of them are not e.
__kernel void gather_gradient(
    __global const float *restrict dy,
    __global const int *restrict indices,
    __global float *restrict dx,
    const uint outer,
    const uint extent,
    const uint picks,
    const uint inner)
{
  const uint first = get_global_id(0) * KEEL_WIDTH;
  const uint e = get_global_id(1);
  if (first >= inner || e >= extent) return;
  const uint count = min((uint)KEEL_WIDTH, inner - first);
  for (uint o = 0; o < outer; ++o) {
    floats sum = (floats)(0.0f);
    __global const float *from = dy + (size_t)o * picks * inner + first;
    uint k = 0;
    for (; k < picks; ++k) {
      // Skip sixteen at a time while none of them is e.
      while (k + 16 <= picks && !any(vload16(0, indices + k) == (int)e)) k += 16;
      if (k >= picks) break;
      if (indices[k] != (int)e) continue;
#if KEEL_WIDTH == 1
      sum += from[(size_t)k * inner];
#else
      if (count == KEEL_WIDTH) {
        sum += keel_load(from + (size_t)k * inner);
      } else {
        sum += keel_load_part(from + (size_t)k * inner, 0, count, 0.0f);
      }
#endif
    }
    __global float *to = dx + ((size_t)o * extent + e) * inner + first;
#if KEEL_WIDTH == 1
    *to = sum;
    (void)count;
#else
    float part[KEEL_WIDTH];
    keel_store(sum, part);
    for (uint c = 0; c < count; ++c) to[c] = part[c];
#endif
  }
}
