// Limits on the columns of a matrix: the incoming weights of each unit.
//
// A team takes a band of BAND vectors of columns over all rows; its lanes of one column share the
// rows. Each column is scaled by a power of two near its largest element before it is squared, so
// that nothing overflows or underflows, and summed as an unevaluated pair high + low: norms are
// right to a unit in the last place, whatever the count.
#if KEEL_GROUP < 8
#define BAND KEEL_GROUP
#else
#define BAND 8
#endif
// What a scaled column falls short of its limit by, so that rounding does not lift it above: a
// second pass then finds nothing to do.
#define MARGIN (1.0f - 0x1p-22f)
#define MAXIMUM_NORM 0u
#define UNIT_NORM 1u
#define UNIT_SUM 2u

#if KEEL_WIDTH == 1
#define bits_of as_int
#define number_of as_float
#define any_of(v) ((v) != 0)
#else
#define bits_of KEEL_JOIN(as_int, KEEL_WIDTH)
#define number_of KEEL_JOIN(as_float, KEEL_WIDTH)
#define any_of any
#endif

// The columns and rows of a lane, and the memory it shares with its team.
typedef struct {
  uint column, columns, row, rows, stride;
  __local ints *bits;
  __local floats *high;
  __local floats *low;
} lane_part;

// The norm (or the sum) of a column: size * up, size = that of the column times `down`.
typedef struct { floats size, down, up; } measure;

static inline floats load_row(__global const float *x, const lane_part part, const uint row)
{
  return keel_load_part(x + (size_t)row * part.columns, part.column, part.columns, 0.0f);
}

// The bits of the largest magnitude of each column; those of a NaN or an infinity are above all.
static inline ints column_maximum(__global const float *x, const lane_part part)
{
  ints largest = (ints)(0);
  for (uint r = part.row; r < part.rows; r += part.stride) {
    largest = max(largest, bits_of(load_row(x, part, r)) & 0x7fffffff);
  }
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  part.bits[lane] = largest;
  for (uint reach = KEEL_GROUP / 2; reach >= BAND; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the level before is stored
    if (lane < reach) part.bits[lane] = max(part.bits[lane], part.bits[lane + reach]);
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the result is stored
  largest = part.bits[lane % BAND];
  barrier(CLK_LOCAL_MEM_FENCE);  // everyone has read
#endif
  return largest;
}

// (high, low) += x without loss (Knuth's two-sum, 1969).
static inline void add_exactly(floats *high, floats *low, const floats x)
{
  const floats before = *high;
  const floats sum = before + x;
  const floats taken = sum - before;
  *high = sum;
  *low += (before - (sum - taken)) + (x - taken);
}

// The sum of the squares (or of the elements) of each column, scaled by `down`.
static inline void column_sum(
    __global const float *x, const lane_part part, const floats down, const uint squares,
    floats *total, floats *rest)
{
  floats high = (floats)(0.0f), low = (floats)(0.0f);
  for (uint r = part.row; r < part.rows; r += part.stride) {
    const floats y = load_row(x, part, r) * down;
    const floats term = squares ? y * y : y;
    if (squares) low += fma(y, y, -term);
    add_exactly(&high, &low, term);
  }
#if KEEL_GROUP > 1
  const uint lane = get_local_id(0);
  part.high[lane] = high;
  part.low[lane] = low;
  for (uint reach = KEEL_GROUP / 2; reach >= BAND; reach /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);  // the level before is stored
    if (lane < reach) {
      add_exactly(&high, &low, part.high[lane + reach]);
      low += part.low[lane + reach];
      part.high[lane] = high;
      part.low[lane] = low;
    }
  }
  barrier(CLK_LOCAL_MEM_FENCE);  // the result is stored
  high = part.high[lane % BAND];
  low = part.low[lane % BAND];
  barrier(CLK_LOCAL_MEM_FENCE);  // everyone has read
#endif
  *total = high;
  *rest = low;
}

static inline measure column_measure(
    __global const float *x, const lane_part part, const uint squares)
{
  const ints largest = column_maximum(x, part);
  const ints exponent = clamp((largest >> 23) - 127, (ints)(-126), (ints)(126));
  measure result;
  result.down = number_of((127 - exponent) << 23);
  result.up = number_of((exponent + 127) << 23);
  floats high, low;
  column_sum(x, part, result.down, squares, &high, &low);
  floats size = high + low;
  if (squares) {
    // The root of a pair, corrected once.
    const floats estimate = sqrt(high);
    const floats better = estimate + (fma(-estimate, estimate, high) + low) / (2.0f * estimate);
    size = select(estimate, better, estimate > (floats)(0.0f));
  }
  // A NaN or an infinity is the norm; in a sum it shows by itself.
  const ints faulty = largest >= (ints)(0x7f800000);
  result.size = squares ? select(size, number_of(largest), faulty) : size;
  return result;
}

// x *= down * amount in the columns of `which`.
static inline void scale_columns(
    __global float *x, const lane_part part, const floats down, const floats amount,
    const ints which)
{
  if (!any_of(which)) return;
  for (uint r = part.row; r < part.rows; r += part.stride) {
    const floats value = load_row(x, part, r);
    const floats scaled = select(value, value * down * amount, which);
    keel_store_part(scaled, x + (size_t)r * part.columns, part.column, part.columns);
  }
}

static inline lane_part part_of_lane(
    const uint rows, const uint columns, __local ints *bits, __local floats *high,
    __local floats *low)
{
  lane_part part;
  part.column = (KEEL_TEAM * BAND + KEEL_LANE % BAND) * KEEL_WIDTH;
  part.columns = columns;
  part.row = KEEL_LANE / BAND;
  part.rows = rows;
  part.stride = KEEL_GROUP / BAND;
  part.bits = bits;
  part.high = high;
  part.low = low;
  // Beyond the last column a lane reads nothing, but meets the others at every barrier.
  if (part.column >= columns) part.rows = 0;
  return part;
}

// unit_norm_clip — per column: a = ratio * max(norm of w, least), n = norm of g;
// g *= n > a ? a / n : 1.
//
// Buffers    g, w: rows x columns; factors: columns, what each was multiplied by; decision: that
//            of the step.
// Work       a team takes BAND vectors of columns, all rows.
// Requires   local size KEEL_GROUP.
// Numerics   norms right to an ulp for numbers of any size; what is scaled falls short of the
//            limit by 2^-22; a NaN norm clips nothing; fixed trees.
// Launched   Sources/KeelOpenCL/OpenCLUnitNorm.swift
// Checked    Sources/KeelCases/UnitNormCases.swift
// Why        the band stays in cache for the three times it is read.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void unit_norm_clip(
    __global float *restrict g,
    __global const float *restrict w,
    __global float *restrict factors,
    __global const float *restrict decision,
    const uint rows,
    const uint columns,
    const float ratio,
    const float least)
{
  __local ints bits[KEEL_GROUP];
  __local floats high[KEEL_GROUP], low[KEEL_GROUP];
  const lane_part part = part_of_lane(rows, columns, bits, high, low);
  const uint applies = decision[KEEL_DECISION_APPLIES] != 0.0f;
  const measure weight = column_measure(w, part, 1);
  const measure slope = column_measure(g, part, 1);
  const floats length = weight.size * weight.up;
  // A NaN of the weights wins: nothing is above it.
  const floats limit = ratio * select(length, (floats)(least), length < (floats)(least));
  ints is_above = slope.size * slope.up > limit;
  if (!applies) is_above = (ints)(0);
  // Divided by the scaled norm: the norm itself may be above the range.
  const floats amount = limit / slope.size * MARGIN;
  scale_columns(g, part, slope.down, amount, is_above);
  if (part.row == 0 && part.column < columns) {
    const floats factor = select((floats)(1.0f), amount * slope.down, is_above);
    keel_store_part(factor, factors, part.column, columns);
  }
}

// unit_norm_record — decision.factor = min(factor, factors); below 1, verdict applied is clipped.
//
// Buffers    factors: columns; decision: that of the step.
// Work       one team; each lane takes every KEEL_GROUP-th column, then a tree.
// Requires   local size KEEL_GROUP, one group.
// Numerics   exact.
// Launched   Sources/KeelOpenCL/OpenCLUnitNorm.swift
// Checked    Sources/KeelCases/UnitNormCases.swift
// Why        a second launch instead of atomics.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void unit_norm_record(
    __global const float *restrict factors,
    __global float *restrict decision,
    const uint columns)
{
  __local float scratch[KEEL_GROUP];
  float smallest = 1.0f;
  for (uint c = KEEL_LANE; c < columns; c += KEEL_GROUP) {
    smallest = factors[c] < smallest ? factors[c] : smallest;
  }
  // The largest of what is lacking is the smallest: both signs are exact.
  smallest = -keel_team_maximum(-smallest, scratch);
  if (KEEL_LANE > 0 || decision[KEEL_DECISION_APPLIES] == 0.0f || !(smallest < 1.0f)) return;
  if (smallest < decision[KEEL_DECISION_FACTOR]) decision[KEEL_DECISION_FACTOR] = smallest;
  // 0 is applied, 1 is clipped.
  if (decision[KEEL_DECISION_VERDICT] == 0.0f) decision[KEEL_DECISION_VERDICT] = 1.0f;
}

// unit_norm_constrain — per column of w: norm > limit ? w * limit / norm, or w / norm, or w / sum.
//
// Buffers    w: rows x columns; decision: that of the step.
// Work       a team takes BAND vectors of columns, all rows.
// Requires   local size KEEL_GROUP; constraint: MAXIMUM_NORM, UNIT_NORM or UNIT_SUM.
// Numerics   as unit_norm_clip; a norm or a sum within 2^-21 of 1, or 0, leaves every bit.
// Launched   Sources/KeelOpenCL/OpenCLUnitNorm.swift
// Checked    Sources/KeelCases/UnitNormCases.swift
// Why        one kernel for three constraints, which differ in one number per column.
__kernel __attribute__((reqd_work_group_size(KEEL_GROUP, 1, 1)))
void unit_norm_constrain(
    __global float *restrict w,
    __global const float *restrict decision,
    const uint rows,
    const uint columns,
    const uint constraint,
    const float limit)
{
  __local ints bits[KEEL_GROUP];
  __local floats high[KEEL_GROUP], low[KEEL_GROUP];
  if (decision[KEEL_DECISION_APPLIES] == 0.0f) return;
  const lane_part part = part_of_lane(rows, columns, bits, high, low);
  const measure weight = column_measure(w, part, constraint != UNIT_SUM);
  const floats norm = weight.size * weight.up;
  floats amount;
  ints moves;
  if (constraint == MAXIMUM_NORM) {
    amount = limit / weight.size * MARGIN;
    moves = norm > (floats)(limit);
  } else {
    amount = 1.0f / weight.size;
    moves = (weight.size != (floats)(0.0f)) & !(fabs(norm - 1.0f) <= (floats)(0x1p-21f));
  }
  scale_columns(w, part, weight.down, amount, moves);
}
