// The OpenCL interface, found at run time: a program that links this starts on machines without
// any OpenCL library.
#pragma once

#define CL_TARGET_OPENCL_VERSION 300
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

// Every function used. All of OpenCL 1.2, so that any loader has them.
#define KEEL_OPENCL_FUNCTIONS(FUNCTION) \
  FUNCTION(clGetPlatformIDs) \
  FUNCTION(clGetPlatformInfo) \
  FUNCTION(clGetDeviceIDs) \
  FUNCTION(clGetDeviceInfo) \
  FUNCTION(clCreateContext) \
  FUNCTION(clReleaseContext) \
  FUNCTION(clCreateCommandQueue) \
  FUNCTION(clReleaseCommandQueue) \
  FUNCTION(clCreateBuffer) \
  FUNCTION(clCreateSubBuffer) \
  FUNCTION(clRetainMemObject) \
  FUNCTION(clReleaseMemObject) \
  FUNCTION(clCreateProgramWithSource) \
  FUNCTION(clCreateProgramWithBinary) \
  FUNCTION(clBuildProgram) \
  FUNCTION(clReleaseProgram) \
  FUNCTION(clGetProgramInfo) \
  FUNCTION(clGetProgramBuildInfo) \
  FUNCTION(clCreateKernel) \
  FUNCTION(clReleaseKernel) \
  FUNCTION(clSetKernelArg) \
  FUNCTION(clGetKernelWorkGroupInfo) \
  FUNCTION(clEnqueueNDRangeKernel) \
  FUNCTION(clEnqueueReadBuffer) \
  FUNCTION(clEnqueueCopyBuffer) \
  FUNCTION(clEnqueueFillBuffer) \
  FUNCTION(clEnqueueWriteBuffer) \
  FUNCTION(clFlush) \
  FUNCTION(clFinish) \
  FUNCTION(clWaitForEvents) \
  FUNCTION(clGetEventInfo) \
  FUNCTION(clGetEventProfilingInfo) \
  FUNCTION(clReleaseEvent)

#define KEEL_OPENCL_MEMBER(name) __typeof__(&name) _Nonnull name;
typedef struct KeelOpenCLFunctions {
  KEEL_OPENCL_FUNCTIONS(KEEL_OPENCL_MEMBER)
} KeelOpenCLFunctions;
#undef KEEL_OPENCL_MEMBER

// The functions, or null where no library offers them all. The first call looks for them: in
// $KEEL_OPENCL_LIBRARY, in the process itself (a preloaded simulator, or what oneDNN links), in
// libOpenCL.so.1 and libOpenCL.so, and in lib/ beside the executable.
const KeelOpenCLFunctions *_Nullable keel_opencl_functions(void);

// Where the functions came from: a library's path or name. Empty without a library.
const char *_Nonnull keel_opencl_library(void);

// Why no library was found: one line per candidate. Empty with a library.
const char *_Nonnull keel_opencl_failures(void);
