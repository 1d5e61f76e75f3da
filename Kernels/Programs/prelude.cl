// prelude — compiled in front of every program: contraction off, bit tests, activations.
//
// Nothing here is a kernel. The functions are static inline, so a program pays only for those
// it calls.
#ifndef KEEL_PRELUDE
#define KEEL_PRELUDE

// A product and a sum are rounded one by one unless a kernel writes fma(): the same formula
// then gives the same bits on every device.
#pragma OPENCL FP_CONTRACT OFF

// Bit tests instead of isnan and isinf: no build option can fold them away.
static inline int keel_is_nan(const float x)
{
  return (as_uint(x) & 0x7fffffffu) > 0x7f800000u;
}

static inline int keel_is_finite(const float x)
{
  return (as_uint(x) & 0x7f800000u) != 0x7f800000u;
}

// fmax and fmin of OpenCL C drop a NaN; these hand it on.
static inline float keel_maximum(const float a, const float b)
{
  return keel_is_nan(a) ? a : (keel_is_nan(b) || b > a ? b : a);
}

static inline float keel_minimum(const float a, const float b)
{
  return keel_is_nan(a) ? a : (keel_is_nan(b) || b < a ? b : a);
}

// Sixteen floats that start at any float. PoCL makes four stores of vstore16, and one of this.
typedef float16 __attribute__((aligned(4))) keel_any16;

// The numbers by which the host names an activation, in the order of its enumeration.
#define KEEL_IDENTITY 0u
#define KEEL_RELU 1u
#define KEEL_LEAKY_RELU 2u
#define KEEL_ELU 3u
#define KEEL_SIGMOID 4u
#define KEEL_TANH 5u

// The activation of one value; `parameter` is the slope of leaky ReLU and the alpha of ELU.
// Each comparison is written so that a NaN takes the branch that returns it.
static inline float keel_activation(const float x, const uint kind, const float parameter)
{
  switch (kind) {
    case KEEL_RELU: return x <= 0.0f ? 0.0f : x;
    case KEEL_LEAKY_RELU: return x <= 0.0f ? x * parameter : x;
    case KEEL_ELU: return x <= 0.0f ? parameter * expm1(x) : x;
    case KEEL_SIGMOID: return 1.0f / (1.0f + exp(-x));
    case KEEL_TANH: return tanh(x);
    default: return x;
  }
}

// The fields of a step's decision, in the order of Sources/KeelBackend/StepControl.swift.
enum keel_decision {
  KEEL_DECISION_NORM,
  KEEL_DECISION_COEFFICIENT,
  KEEL_DECISION_APPLIES,
  KEEL_DECISION_LEARNING_RATE,
  KEEL_DECISION_CORRECTION1,
  KEEL_DECISION_CORRECTION2,
  KEEL_DECISION_NOISE,
  KEEL_DECISION_LARGEST,
  KEEL_DECISION_CLIPPED_NORM,
  KEEL_DECISION_FAULTY_TENSOR,
  KEEL_DECISION_FAULTS,
  KEEL_DECISION_VERDICT,
  KEEL_DECISION_FACTOR,
  KEEL_DECISION_UPDATES,
  KEEL_DECISION_LOSS,
  KEEL_DECISION_RIGHT,
};

// Vectors and teams. KEEL_WIDTH elements make one `floats`; the KEEL_GROUP work-items of a team
// share one piece of work and a local memory. CPU-class devices build with 16 and 1, GPUs with
// 4 (or 1) and up to 256: one text then serves both, and the shape of every sum is a function of
// the extents and the class of device alone.
#ifndef KEEL_WIDTH
#define KEEL_WIDTH 16
#endif
#ifndef KEEL_GROUP
#define KEEL_GROUP 1
#endif
#if KEEL_GROUP < 1 || KEEL_GROUP & (KEEL_GROUP - 1)
#error "KEEL_GROUP must be a power of two"
#endif
#define KEEL_PASTE(a, b) a##b
#define KEEL_JOIN(a, b) KEEL_PASTE(a, b)
#if KEEL_WIDTH == 1
typedef float floats;
typedef int ints;
typedef uchar uchars;
#define keel_load(p) (*(p))
#define keel_store(v, p) (*(p) = (v))
#define keel_to_ints convert_int
#define keel_to_uchars convert_uchar
#elif KEEL_WIDTH == 2 || KEEL_WIDTH == 4 || KEEL_WIDTH == 8 || KEEL_WIDTH == 16
typedef KEEL_JOIN(float, KEEL_WIDTH) floats;
typedef KEEL_JOIN(int, KEEL_WIDTH) ints;
typedef KEEL_JOIN(uchar, KEEL_WIDTH) uchars;
#if KEEL_WIDTH == 16 && KEEL_GROUP == 1
#define KEEL_OVERLOAD __attribute__((overloadable)) static inline
typedef int16 __attribute__((aligned(4))) keel_any16i;
typedef uchar16 __attribute__((aligned(1))) keel_any16c;
KEEL_OVERLOAD float16 keel_load(__global const float *p) { return *(__global const keel_any16 *)p; }
KEEL_OVERLOAD float16 keel_load(const float *p) { return *(const keel_any16 *)p; }
KEEL_OVERLOAD int16 keel_load(__global const int *p) { return *(__global const keel_any16i *)p; }
KEEL_OVERLOAD uchar16 keel_load(__global const uchar *p)
{
  return *(__global const keel_any16c *)p;
}
KEEL_OVERLOAD void keel_store(const float16 v, __global float *p) { *(__global keel_any16 *)p = v; }
KEEL_OVERLOAD void keel_store(const float16 v, float *p) { *(keel_any16 *)p = v; }
KEEL_OVERLOAD void keel_store(const uchar16 v, __global uchar *p)
{
  *(__global keel_any16c *)p = v;
}
#else
#define keel_load(p) KEEL_JOIN(vload, KEEL_WIDTH)(0, p)
#define keel_store(v, p) KEEL_JOIN(vstore, KEEL_WIDTH)(v, 0, p)
#endif
#define keel_to_ints KEEL_JOIN(convert_int, KEEL_WIDTH)
#define keel_to_uchars KEEL_JOIN(convert_uchar, KEEL_WIDTH)
#else
#error "KEEL_WIDTH must be 1, 2, 4, 8 or 16"
#endif
// Teams of several read neighbouring, aligned vectors: one wide transaction instead of four.
#if KEEL_GROUP == 1
#define KEEL_TEAM get_global_id(0)
#define KEEL_LANE 0u
#define keel_load_aligned(p) keel_load(p)
#define keel_store_aligned(v, p) keel_store(v, p)
#else
#define KEEL_TEAM get_group_id(0)
#define KEEL_LANE ((uint)get_local_id(0))
#define keel_load_aligned(p) (*(__global const floats *)(p))
#define keel_store_aligned(v, p) (*(__global floats *)(p) = (v))
#endif

// Stores past the caches. A plain store of a whole line first reads it from memory; what is too
// large to be still in a cache when it is read next need not come into one. Worth a third of the
// time of a copy on CPU-class devices; elsewhere a plain store. Not for a result that is written
// over its input: that is in a cache. Drivers end a kernel with locked operations, which wait for
// such stores.
#define KEEL_PAST_ELEMENTS (1u << 22)
#if KEEL_WIDTH == 16 && KEEL_GROUP == 1 && defined(__has_builtin)
#if __has_builtin(__builtin_nontemporal_store)
#define KEEL_STORES_PAST 1
#endif
#endif
#ifdef KEEL_STORES_PAST
// Whether vectors of a row at p, of a result of `count` elements, go past the caches: such stores
// want addresses that are multiples of 32 bytes.
static inline bool keel_goes_past(__global const float *p, const size_t count)
{
  return count >= KEEL_PAST_ELEMENTS && ((size_t)p & 31) == 0;
}
static inline void keel_put(const floats v, __global float *p, const bool past)
{
  if (past) {
    __builtin_nontemporal_store(v.lo, (__global float8 *)p);
    __builtin_nontemporal_store(v.hi, (__global float8 *)(p + 8));
  } else {
    keel_store(v, p);
  }
}
#else
#define keel_goes_past(p, count) ((void)(p), (void)(count), false)
#define keel_put(v, p, past) ((void)(past), keel_store_aligned(v, p))
#endif

// Calls the line at p, which may lie anywhere, into the caches of a processor core.
#if defined(__x86_64__) || defined(__aarch64__)
#define keel_fetch(p) __builtin_prefetch((const void *)(size_t)(p))
#else
#define keel_fetch(p) ((void)(p))
#endif

// The activation of a vector, as keel_activation of each element.
static inline floats keel_activations(const floats x, const uint kind, const float parameter)
{
  const ints is_below = x <= (floats)(0.0f);
  switch (kind) {
    case KEEL_RELU: return select(x, (floats)(0.0f), is_below);
    case KEEL_LEAKY_RELU: return select(x, x * parameter, is_below);
    case KEEL_ELU: return select(x, parameter * expm1(x), is_below);
    case KEEL_SIGMOID: return 1.0f / (1.0f + exp(-x));
    case KEEL_TANH: return tanh(x);
    default: return x;
  }
}

// Some instruction sets load and store part of a vector by a mask, a tenth faster for a product
// of 60 columns than through memory element by element.
#if KEEL_WIDTH == 16 && KEEL_GROUP == 1 && defined(__AVX512F__) && defined(__has_builtin)
#if __has_builtin(__builtin_ia32_storeups512_mask)
#define KEEL_HAS_MASKS 1
#endif
#endif

#if KEEL_WIDTH == 1
#define keel_load_part(p, i, count, fill) ((p)[i])
#define keel_store_part(v, p, i, count) ((p)[i] = (v))
#else
#ifdef KEEL_HAS_MASKS
// The lanes of a vector that are below `count`, from element i on.
static inline ushort keel_mask(const uint i, const uint count)
{
  return i < count ? (ushort)(0xffffu >> (16 - min(count - i, 16u))) : 0;
}
#endif

// Elements i ..< i + KEEL_WIDTH of p, `fill` from `count` on.
static inline floats keel_load_part(
    __global const float *p, const uint i, const uint count, const float fill)
{
  if (i + KEEL_WIDTH > count) {
#ifdef KEEL_HAS_MASKS
    return __builtin_ia32_loadups512_mask(
        (const float *)(size_t)(p + i), (float16)(fill), keel_mask(i, count));
#endif
    float part[KEEL_WIDTH];
    // Rare and short: unrolled it would only be slow to compile.
#pragma unroll 1
    for (uint k = 0; k < KEEL_WIDTH; ++k) part[k] = i + k < count ? p[i + k] : fill;
    return keel_load(part);
  }
  return keel_load_aligned(p + i);
}

// p[i + k] = v[k] where i + k < count.
static inline void keel_store_part(
    const floats v, __global float *p, const uint i, const uint count)
{
  if (i + KEEL_WIDTH > count) {
#ifdef KEEL_HAS_MASKS
    __builtin_ia32_storeups512_mask((float *)(size_t)(p + i), v, keel_mask(i, count));
    return;
#endif
    float part[KEEL_WIDTH];
    keel_store(v, part);
#pragma unroll 1
    for (uint k = 0; i + k < count; ++k) p[i + k] = part[k];
    return;
  }
  keel_store_aligned(v, p + i);
}
#endif

// keel_put of elements i ..< min(i + KEEL_WIDTH, count).
static inline void keel_put_part(
    const floats v, __global float *p, const uint i, const uint count, const bool past)
{
  if (i + KEEL_WIDTH > count) {
    keel_store_part(v, p, i, count);
  } else {
    keel_put(v, p + i, past);
  }
}

// exp(x) of numbers that are at most 0, give or take a rounding, to 2 units in the last place; 0
// below -87, where it has no full precision; a NaN stays. Two thirds of the time of the built-in
// one on CPU-class devices, where every product counts; GPUs have one in hardware.
#if KEEL_WIDTH == 16
static inline floats keel_exp_below(const floats x)
{
  // x = k log(2) + r; adding 1.5 * 2^23 leaves k in the last bits of the sum.
  const floats shifted = fma(x, (floats)(1.44269504f), (floats)(12582912.0f));
  const floats k = shifted - 12582912.0f;
  floats r = fma(k, (floats)(-0.693145752f), x);
  r = fma(k, (floats)(-1.42860677e-6f), r);
  floats p = (floats)(1.37805939e-3f);
  p = fma(p, r, (floats)(8.37312452e-3f));
  p = fma(p, r, (floats)(4.16695364e-2f));
  p = fma(p, r, (floats)(1.66664720e-1f));
  p = fma(p, r, (floats)(4.99999851e-1f));
  p = fma(p, r, (floats)(1.0f));
  p = fma(p, r, (floats)(1.0f));
  const floats power = p * as_float16((as_int16(shifted) << 23) + 0x3f800000);
  return (x < -87.0f) ? (floats)(0.0f) : power;
}
#else
#define keel_exp_below exp
#endif

// The larger of each pair of elements, b where that is no number: for sums that will find it.
static inline floats keel_larger(const floats a, const floats b) { return a > b ? a : b; }

static inline floats keel_maximums(const floats a, const floats b)
{
  // A NaN in a fails both tests and stays; one in b is taken.
  return select(a, b, (b > a) | ((b != b) & (a == a)));
}

// The elements of one vector as one number, halves by halves.
static inline float keel_sum_across(const floats v)
{
#if KEEL_WIDTH == 1
  return v;
#else
#if KEEL_WIDTH == 16
  const float8 eight = v.lo + v.hi;
  const float4 four = eight.lo + eight.hi;
#elif KEEL_WIDTH == 8
  const float4 four = v.lo + v.hi;
#elif KEEL_WIDTH == 4
  const float4 four = v;
#else
  const float4 four = (float4)(v, 0.0f, 0.0f);
#endif
  const float2 two = four.lo + four.hi;
  return two.x + two.y;
#endif
}

// The largest number of one vector, as keel_larger.
static inline float keel_larger_across(const floats v)
{
#if KEEL_WIDTH == 1
  return v;
#else
#if KEEL_WIDTH == 16
  const float8 eight = max(v.lo, v.hi);
  const float4 four = max(eight.lo, eight.hi);
#elif KEEL_WIDTH == 8
  const float4 four = max(v.lo, v.hi);
#elif KEEL_WIDTH == 4
  const float4 four = v;
#else
  const float4 four = (float4)(v, v);
#endif
  const float2 two = max(four.lo, four.hi);
  return max(two.x, two.y);
#endif
}

// The largest element of one vector, NaN if there is one.
static inline float keel_maximum_across(const floats v)
{
#if KEEL_WIDTH > 1
  if (any(v != v)) return NAN;
#endif
  return keel_larger_across(v);
}

// sum += x with what rounding lost carried in `rest` (Kahan, 1965): the error of a long sum does
// not grow with its length. An infinity makes the next sum NaN.
static inline void keel_add(floats *sum, floats *rest, const floats x)
{
  const floats added = x - *rest;
  const floats next = *sum + added;
  *rest = (next - *sum) - added;
  *sum = next;
}

#endif
