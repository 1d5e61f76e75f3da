typedef int keel_kernels;
