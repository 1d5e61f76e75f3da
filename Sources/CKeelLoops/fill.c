#include "loops.h"

KEEL_DISPATCH
void keel_fill32(uint32_t *out, size_t count, uint32_t value) {
  for (size_t i = 0; i < count; ++i) out[i] = value;
}
