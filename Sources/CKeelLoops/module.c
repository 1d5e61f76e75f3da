typedef int keel_module_CKeelLoops;
