// The histograms of tensors from those of their chunks.

// gradient_telescope_histogram — histogram[tensor] = sum of the bins of its chunks.
//
// Buffers    bins: chunks x 16 ushort; tensors: tensors x 2 (first chunk, chunks); histogram:
//            tensors x 16.
// Work       a team per tensor; each lane adds every KEEL_GROUP-th chunk, then a tree.
// Requires   local size KEEL_GROUP.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLGradientTelescope.swift
// Checked    Sources/KeelCases/GradientTelescopeCases.swift
// Why        a launch of its own, since most steps want no histogram.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void gradient_telescope_histogram(
    __global const ushort *restrict bins,
    __global const int2 *restrict tensors,
    __global int *restrict histogram)
{
  __local int16 scratch[KEEL_GROUP];
  const uint t = KEEL_TEAM;
  const int2 tensor = tensors[t];
  int16 sum = (int16)(0);
  for (int i = KEEL_LANE; i < tensor.y; i += KEEL_GROUP) {
    sum += convert_int16(vload16(tensor.x + i, bins));
  }
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  scratch[lane] = sum;
  for (uint reach = KEEL_GROUP / 2; reach > 0; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the sums of the level before are stored
    if (lane < reach) {
      sum += scratch[lane + reach];
      scratch[lane] = sum;
    }
  }
#else
  (void)scratch;
#endif
  if (KEEL_LANE == 0) vstore16(sum, t, histogram);
}
