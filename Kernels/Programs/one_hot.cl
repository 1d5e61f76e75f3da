// one_hot — y[k, c] = 1 where indices[k] = c, else 0; a row of zeros for an index outside.
//
// Buffers    indices: rows, int; y: rows x classes.
// Work       one work-item per item_rows rows.
// Requires   nothing; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLOneHot.swift
// Checked    Sources/KeelCases/OneHotCases.swift
// Why        a row is written front to back, once.
__kernel void one_hot(
    __global const int *restrict indices,
    __global float *restrict y,
    const uint rows,
    const uint classes,
    const uint item_rows)
{
  const size_t start = get_global_id(0) * item_rows;
  const size_t stop = min((size_t)rows, (size_t)(start + item_rows));
  for (size_t row = start; row < stop; ++row) {
    const int index = indices[row];
    __global float *to = y + row * classes;
    for (uint c = 0; c < classes; ++c) to[c] = index >= 0 && (uint)index == c ? 1.0f : 0.0f;
  }
}
