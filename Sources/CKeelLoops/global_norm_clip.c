#include "loops.h"

// Squares in Double: 1e38 squared is far below its largest number, 1e-45 squared far above its
// smallest.
KEEL_DISPATCH
double keel_square_sum(const float *x, size_t count) {
  keel_double8 lanes[4] = {0};
  size_t i = 0;
  for (; i + 32 <= count; i += 32) {
    for (int l = 0; l < 4; ++l) {
      keel_double8 value;
      keel_load8(x + i + 8 * l, &value);
      lanes[l] += value * value;
    }
  }
  double tail = 0;
  for (; i < count; ++i) tail += (double)x[i] * (double)x[i];
  return keel_fold4(lanes) + tail;
}
