// prelude_step — compiled after prelude.cl in front of the programs that decide on a step.

// The verdicts and actions in the order of Sources/KeelBackend/StepControl.swift.
#define KEEL_APPLIED 0.0f
#define KEEL_CLIPPED 1.0f
#define KEEL_SKIPPED 2.0f
#define KEEL_HALTED 3.0f
#define KEEL_REPAIRED 4.0f
#define KEEL_HALT 1u
#define KEEL_REPAIR 2u

// What a step may not exceed.
#define KEEL_NORM_LIMIT 1u
#define KEEL_LARGEST_LIMIT 2u

// What brings a measure down to its limit: corrected once, so that the product is the limit as
// nearly as can be. A NaN clips nothing, nor does a limit of 0.
static inline float keel_step_factor(const float limit, const float measure)
{
  // Not fmin: it would swallow a NaN.
  if (!(measure > limit) || !(limit > 0.0f)) return 1.0f;
  const float factor = limit / measure;
  return keel_is_finite(measure) ? factor + fma(-factor, measure, limit) / measure : factor;
}

// The arguments of keel_step_begin, as a kernel has them.
#define KEEL_STEP_PARAMETERS \
  __global const float *loss, \
  __global const float *right, \
  __global const float4 *schedule, \
  __global int *counters, \
  __global float *decision, \
  const uint rows, \
  const uint action, \
  const uint maximum_skips, \
  const ulong first_update, \
  const uint limit_kind, \
  const float limit
#define KEEL_STEP_ARGUMENTS \
  loss, right, schedule, counters, decision, rows, action, maximum_skips, first_update, \
  limit_kind, limit

// The decision of a step from what the telescope saw, and from a limit for all gradients if there
// is one; the counters move. For one work-item.
static inline void keel_step_begin(
    const float norm, const float largest, const int faults, const int first_fault,
    KEEL_STEP_PARAMETERS)
{
  const int row = counters[0];
  const float4 planned = schedule[min((uint)row, rows - 1)];
  const int loss_is_bad = loss ? !keel_is_finite(loss[0]) : 0;
  const int is_bad = faults > 0 || loss_is_bad;
  float verdict = is_bad ? KEEL_REPAIRED : KEEL_APPLIED;
  if (counters[2] != 0) {
    verdict = KEEL_HALTED;
  } else if (is_bad && (loss_is_bad || action != KEEL_REPAIR)) {
    verdict = KEEL_SKIPPED;
    const int in_a_row = counters[1] + 1;
    counters[1] = in_a_row;
    counters[3] += 1;
    if (action == KEEL_HALT || (uint)in_a_row > maximum_skips) counters[2] = 1;
  } else {
    counters[0] = row + 1;
    counters[1] = 0;
  }
  const int applies = verdict == KEEL_APPLIED || verdict == KEEL_REPAIRED;
  float factor = 1.0f;
  if (applies && limit_kind == KEEL_NORM_LIMIT) factor = keel_step_factor(limit, norm);
  if (applies && limit_kind == KEEL_LARGEST_LIMIT) factor = keel_step_factor(limit, largest);
  if (factor < 1.0f && verdict == KEEL_APPLIED) verdict = KEEL_CLIPPED;
  decision[KEEL_DECISION_NORM] = norm;
  decision[KEEL_DECISION_COEFFICIENT] = factor;
  decision[KEEL_DECISION_APPLIES] = applies ? 1.0f : 0.0f;
  decision[KEEL_DECISION_LEARNING_RATE] = planned.x;
  decision[KEEL_DECISION_CORRECTION1] = planned.y;
  decision[KEEL_DECISION_CORRECTION2] = planned.z;
  decision[KEEL_DECISION_NOISE] = planned.w;
  decision[KEEL_DECISION_LARGEST] = largest;
  decision[KEEL_DECISION_CLIPPED_NORM] = factor < 1.0f ? factor * norm : norm;
  decision[KEEL_DECISION_FAULTY_TENSOR] = faults == 0 && loss_is_bad ? -2.0f : (float)first_fault;
  decision[KEEL_DECISION_FAULTS] = (float)faults;
  decision[KEEL_DECISION_VERDICT] = verdict;
  decision[KEEL_DECISION_FACTOR] = factor;
  decision[KEEL_DECISION_UPDATES] = (float)(first_update + (ulong)row);
  decision[KEEL_DECISION_LOSS] = loss ? loss[0] : 0.0f;
  decision[KEEL_DECISION_RIGHT] = right ? right[0] : 0.0f;
}
