// Copies between regular patterns: the last two axes form a tile, the others are walked. Where the
// two sides are contiguous along different axes (a transpose), tiles of 32 x 32 keep both in cache.
#include "loops.h"

enum { tile = 32 };

#define KEEL_COPY_TILES(name, type)                                                          \
  KEEL_INLINE void name##_plane(                                                             \
      const type *source, type *destination, size_t rows, size_t columns, ptrdiff_t from_row, \
      ptrdiff_t from_column, ptrdiff_t to_row, ptrdiff_t to_column) {                        \
    if (from_column == 1 && to_column == 1) {                                                \
      for (size_t r = 0; r < rows; ++r) {                                                    \
        memcpy(destination + (ptrdiff_t)r * to_row, source + (ptrdiff_t)r * from_row,        \
               columns * sizeof(type));                                                      \
      }                                                                                      \
      return;                                                                                \
    }                                                                                        \
    if (from_column == 0 && to_column == 1) {                                                \
      for (size_t r = 0; r < rows; ++r) {                                                    \
        const type value = source[(ptrdiff_t)r * from_row];                                  \
        type *to = destination + (ptrdiff_t)r * to_row;                                      \
        for (size_t c = 0; c < columns; ++c) to[c] = value;                                  \
      }                                                                                      \
      return;                                                                                \
    }                                                                                        \
    for (size_t first_row = 0; first_row < rows; first_row += tile) {                        \
      const size_t row_end = keel_smaller(first_row + tile, rows);                           \
      for (size_t first = 0; first < columns; first += tile) {                               \
        const size_t end = keel_smaller(first + tile, columns);                              \
        for (size_t r = first_row; r < row_end; ++r) {                                       \
          const type *restrict from = source + (ptrdiff_t)r * from_row;                      \
          type *restrict to = destination + (ptrdiff_t)r * to_row;                           \
          for (size_t c = first; c < end; ++c) {                                             \
            to[(ptrdiff_t)c * to_column] = from[(ptrdiff_t)c * from_column];                 \
          }                                                                                  \
        }                                                                                    \
      }                                                                                      \
    }                                                                                        \
  }                                                                                          \
  KEEL_DISPATCH                                                                              \
  void name(                                                                                 \
      const struct keel_strided_copy *plan, const type *source, type *destination,           \
      size_t begin, size_t end) {                                                            \
    const size_t row_axis = plan->rank - 2, column_axis = plan->rank - 1;                    \
    const size_t rows = plan->extents[row_axis];                                             \
    for (size_t index = begin; index < end;) {                                               \
      /* `index` counts rows; take those up to the end of the plane. */                      \
      const size_t row = index % rows;                                                       \
      const size_t taken = keel_smaller(rows - row, end - index);                            \
      size_t plane = index / rows;                                                           \
      ptrdiff_t from = (ptrdiff_t)row * plan->source[row_axis];                              \
      ptrdiff_t to = (ptrdiff_t)row * plan->destination[row_axis];                           \
      for (size_t axis = row_axis; axis-- > 0;) {                                            \
        const ptrdiff_t position = (ptrdiff_t)(plane % plan->extents[axis]);                 \
        plane /= plan->extents[axis];                                                        \
        from += position * plan->source[axis];                                               \
        to += position * plan->destination[axis];                                            \
      }                                                                                      \
      name##_plane(source + from, destination + to, taken, plan->extents[column_axis],       \
                   plan->source[row_axis], plan->source[column_axis],                        \
                   plan->destination[row_axis], plan->destination[column_axis]);             \
      index += taken;                                                                        \
    }                                                                                        \
  }

KEEL_COPY_TILES(keel_strided_copy4, uint32_t)
KEEL_COPY_TILES(keel_strided_copy1, uint8_t)
