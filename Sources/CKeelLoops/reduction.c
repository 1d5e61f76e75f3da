// Sums in Double and extremes, over runs that are contiguous (rows) or strided (columns).
#include "loops.h"

KEEL_INLINE double sum_run(const float *x, size_t count) {
  keel_double8 lanes[4] = {0};
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    for (int l = 0; l < 4; ++l) {
      keel_double8 value;
      keel_load8(x + i + 8 * l, &value);
      lanes[l] += value;
    }
  }
  double tail = 0;
  for (; i < count; ++i) tail += (double)x[i];
  return keel_fold4(lanes) + tail;
}

// NaN wins: once an extreme is NaN no comparison replaces it.
KEEL_INLINE float larger(float a, float b) { return a > b || a != a ? a : b; }
KEEL_INLINE float smaller(float a, float b) { return a < b || a != a ? a : b; }

#define KEEL_EXTREME(name, pick, start)                                   \
  KEEL_INLINE float name(const float *x, size_t count) {                  \
    enum { lanes = 32 };                                                  \
    float best[lanes];                                                    \
    for (int l = 0; l < lanes; ++l) best[l] = start;                      \
    size_t i = 0;                                                         \
    for (; i + lanes <= count; i += lanes) {                              \
      for (int l = 0; l < lanes; ++l) best[l] = pick(x[i + l], best[l]);  \
    }                                                                     \
    float result = start;                                                 \
    if (i > 0) {                                                          \
      for (int l = 0; l < lanes; ++l) result = pick(best[l], result);     \
    }                                                                     \
    for (; i < count; ++i) result = pick(x[i], result);                   \
    return result;                                                        \
  }
KEEL_EXTREME(max_run, larger, -INFINITY)
KEEL_EXTREME(min_run, smaller, INFINITY)

KEEL_INLINE double combine(int32_t kind, double a, double b) {
  switch (kind) {
    case KEEL_MAX: return a > b || a != a ? a : b;
    case KEEL_MIN: return a < b || a != a ? a : b;
    default: return a + b;
  }
}

KEEL_INLINE double neutral(int32_t kind) {
  return kind == KEEL_MAX ? -(double)INFINITY : kind == KEEL_MIN ? (double)INFINITY : 0.0;
}

/// totals[c] = totals[c] combined with x[r * stride + c] for every row, in ascending order.
KEEL_INLINE void accumulate_rows(
    const int32_t kind, const float *x, size_t rows, size_t stride, size_t columns,
    double *totals) {
  size_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const float *a = x + r * stride, *b = a + stride, *c = b + stride, *d = c + stride;
    KEEL_VECTORISE
    for (size_t i = 0; i < columns; ++i) {
      const double pair = combine(kind, (double)a[i], (double)b[i]);
      const double other = combine(kind, (double)c[i], (double)d[i]);
      totals[i] = combine(kind, totals[i], combine(kind, pair, other));
    }
  }
  for (; r < rows; ++r) {
    const float *a = x + r * stride;
    KEEL_VECTORISE
    for (size_t i = 0; i < columns; ++i) totals[i] = combine(kind, totals[i], (double)a[i]);
  }
}

/// Rows that follow each other without a gap. Narrow ones are taken several at a time, as one wide
/// row whose totals are folded at the end.
KEEL_INLINE void accumulate_dense_rows(
    const int32_t kind, const float *x, size_t rows, size_t columns, double *totals) {
  enum { widest = 512 };
  const size_t together = columns >= 64 ? 1 : widest / columns / 16 * 16;
  if (together < 16 || rows < 2 * together) {
    accumulate_rows(kind, x, rows, columns, columns, totals);
    return;
  }
  double wide[widest];
  const size_t width = together * columns;
  for (size_t i = 0; i < width; ++i) wide[i] = neutral(kind);
  const size_t wide_rows = rows / together;
  accumulate_rows(kind, x, wide_rows, width, width, wide);
  for (size_t i = 0; i < width; i += columns) {
    for (size_t c = 0; c < columns; ++c) totals[c] = combine(kind, totals[c], wide[i + c]);
  }
  const size_t done = wide_rows * together;
  accumulate_rows(kind, x + done * columns, rows - done, columns, columns, totals);
}

KEEL_INLINE size_t offset_of(
    size_t index, size_t rank, const size_t *extents, const size_t *strides) {
  size_t offset = 0;
  for (size_t axis = rank; axis-- > 1;) {
    offset += index % extents[axis] * strides[axis];
    index /= extents[axis];
  }
  return rank > 0 ? offset + index * strides[0] : offset;
}

KEEL_INLINE void reduce_inner(
    const int32_t kind, const struct keel_reduction *plan, const float *x, size_t kept_begin,
    size_t kept_end, size_t reduced_begin, size_t reduced_end, size_t inner_begin,
    size_t inner_end, double *partial) {
  for (size_t k = kept_begin; k < kept_end; ++k) {
    const float *from =
        x + offset_of(k, plan->kept_rank, plan->kept_extents, plan->kept_strides);
    double total = neutral(kind);
    for (size_t r = reduced_begin; r < reduced_end; ++r) {
      const float *run = from + inner_begin +
          offset_of(r, plan->reduced_rank, plan->reduced_extents, plan->reduced_strides);
      const size_t count = inner_end - inner_begin;
      double value;
      if (kind == KEEL_MAX) {
        value = (double)max_run(run, count);
      } else if (kind == KEEL_MIN) {
        value = (double)min_run(run, count);
      } else {
        value = sum_run(run, count);
      }
      total = combine(kind, total, value);
    }
    partial[k] = total;
  }
}

KEEL_INLINE void reduce_outer(
    const int32_t kind, const struct keel_reduction *plan, const float *x, size_t kept_begin,
    size_t kept_end, size_t reduced_begin, size_t reduced_end, size_t inner_begin,
    size_t inner_end, double *partial) {
  const size_t last = plan->reduced_rank - 1;
  const size_t columns = inner_end - inner_begin;
  for (size_t k = kept_begin; k < kept_end; ++k) {
    const float *from = x + inner_begin +
        offset_of(k, plan->kept_rank, plan->kept_extents, plan->kept_strides);
    double *totals = partial + k * plan->inner + inner_begin;
    for (size_t c = 0; c < columns; ++c) totals[c] = neutral(kind);
    for (size_t r = reduced_begin; r < reduced_end;) {
      // The rows up to the end of the innermost reduced run are evenly spaced.
      const size_t left = plan->reduced_extents[last] - r % plan->reduced_extents[last];
      const size_t rows = keel_smaller(left, reduced_end - r);
      const float *run =
          from + offset_of(r, plan->reduced_rank, plan->reduced_extents, plan->reduced_strides);
      const size_t stride = plan->reduced_strides[last];
      if (stride == columns) {
        accumulate_dense_rows(kind, run, rows, columns, totals);
      } else {
        accumulate_rows(kind, run, rows, stride, columns, totals);
      }
      r += rows;
    }
  }
}

// A constant kind makes the loops inside free of branches.
#define KEEL_BY_KIND(call)                          \
  switch (plan->kind) {                             \
    case KEEL_MAX: call(KEEL_MAX); break;           \
    case KEEL_MIN: call(KEEL_MIN); break;           \
    default: call(KEEL_SUM);                        \
  }
#define KEEL_REDUCE_INNER(kind)                                                          \
  reduce_inner(kind, plan, x, kept_begin, kept_end, reduced_begin, reduced_end, inner_begin, \
               inner_end, partial)
#define KEEL_REDUCE_OUTER(kind)                                                          \
  reduce_outer(kind, plan, x, kept_begin, kept_end, reduced_begin, reduced_end, inner_begin, \
               inner_end, partial)

KEEL_DISPATCH
void keel_reduce(
    const struct keel_reduction *plan, const float *x, size_t kept_begin, size_t kept_end,
    size_t reduced_begin, size_t reduced_end, size_t inner_begin, size_t inner_end,
    double *partial) {
  if (plan->reduces_inner) {
    KEEL_BY_KIND(KEEL_REDUCE_INNER)
  } else {
    KEEL_BY_KIND(KEEL_REDUCE_OUTER)
  }
}

KEEL_DISPATCH
void keel_reduce_parts(
    int32_t kind, const double *partials, size_t parts, size_t count, size_t begin, size_t end,
    double divisor, float *out) {
  for (size_t i = begin; i < end; ++i) {
    double total = partials[i];
    for (size_t p = 1; p < parts; ++p) total = combine(kind, total, partials[p * count + i]);
    out[i] = (float)(total / divisor);
  }
}
