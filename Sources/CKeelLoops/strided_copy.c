// Copies between regular patterns: the last two axes form a tile, the others are walked. Where the
// two sides are contiguous along different axes (a transpose), tiles of 32 x 32 keep both in cache.
#include "loops.h"

enum { tile = 32 };

typedef uint32_t keel_word8 __attribute__((ext_vector_type(8)));

/// Transposes 8 x 8 words in registers: row r of the result is word r of each of 8 columns.
KEEL_INLINE void transpose_block(
    const uint32_t *source, ptrdiff_t from_column, uint32_t *destination, ptrdiff_t to_row) {
  keel_word8 a[8], b[8];
  for (int c = 0; c < 8; ++c) memcpy(&a[c], source + c * from_column, sizeof a[c]);
  // Blocks of 1, of 2, of 4 words change places.
  for (int i = 0; i < 8; i += 2) {
    b[i] = __builtin_shufflevector(a[i], a[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
    b[i + 1] = __builtin_shufflevector(a[i], a[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  }
  for (int i = 0; i < 8; i += i % 2 == 0 ? 1 : 3) {
    a[i] = __builtin_shufflevector(b[i], b[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
    a[i + 2] = __builtin_shufflevector(b[i], b[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
  }
  for (int i = 0; i < 4; ++i) {
    b[i] = __builtin_shufflevector(a[i], a[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
    b[i + 4] = __builtin_shufflevector(a[i], a[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int r = 0; r < 8; ++r) memcpy(destination + r * to_row, &b[r], sizeof b[r]);
}

/// One tile whose rows are contiguous in the source and whose columns are in the destination.
KEEL_INLINE void transpose_tile(
    const uint32_t *source, uint32_t *destination, size_t rows, size_t columns,
    ptrdiff_t from_column, ptrdiff_t to_row) {
  size_t r = 0;
  for (; r + 8 <= rows; r += 8) {
    const uint32_t *from = source + r;
    uint32_t *to = destination + (ptrdiff_t)r * to_row;
    size_t c = 0;
    for (; c + 8 <= columns; c += 8) {
      transpose_block(from + (ptrdiff_t)c * from_column, from_column, to + c, to_row);
    }
    for (; c < columns; ++c) {
      for (size_t i = 0; i < 8; ++i) {
        to[(ptrdiff_t)i * to_row + (ptrdiff_t)c] = from[(ptrdiff_t)c * from_column + (ptrdiff_t)i];
      }
    }
  }
  for (; r < rows; ++r) {
    uint32_t *to = destination + (ptrdiff_t)r * to_row;
    for (size_t c = 0; c < columns; ++c) to[c] = source[(ptrdiff_t)c * from_column + (ptrdiff_t)r];
  }
}

/// Whether a tile was a transpose of words and is done.
KEEL_INLINE bool transposed4(
    const uint32_t *source, uint32_t *destination, size_t rows, size_t columns,
    ptrdiff_t from_row, ptrdiff_t from_column, ptrdiff_t to_row, ptrdiff_t to_column) {
  if (from_row != 1 || to_column != 1) return false;
  transpose_tile(source, destination, rows, columns, from_column, to_row);
  return true;
}
KEEL_INLINE bool transposed1(
    const uint8_t *source, uint8_t *destination, size_t rows, size_t columns,
    ptrdiff_t from_row, ptrdiff_t from_column, ptrdiff_t to_row, ptrdiff_t to_column) {
  return false;
}
KEEL_INLINE bool transposed2(
    const uint16_t *source, uint16_t *destination, size_t rows, size_t columns,
    ptrdiff_t from_row, ptrdiff_t from_column, ptrdiff_t to_row, ptrdiff_t to_column) {
  return false;
}

#define KEEL_COPY_TILES(name, type, transposed)                                                    \
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
        if (transposed(                                                                      \
                source + (ptrdiff_t)first_row * from_row + (ptrdiff_t)first * from_column,   \
                destination + (ptrdiff_t)first_row * to_row + (ptrdiff_t)first * to_column,  \
                row_end - first_row, end - first, from_row, from_column, to_row, to_column)) { \
          continue;                                                                          \
        }                                                                                    \
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

KEEL_COPY_TILES(keel_strided_copy4, uint32_t, transposed4)
KEEL_COPY_TILES(keel_strided_copy2, uint16_t, transposed2)
KEEL_COPY_TILES(keel_strided_copy1, uint8_t, transposed1)
