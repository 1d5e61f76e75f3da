// The text of every OpenCL program, embedded in the binary.
#pragma once
#include <stddef.h>

typedef struct KeelKernelProgram {
  const char *_Nonnull name;  // the stem of its file in Programs
  const char *_Nonnull text;  // OpenCL C, not terminated
  size_t length;
} KeelKernelProgram;

// The table and its length.
const KeelKernelProgram *_Nonnull keel_kernel_programs(void);
size_t keel_kernel_program_count(void);
