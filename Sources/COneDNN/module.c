typedef int keel_module_COneDNN;
