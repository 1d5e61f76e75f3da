// argmax — y[o, i] = the smallest a with x[o, a, i] the largest; the first NaN if there is one.
//
// Buffers    x: outer x extent x inner; y: outer x inner, int.
// Work       one work-item per item_results results.
// Requires   extent > 0; any local size.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLArgmax.swift
// Checked    Sources/KeelCases/ArgmaxCases.swift
// Why        classes are few and rows many: one walk along the axis each.
__kernel void argmax(
    __global const float *restrict x,
    __global int *restrict y,
    const uint extent,
    const ulong inner,
    const ulong results,
    const uint item_results)
{
  const size_t start = get_global_id(0) * item_results;
  const size_t stop = min((size_t)results, (size_t)(start + item_results));
  for (size_t result = start; result < stop; ++result) {
    __global const float *from = x + result / inner * extent * inner + result % inner;
    float best = from[0];
    int place = 0;
    for (uint a = 1; a < extent; ++a) {
      const float value = from[a * inner];
      // A NaN beats every number, and nothing beats a NaN.
      if (value > best || (keel_is_nan(value) && !keel_is_nan(best))) {
        best = value;
        place = (int)a;
      }
    }
    y[result] = place;
  }
}
