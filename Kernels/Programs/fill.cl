// All elements set to one value.

// The element's type: uint for four bytes of any meaning, uchar for one.
#ifndef TYPE
#define TYPE uint
#endif
#if KEEL_WIDTH == 1
#define VECTOR TYPE
#else
#define VECTOR KEEL_JOIN(TYPE, KEEL_WIDTH)
#endif

// fill — y[i] = value.
//
// Buffers    y: count elements.
// Work       one work-item per chunk of elements, in vectors of KEEL_WIDTH.
// Requires   chunk is a multiple of KEEL_WIDTH; y starts aligned to 64 bytes.
// Numerics   exact: the host converts the value.
// Launched   Sources/KeelOpenCL/OpenCLFill.swift
// Checked    Sources/KeelCases/FillCases.swift
// Why        clEnqueueFillBuffer is slow on some drivers and cannot be captured; it fills what is
//            small and not part of a captured step.
__kernel void fill(
    __global TYPE *restrict y,
    const uint value,
    const ulong count,
    const ulong chunk)
{
  size_t i = get_global_id(0) * chunk;
  const size_t end = min((size_t)count, (size_t)(i + chunk));
  for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) {
    *(__global VECTOR *)(y + i) = (VECTOR)((TYPE)value);
  }
  for (; i < end; ++i) y[i] = (TYPE)value;
}
