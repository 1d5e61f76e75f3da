// The loops run on the threads of the OpenMP runtime that oneDNN brings: its idle threads spin for
// a while after each call, and a second pool would fight them for the cores.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "loops.h"

typedef void (*keel_omp_parallel)(void (*)(void *), void *, unsigned threads, unsigned flags);
typedef int (*keel_omp_maximum_threads)(void);

static keel_omp_parallel omp_parallel;
static keel_omp_maximum_threads omp_maximum_threads;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_runtime(void) {
  omp_parallel = (keel_omp_parallel)dlsym(RTLD_DEFAULT, "GOMP_parallel");
  omp_maximum_threads = (keel_omp_maximum_threads)dlsym(RTLD_DEFAULT, "omp_get_max_threads");
}

struct shared_work {
  void (*body)(void *context, size_t index);
  void *context;
  size_t count;
  _Atomic size_t next;
};

static void work(void *argument) {
  struct shared_work *shared = argument;
  for (;;) {
    const size_t index = atomic_fetch_add_explicit(&shared->next, 1, memory_order_relaxed);
    if (index >= shared->count) return;
    shared->body(shared->context, index);
  }
}

bool keel_parallel(size_t count, void (*body)(void *context, size_t index), void *context) {
  pthread_once(&once, find_runtime);
  if (!omp_parallel || !omp_maximum_threads) return false;
  struct shared_work shared = {.body = body, .context = context, .count = count};
  atomic_init(&shared.next, 0);
  const size_t threads = (size_t)omp_maximum_threads();
  omp_parallel(work, &shared, (unsigned)keel_smaller(threads, count), 0);
  return true;
}

size_t keel_thread_count(void) {
  pthread_once(&once, find_runtime);
  return omp_parallel && omp_maximum_threads ? (size_t)omp_maximum_threads() : 0;
}

void keel_advise_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}
