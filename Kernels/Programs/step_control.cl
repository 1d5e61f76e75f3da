// Whether and how a step is taken, decided on the device so that no step waits for the host.

// step_control — decision of a step from what the telescope saw; the counters move.
//
// Buffers    summary: norm, largest; faults: elements not finite, first tensor with one or -1;
//            loss, right: 1, or NULL; schedule: rows x 4 (learning rate, two corrections, noise);
//            counters: row, skips in a row, halted, skips; decision: 16.
// Work       one work-item.
// Requires   rows above 0.
// Numerics   copies and counts; the count of updates is rounded to float. A factor as
//            gradient_clip_coefficients has it.
// Launched   Sources/KeelOpenCL/OpenCLStepControl.swift
// Checked    Sources/KeelCases/StepControlCases.swift
// Why        sixteen numbers: what matters is that the host reads none of them.
__kernel void step_control(
    __global const float *restrict summary,
    __global const int *restrict faults,
    KEEL_STEP_PARAMETERS)
{
  if (get_global_id(0) > 0) return;
  keel_step_begin(summary[0], summary[1], faults[0], faults[1], KEEL_STEP_ARGUMENTS);
}
