// Whether and how a step is taken, decided on the device so that no step waits for the host.

// The verdicts and actions in the order of Sources/KeelBackend/StepControl.swift.
#define APPLIED 0.0f
#define SKIPPED 2.0f
#define HALTED 3.0f
#define REPAIRED 4.0f
#define HALT 1u
#define REPAIR 2u

// step_control — decision of a step from what the telescope saw; the counters move.
//
// Buffers    summary: norm, largest; faults: elements not finite, first tensor with one or -1;
//            loss: 1, or NULL; schedule: rows x 4 (learning rate, two corrections, noise);
//            counters: row, skips in a row, halted, skips; decision: 16.
// Work       one work-item.
// Requires   rows above 0.
// Numerics   copies and counts; the count of updates is rounded to float.
// Launched   Sources/KeelOpenCL/OpenCLStepControl.swift
// Checked    Sources/KeelCases/StepControlCases.swift
// Why        sixteen numbers: what matters is that the host reads none of them.
__kernel void step_control(
    __global const float *restrict summary,
    __global const int *restrict faults,
    __global const float *restrict loss,
    __global const float4 *restrict schedule,
    __global int *restrict counters,
    __global float *restrict decision,
    const uint rows,
    const uint action,
    const uint maximum_skips,
    const ulong first_update)
{
  if (get_global_id(0) > 0) return;
  const int row = counters[0];
  const float4 planned = schedule[min((uint)row, rows - 1)];
  const int loss_is_bad = loss ? !keel_is_finite(loss[0]) : 0;
  const int is_bad = faults[0] > 0 || loss_is_bad;
  float verdict = is_bad ? REPAIRED : APPLIED;
  if (counters[2] != 0) {
    verdict = HALTED;
  } else if (is_bad && (loss_is_bad || action != REPAIR)) {
    verdict = SKIPPED;
    const int in_a_row = counters[1] + 1;
    counters[1] = in_a_row;
    counters[3] += 1;
    if (action == HALT || (uint)in_a_row > maximum_skips) counters[2] = 1;
  } else {
    counters[0] = row + 1;
    counters[1] = 0;
  }
  decision[KEEL_DECISION_NORM] = summary[0];
  decision[KEEL_DECISION_COEFFICIENT] = 1.0f;
  decision[KEEL_DECISION_APPLIES] = verdict == APPLIED || verdict == REPAIRED ? 1.0f : 0.0f;
  decision[KEEL_DECISION_LEARNING_RATE] = planned.x;
  decision[KEEL_DECISION_CORRECTION1] = planned.y;
  decision[KEEL_DECISION_CORRECTION2] = planned.z;
  decision[KEEL_DECISION_NOISE] = planned.w;
  decision[KEEL_DECISION_LARGEST] = summary[1];
  decision[KEEL_DECISION_CLIPPED_NORM] = summary[0];
  decision[KEEL_DECISION_FAULTY_TENSOR] =
      faults[0] == 0 && loss_is_bad ? -2.0f : (float)faults[1];
  decision[KEEL_DECISION_FAULTS] = (float)faults[0];
  decision[KEEL_DECISION_VERDICT] = verdict;
  decision[KEEL_DECISION_FACTOR] = 1.0f;
  decision[KEEL_DECISION_UPDATES] = (float)(first_update + (ulong)row);
  decision[KEEL_DECISION_UPDATES + 1] = 0.0f;
  decision[KEEL_DECISION_UPDATES + 2] = 0.0f;
}
