typedef int keel_module_COpenCL;
