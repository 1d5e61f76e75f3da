// prelude_turn — compiled after prelude_half.cl in front of programs that read arrays across their
// lines, on CPU-class devices. Nothing here is a kernel.
#ifndef KEEL_PRELUDE_TURN
#define KEEL_PRELUDE_TURN
#if KEEL_WIDTH == 16

// Interleaves the elements of two vectors, or their pairs, inside each quad.
#define ONES_LOW(a, b)                                                        \
  (float16)(a.s0, b.s0, a.s1, b.s1, a.s4, b.s4, a.s5, b.s5,                   \
            a.s8, b.s8, a.s9, b.s9, a.sc, b.sc, a.sd, b.sd)
#define ONES_HIGH(a, b)                                                       \
  (float16)(a.s2, b.s2, a.s3, b.s3, a.s6, b.s6, a.s7, b.s7,                   \
            a.sa, b.sa, a.sb, b.sb, a.se, b.se, a.sf, b.sf)
#define PAIRS_LOW(a, b) \
  (float16)(a.s01, b.s01, a.s45, b.s45, a.s89, b.s89, a.scd, b.scd)
#define PAIRS_HIGH(a, b) \
  (float16)(a.s23, b.s23, a.s67, b.s67, a.sab, b.sab, a.sef, b.sef)

// to[k][i] = from[i, k] for sixteen by sixteen elements: whole cache lines are read and turned
// round in registers.
static inline void keel_turn_block(
    __global const keel_stored *from, const size_t from_step, float16 *to)
{
  // quads[g][j] holds, in quad b, step 4 b + j of lines 4 g ... 4 g + 3.
  float16 quads[4][4];
#pragma unroll
  for (uint g = 0; g < 4; ++g) {
    __global const keel_stored *line = from + 4 * g * from_step;
    const float16 l0 = keel_get(line);
    const float16 l1 = keel_get(line + from_step);
    const float16 l2 = keel_get(line + 2 * from_step);
    const float16 l3 = keel_get(line + 3 * from_step);
    const float16 low01 = ONES_LOW(l0, l1);
    const float16 low23 = ONES_LOW(l2, l3);
    const float16 high01 = ONES_HIGH(l0, l1);
    const float16 high23 = ONES_HIGH(l2, l3);
    quads[g][0] = PAIRS_LOW(low01, low23);
    quads[g][1] = PAIRS_HIGH(low01, low23);
    quads[g][2] = PAIRS_LOW(high01, high23);
    quads[g][3] = PAIRS_HIGH(high01, high23);
  }
#pragma unroll
  for (uint j = 0; j < 4; ++j) {
    const float16 a = quads[0][j];
    const float16 b = quads[1][j];
    const float16 c = quads[2][j];
    const float16 d = quads[3][j];
    to[j] = (float16)(a.lo.lo, b.lo.lo, c.lo.lo, d.lo.lo);
    to[4 + j] = (float16)(a.lo.hi, b.lo.hi, c.lo.hi, d.lo.hi);
    to[8 + j] = (float16)(a.hi.lo, b.hi.lo, c.hi.lo, d.hi.lo);
    to[12 + j] = (float16)(a.hi.hi, b.hi.hi, c.hi.hi, d.hi.hi);
  }
}

#endif
#endif
