// One formula over the elements of arrays. The host replaces the part between the two marks by
// the formula at hand; as it stands here it is y = x0 * p0.

// How an input becomes numbers: `type` is its element type, float, int, uchar, or ushort for the
// 16-bit type that KEEL_HALF says.
#if KEEL_WIDTH == 1
#define CONVERT convert_float
#else
#define CONVERT KEEL_JOIN(convert_float, KEEL_WIDTH)
#endif
// The first `count` elements at x, fewer than a vector; the last of them fills the rest.
#if KEEL_WIDTH > 1
#define DEFINE_LAST(type) \
  __attribute__((unused)) static inline floats last_##type( \
      __global const type *x, const uint count) \
  { \
    float part[KEEL_WIDTH]; \
    for (uint k = 0; k < KEEL_WIDTH; ++k) part[k] = convert_float(x[min(k, count - 1)]); \
    return keel_load(part); \
  }
DEFINE_LAST(float)
DEFINE_LAST(int)
DEFINE_LAST(uchar)
#define LAST(type, x) last_##type(x, (uint)(end - i))
#define last_ushort(x, count) keel_get_part(x, 0, count)
#endif
#define ONE(type, x) ONE_##type(x)
#define ONE_float(x) ((floats)(*(x)))
#define ONE_int(x) ((floats)(convert_float(*(x))))
#define ONE_uchar(x) ((floats)(convert_float(*(x))))
#define ONE_ushort(x) ((floats)(keel_get_one(x)))
#define RUN(type, x) RUN_##type(x)
#define RUN_float(x) keel_load(x)
#define RUN_int(x) CONVERT(keel_load(x))
#define RUN_uchar(x) CONVERT(keel_load(x))
#define RUN_ushort(x) keel_get(x)
// Aligned: the compiler may then load the vector at once.
#define ALIGNED(type, x) ALIGNED_##type(x)
#define ALIGNED_float(x) (*(__global const floats *)(x))
#define ALIGNED_int(x) CONVERT(*(__global const KEEL_JOIN(int, KEEL_WIDTH) *)(x))
#define ALIGNED_uchar(x) CONVERT(*(__global const KEEL_JOIN(uchar, KEEL_WIDTH) *)(x))
#define ALIGNED_ushort(x) keel_get(x)
#if KEEL_WIDTH == 1
#define float1 float
#define int1 int
#define uchar1 uchar
#endif

// The error function to 2 units in the last place: x + x * p(x^2) near 0, elsewhere
// 1 - exp(q(|x|)). Minimax-like polynomials through Chebyshev points of erf(x) / x - 1 on 0 to 0.95
// and of log(erfc(x)) on 0.9 to 4.05; beyond 4 the result rounds to 1. The built-in one is computed
// lane by lane on some drivers.
__attribute__((unused)) static inline floats error_function(const floats x)
{
  const floats square = x * x;
  floats p = (floats)(8.20979694e-05f);
  p = fma(p, square, (floats)(-0.00081044418f));
  p = fma(p, square, (floats)(0.00519764237f));
  p = fma(p, square, (floats)(-0.0268580317f));
  p = fma(p, square, (floats)(0.112836711f));
  p = fma(p, square, (floats)(-0.376126319f));
  p = fma(p, square, (floats)(0.128379166f));
  const floats near = fma(x, p, x);
  // A comparison, not fmin: a NaN must stay.
  const floats size = fabs(x);
  const floats a = (size > 4.0f) ? (floats)(4.0f) : size;
  floats q = (floats)(-4.10894359e-08f);
  q = fma(q, a, (floats)(2.50992321e-06f));
  q = fma(q, a, (floats)(-5.40497203e-05f));
  q = fma(q, a, (floats)(0.000638077618f));
  q = fma(q, a, (floats)(-0.00489159906f));
  q = fma(q, a, (floats)(0.0266911816f));
  q = fma(q, a, (floats)(-0.11043179f));
  q = fma(q, a, (floats)(-0.631546378f));
  q = fma(q, a, (floats)(-1.13035583f));
  q = fma(q, a, (floats)(0.00034237263f));
  const floats far = copysign((floats)(1.0f) - exp(q), x);
  return (size < 0.95f) ? near : far;
}

// x rounded to half precision and back, exactly: ties to even, infinite from 65520 on. Where the
// device converts to half itself is not asked, so that every device gives the same bits.
#if KEEL_WIDTH == 1
#define BITS_OF as_int
#define FLOATS_OF as_float
#else
#define BITS_OF KEEL_JOIN(as_int, KEEL_WIDTH)
#define FLOATS_OF KEEL_JOIN(as_float, KEEL_WIDTH)
#endif
__attribute__((unused)) static inline floats rounded_to_half(const floats x)
{
  const floats size = fabs(x);
  // A half below 2^-14 is a multiple of 2^-24, which is what a float from 0.5 to 1 is.
  const floats small = (size + 0.5f) - 0.5f;
  // Elsewhere 13 digits go: half of the last kept one is added, less a bit where that is even.
  const floats rounded =
      FLOATS_OF((BITS_OF(size) + 0xfff + ((BITS_OF(size) >> 13) & 1)) & ~0x1fff);
  const floats large = (rounded >= 65536.0f) ? (floats)(INFINITY) : rounded;
  const floats result = copysign((size < 0x1p-14f) ? small : large, x);
  return (x != x) ? x : result;
}

// 2 to the power of y + rest, |rest| far below 1; 0 below the smallest float, infinite above the
// largest. The two factors of the power of two are normal numbers each.
__attribute__((unused)) static inline floats power_of_two(const floats y, const floats rest)
{
  const floats whole = rint(y);
  const floats f = (y - whole) + rest;
  floats p = (floats)(1.54614475e-4f);
  p = fma(p, f, (floats)(1.33908674e-3f));
  p = fma(p, f, (floats)(9.61805667e-3f));
  p = fma(p, f, (floats)(5.55035710e-2f));
  p = fma(p, f, (floats)(2.40226509e-1f));
  p = fma(p, f, (floats)(6.93147188e-1f));
  p = fma(p, f, (floats)(1.0f));
  const ints exponent = keel_to_ints(whole);
  const ints half_of_it = exponent >> 1;
  const floats first = FLOATS_OF((half_of_it + 127) << 23);
  return p * first * FLOATS_OF((exponent - half_of_it + 127) << 23);
}

// x to the power of y, as pow of C, to a few units in the last place. log2(x) = e + log2(m), m
// between sqrt(1/2) and sqrt(2), as a pair high + low: log(m) = 2 atanh(s), s = (m - 1) / (m + 1).
// The built-in one is computed lane by lane on some drivers.
__attribute__((unused)) static inline floats raised(const floats x, const floats y)
{
  const floats size = fabs(x);
  const floats scaled = size < 0x1p-126f ? size * 0x1p24f : size;
  const ints bits = BITS_OF(scaled);
  // The exponent for which m lies round 1: 0x3504f3 is the fraction of sqrt(2).
  const ints shifted = bits - 0x3f3504f3;
  const ints exponent = shifted >> 23;
  const floats m = FLOATS_OF(bits - (exponent << 23));
  const floats e =
      CONVERT(exponent) - (size < 0x1p-126f ? (floats)(24.0f) : (floats)(0.0f));
  const floats above = m - 1.0f, below = m + 1.0f;
  const floats below_low = m - (below - 1.0f);
  const floats share = 1.0f / below;
  const floats s = above * share;
  const floats s_low = (fma(-s, below, above) - s * below_low) * share;
  const floats t = s * s;
  floats p = (floats)(0.233323928f);
  p = fma(p, t, (floats)(0.285507299f));
  p = fma(p, t, (floats)(0.40000123f));
  p = fma(p, t, (floats)(0.666666666f));
  const floats low = fma(s * t, p, 2.0f * s_low);
  // log2(e) as a pair.
  const floats twice = 2.0f * s;
  const floats h = twice * 1.44269502f;
  const floats h_low = fma(twice, (floats)(1.44269502f), -h) + fma(low, (floats)(1.44269502f),
                                                                    twice * 1.92596299e-8f);
  const floats sum = e + h;
  const floats sum_low = (h - (sum - e)) + h_low;
  const floats product = y * sum;
  const floats rest = fma(y, sum, -product) + y * sum_low;
  // Beyond 160 the result is 0 or infinite, whatever the rest. A NaN of x or y, which a clamp may
  // lose, is put back below.
  floats r = power_of_two(
      clamp(product, (floats)(-160.0f), (floats)(160.0f)),
      (fabs(product) < 160.0f) ? rest : (floats)(0.0f));
  const floats zero = (floats)(0.0f), infinity = (floats)(INFINITY), one = (floats)(1.0f);
  r = (size == 0.0f) ? ((y > 0.0f) ? zero : infinity) : r;
  r = (size == infinity) ? ((y > 0.0f) ? infinity : zero) : r;
  r = (size == 1.0f) ? one : r;
  // A negative base: odd whole exponents keep its sign, those that are not whole give NaN.
  const floats halved = y * 0.5f;
  const floats mirrored =
      (rint(y) != y && size < infinity && size > 0.0f) ? (floats)(NAN)
      : (rint(y) == y && rint(halved) != halved) ? -r : r;
  r = (BITS_OF(x) < 0) ? mirrored : r;
  r = (x != x) ? x : (y != y) ? y : r;
  return (y == 0.0f || x == 1.0f) ? one : r;
}

// <formula>
#define RESULT float
#define ARGUMENTS __global const float *x0, const float p0
#define OUTER_ARGUMENTS , const uint stride0_0
#define OFFSETS const size_t o0 = (size_t)row * stride0_0;
#define VALUES(EACH, i) formula(EACH(float, x0 + i), p0)
#define ROW_VALUES(EACH, i) formula(EACH(float, x0 + o0 + i), p0)
static inline floats formula(const floats x0, const float p0)
{
  return x0 * p0;
}
// </formula>

// How numbers become elements of the result: `type` is float or ushort.
#define SET(type, v, p) KEEL_JOIN(SET_, type)(v, p)
#define SET_float(v, p) keel_store(v, p)
#define SET_ushort(v, p) keel_set(v, p)
#define SET_ALIGNED(type, v, p) KEEL_JOIN(SET_ALIGNED_, type)(v, p)
#define SET_ALIGNED_float(v, p) (*(__global floats *)(p) = (v))
#define SET_ALIGNED_ushort(v, p) keel_set(v, p)
#define SET_PAST(type, v, p) KEEL_JOIN(SET_PAST_, type)(v, p)
#define SET_PAST_float(v, p) keel_put(v, p, true)
#define SET_PAST_ushort(v, p) keel_set(v, p)
#define SET_ONE(type, v, p) KEEL_JOIN(SET_ONE_, type)(v, p)
#define SET_ONE_float(v, p) (*(p) = (v))
#define SET_ONE_ushort(v, p) keel_set_one(v, p)
#define GOES_PAST(type, p, count) KEEL_JOIN(GOES_PAST_, type)(p, count)
#define GOES_PAST_float(p, count) keel_goes_past(p, count)
#define GOES_PAST_ushort(p, count) keel_stored_goes_past(p, count)

// pointwise_flat — y[i] = formula(x0[i], x1[i], …).
//
// Buffers    inputs: count elements of their types, or one; y: count, an input if is_input.
// Work       one work-item per chunk of elements, vectors of KEEL_WIDTH: 16 on CPU-class devices,
//            4 and one vector to a chunk on GPUs.
// Requires   chunk is a multiple of KEEL_WIDTH; arrays start aligned to 64 bytes.
// Numerics   one rounding per operation, no contraction; functions as the device has them.
// Launched   Sources/KeelOpenCL/OpenCLPointwise.swift
// Checked    Sources/KeelCases/PointwiseCases.swift
// Why        the last, partial vector goes through the same vector code, so an element's value
//            does not depend on its position and the formula is compiled once.
__kernel void pointwise_flat(
    ARGUMENTS,
    __global RESULT *y,
    const ulong count,
    const ulong chunk,
    const uint is_input)
{
  size_t i = get_global_id(0) * chunk;
  const size_t end = min((size_t)count, (size_t)(i + chunk));
  if (!is_input && GOES_PAST(RESULT, y, count)) {
    for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) SET_PAST(RESULT, VALUES(ALIGNED, i), y + i);
  }
  for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) SET_ALIGNED(RESULT, VALUES(ALIGNED, i), y + i);
#if KEEL_WIDTH > 1
  if (i >= end) return;
  const floats value = VALUES(LAST, i);
  float part[KEEL_WIDTH];
  keel_store(value, part);
  for (uint k = 0; i + k < end; ++k) SET_ONE(RESULT, part[k], y + i + k);
#endif
}

// pointwise_rows — y[r, c] = formula of the inputs, each read with its own strides.
//
// Buffers    y: rows x columns, may be an input of equal shape; an input lies along a row one
//            after the other or is one element for the whole row.
// Work       one work-item per part of a row, or per several rows: item = row part * column parts
//            + column part.
// Requires   nothing; any local size.
// Numerics   as pointwise_flat.
// Launched   Sources/KeelOpenCL/OpenCLPointwise.swift
// Checked    Sources/KeelCases/PointwiseBroadcastCases.swift
// Why        divisions for the outer axes are paid once per row, not once per element.
__kernel void pointwise_rows(
    ARGUMENTS,
    __global RESULT *y,
    const uint rows,
    const uint columns,
    const uint column_parts,
    const uint part_columns,
    const uint part_rows
    OUTER_ARGUMENTS)
{
  const size_t item = get_global_id(0);
  const size_t row_part = item / column_parts;
  const uint first = (uint)(item % column_parts) * part_columns;
  const uint end = min(columns, first + part_columns);
  const size_t start_row = row_part * part_rows;
  const size_t end_row = min((size_t)rows, (size_t)(start_row + part_rows));
  for (size_t full_row = start_row; full_row < end_row; ++full_row) {
    const uint row = (uint)full_row;
    OFFSETS
    __global RESULT *to = y + full_row * columns;
    uint i = first;
    for (; i + KEEL_WIDTH <= end; i += KEEL_WIDTH) SET(RESULT, ROW_VALUES(RUN, i), to + i);
#if KEEL_WIDTH > 1
    if (i < end) {
      const floats value = ROW_VALUES(LAST, i);
      float part[KEEL_WIDTH];
      keel_store(value, part);
      for (uint k = 0; i + k < end; ++k) SET_ONE(RESULT, part[k], to + i + k);
    }
#endif
  }
}
