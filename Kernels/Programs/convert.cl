// Elements of 16 bits to float32 and back; prelude_half.cl says how.

// convert_to_float32 — y[i] = x[i], the number that 16 bits stand for.
//
// Buffers    x: count elements of 16 bits; y: count.
// Work       one work-item per chunk of elements, in vectors of KEEL_WIDTH.
// Requires   chunk is a multiple of KEEL_WIDTH; both start aligned to 64 bytes.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLConvert.swift
// Checked    Sources/KeelCases/ConvertCases.swift
// Why        operations without kernels for 16-bit elements run on such copies.
__kernel void convert_to_float32(
    __global const keel_stored *restrict x,
    __global float *restrict y,
    const ulong count,
    const ulong chunk)
{
  size_t i = get_global_id(0) * chunk;
  const size_t end = min((size_t)count, (size_t)(i + chunk));
  for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) keel_store_aligned(keel_get(x + i), y + i);
  for (; i < end; ++i) y[i] = keel_get_one(x + i);
}

// convert_from_float32 — y[i] = x[i] in 16 bits.
//
// Buffers    x: count; y: count elements of 16 bits.
// Work       one work-item per chunk of elements, in vectors of KEEL_WIDTH.
// Requires   chunk is a multiple of KEEL_WIDTH; both start aligned to 64 bytes.
// Numerics   rounded to nearest, ties to even; too large becomes infinity; NaN stays one.
// Launched   Sources/KeelOpenCL/OpenCLConvert.swift
// Checked    Sources/KeelCases/ConvertCases.swift
// Why        one launch refreshes the 16-bit copy of all parameters.
__kernel void convert_from_float32(
    __global const float *restrict x,
    __global keel_stored *restrict y,
    const ulong count,
    const ulong chunk)
{
  size_t i = get_global_id(0) * chunk;
  const size_t end = min((size_t)count, (size_t)(i + chunk));
  for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) keel_set(keel_load_aligned(x + i), y + i);
  for (; i < end; ++i) keel_set_one(x[i], y + i);
}
