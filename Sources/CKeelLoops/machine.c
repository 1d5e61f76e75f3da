// What Swift cannot ask the system for.
#define _GNU_SOURCE
#include <sched.h>
#include <sys/mman.h>

#include "CKeelLoops.h"

size_t keel_core_count(void) {
#ifdef __linux__
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return (size_t)CPU_COUNT(&cores);
#endif
  return 0;
}

void keel_advise_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}
