// prelude_half — compiled in front of programs whose arrays may have 16-bit elements.
//
// KEEL_HALF says what a `keel_stored` element is: 1 is float16 (IEEE 754 binary16), 2 is bfloat16
// (the upper half of a float), without it a float. Elements of 16 bits travel as ushort and are
// computed with as float: keel_get reads and widens a vector, keel_set rounds and writes one. All
// is done with integers: every device gives the same bits, NaN included, and no extension is
// needed. Nothing here is a kernel.
#ifndef KEEL_PRELUDE_HALF
#define KEEL_PRELUDE_HALF

#ifndef KEEL_HALF

typedef float keel_stored;
#define keel_get(p) keel_load(p)
#define keel_get_aligned(p) keel_load_aligned(p)
#define keel_get_part(p, i, count) keel_load_part(p, i, count, 0.0f)
#define keel_get_one(p) (*(p))
#define keel_set(v, p) keel_store(v, p)
#define keel_set_aligned(v, p) keel_store_aligned(v, p)
#define keel_set_part(v, p, i, count) keel_store_part(v, p, i, count)
#define keel_set_one(v, p) (*(p) = (v))
#define keel_set_past(v, p, past) keel_put(v, p, past)
#define keel_stored_goes_past(p, count) keel_goes_past(p, count)

#else

#if KEEL_HALF != 1 && KEEL_HALF != 2
#error "KEEL_HALF must be 1 (float16) or 2 (bfloat16)"
#endif
typedef ushort keel_stored;

#if KEEL_HALF == 2
// The numbers that 16-bit elements stand for: exact.
#define KEEL_WIDEN(AS_FLOAT, AS_UINT, TO_FLOAT, CHOOSE, UINTS) return AS_FLOAT(bits << 16);
// Numbers as 16-bit elements: to the nearest, ties to even; beyond the largest infinity; a NaN
// becomes the quiet one of its sign.
#define KEEL_NARROW(AS_FLOAT, AS_UINT, TO_USHORT, CHOOSE, FLOATS, UINTS)                     \
  const UINTS bits = AS_UINT(x);                                                             \
  const UINTS rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;                        \
  const UINTS nan = ((bits >> 16) & 0x8000u) | 0x7fc0u;                                      \
  return TO_USHORT(CHOOSE(rounded, nan, (bits & 0x7fffffffu) > 0x7f800000u));
#else
// Exponents differ by 112; infinity and NaN go to the top; a subnormal number is a whole multiple
// of 2^-24.
#define KEEL_WIDEN(AS_FLOAT, AS_UINT, TO_FLOAT, CHOOSE, UINTS)                               \
  const UINTS magnitude = bits & 0x7fffu;                                                    \
  const UINTS normal = (magnitude << 13) + (112u << 23);                                     \
  const UINTS special = (magnitude << 13) | 0x7f800000u;                                     \
  const UINTS small = AS_UINT(TO_FLOAT(magnitude) * 0x1p-24f);                               \
  const UINTS finite = CHOOSE(normal, small, magnitude < 0x0400u);                           \
  const UINTS all = CHOOSE(finite, special, magnitude >= 0x7c00u);                           \
  return AS_FLOAT(all | ((bits & 0x8000u) << 16));
// Half a unit in the last place, less one where the number below is even, carries upwards; beyond
// the largest number the carry makes infinity. Below 2^-14 adding 1/2 leaves a whole multiple of
// 2^-24 in the last bits, rounded.
#define KEEL_NARROW(AS_FLOAT, AS_UINT, TO_USHORT, CHOOSE, FLOATS, UINTS)                     \
  const UINTS bits = AS_UINT(x);                                                             \
  const UINTS magnitude = bits & 0x7fffffffu;                                                \
  const UINTS normal =                                                                       \
      (magnitude - (112u << 23) + 0x0fffu + ((magnitude >> 13) & 1u)) >> 13;                 \
  const UINTS small = AS_UINT(AS_FLOAT(magnitude) + 0.5f) - AS_UINT((FLOATS)(0.5f));         \
  const UINTS finite = CHOOSE(normal, small, magnitude < (113u << 23));                      \
  const UINTS large = CHOOSE((UINTS)(0x7c00u), (UINTS)(0x7e00u), magnitude > 0x7f800000u);   \
  const UINTS all = CHOOSE(finite, large, magnitude >= (143u << 23));                        \
  return TO_USHORT(all | ((bits >> 16) & 0x8000u));
#endif

#define KEEL_CHOOSE_ONE(no, yes, test) ((test) ? (yes) : (no))
__attribute__((unused)) static inline float keel_widened_one(const ushort h)
{
  const uint bits = h;
  KEEL_WIDEN(as_float, as_uint, convert_float, KEEL_CHOOSE_ONE, uint)
}
__attribute__((unused)) static inline ushort keel_narrowed_one(const float x)
{
  KEEL_NARROW(as_float, as_uint, convert_ushort, KEEL_CHOOSE_ONE, float, uint)
}

#if KEEL_WIDTH == 1
typedef ushort keel_halves;
#define keel_widened keel_widened_one
#define keel_narrowed keel_narrowed_one
#define keel_load_halves(p) (*(p))
#define keel_store_halves(v, p) (*(p) = (v))
#define keel_set_part(v, p, i, count) ((p)[i] = keel_narrowed(v))
#define keel_get_part(p, i, count) keel_widened((p)[i])
#else
typedef KEEL_JOIN(uint, KEEL_WIDTH) keel_words;
typedef KEEL_JOIN(ushort, KEEL_WIDTH) keel_halves;
#define KEEL_CHOOSE_EACH(no, yes, test) select((no), (yes), (test))
__attribute__((unused)) static inline floats keel_widened(const keel_halves h)
{
  const keel_words bits = KEEL_JOIN(convert_uint, KEEL_WIDTH)(h);
  KEEL_WIDEN(
      KEEL_JOIN(as_float, KEEL_WIDTH), KEEL_JOIN(as_uint, KEEL_WIDTH),
      KEEL_JOIN(convert_float, KEEL_WIDTH), KEEL_CHOOSE_EACH, keel_words)
}
__attribute__((unused)) static inline keel_halves keel_narrowed(const floats x)
{
  KEEL_NARROW(
      KEEL_JOIN(as_float, KEEL_WIDTH), KEEL_JOIN(as_uint, KEEL_WIDTH),
      KEEL_JOIN(convert_ushort, KEEL_WIDTH), KEEL_CHOOSE_EACH, floats, keel_words)
}
#if KEEL_WIDTH == 16 && KEEL_GROUP == 1
// PoCL makes many loads of vload16, and one of this.
typedef ushort16 __attribute__((aligned(2))) keel_any16h;
#define keel_load_halves(p) (*(__global const keel_any16h *)(p))
#define keel_store_halves(v, p) (*(__global keel_any16h *)(p) = (v))
#else
#define keel_load_halves(p) KEEL_JOIN(vload, KEEL_WIDTH)(0, p)
#define keel_store_halves(v, p) KEEL_JOIN(vstore, KEEL_WIDTH)(v, 0, p)
#endif

// Elements i ..< i + KEEL_WIDTH of p, 0 from `count` on.
__attribute__((unused)) static inline floats keel_get_part(
    __global const ushort *p, const uint i, const uint count)
{
  if (i + KEEL_WIDTH <= count) return keel_widened(keel_load_halves(p + i));
  ushort part[KEEL_WIDTH];
#pragma unroll 1
  for (uint k = 0; k < KEEL_WIDTH; ++k) part[k] = i + k < count ? p[i + k] : (ushort)0;
  return keel_widened(KEEL_JOIN(vload, KEEL_WIDTH)(0, part));
}

// p[i + k] = v[k] where i + k < count.
__attribute__((unused)) static inline void keel_set_part(
    const floats v, __global ushort *p, const uint i, const uint count)
{
  if (i + KEEL_WIDTH <= count) {
    keel_store_halves(keel_narrowed(v), p + i);
    return;
  }
  ushort part[KEEL_WIDTH];
  KEEL_JOIN(vstore, KEEL_WIDTH)(keel_narrowed(v), 0, part);
#pragma unroll 1
  for (uint k = 0; i + k < count; ++k) p[i + k] = part[k];
}
#endif

#define keel_get(p) keel_widened(keel_load_halves(p))
#define keel_get_aligned(p) keel_get(p)
#define keel_get_one(p) keel_widened_one(*(p))
#define keel_set(v, p) keel_store_halves(keel_narrowed(v), p)
#define keel_set_aligned(v, p) keel_set(v, p)
#define keel_set_one(v, p) (*(p) = keel_narrowed_one(v))
#define keel_set_past(v, p, past) ((void)(past), keel_set(v, p))
#define keel_stored_goes_past(p, count) ((void)(p), (void)(count), false)

#endif

#endif
