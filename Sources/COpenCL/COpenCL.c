#define _GNU_SOURCE
#include "COpenCL.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static KeelOpenCLFunctions functions;
static int loaded;
static char library[4096];
static char failures[8192];
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Fills the table from one library; 0 and the name of the first missing function if it lacks any.
static int take_functions(void *handle, const char **missing)
{
#define KEEL_OPENCL_TAKE(name)                           \
  {                                                      \
    void *symbol = dlsym(handle, #name);                 \
    if (symbol == NULL) { *missing = #name; return 0; }  \
    memcpy(&functions.name, &symbol, sizeof symbol);     \
  }
  KEEL_OPENCL_FUNCTIONS(KEEL_OPENCL_TAKE)
#undef KEEL_OPENCL_TAKE
  return 1;
}

static void note_failure(const char *path, const char *reason)
{
  const size_t used = strlen(failures);
  snprintf(failures + used, sizeof failures - used, "%s%s: %s", used ? "\n" : "", path, reason);
}

static int try_library(const char *path)
{
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    const char *reason = dlerror();
    note_failure(path, reason ? reason : "cannot be opened");
    return 0;
  }
  const char *missing = "";
  if (!take_functions(handle, &missing)) {
    note_failure(path, missing);
    dlclose(handle);
    return 0;
  }
  snprintf(library, sizeof library, "%s", path);
  return 1;
}

static int try_beside_executable(void)
{
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
  if (length <= 0) return 0;
  path[length] = '\0';
  char *slash = strrchr(path, '/');
  if (slash == NULL) return 0;
  strcpy(slash, "/lib/libOpenCL.so.1");
  return try_library(path);
}

// The file that the functions came from, when they were in the process already: oneDNN links the
// loader, and a simulator is preloaded.
static void note_origin(void)
{
  void *symbol;
  memcpy(&symbol, &functions.clGetPlatformIDs, sizeof symbol);
  Dl_info origin;
  const int known = dladdr(symbol, &origin) != 0 && origin.dli_fname != NULL;
  snprintf(library, sizeof library, "%s", known ? origin.dli_fname : "already in this process");
}

static void load(void)
{
  const char *chosen = getenv("KEEL_OPENCL_LIBRARY");
  if (chosen != NULL && *chosen != '\0') {
    // A library that was asked for is the only one: no silent choice of another.
    loaded = try_library(chosen);
    return;
  }
  const char *missing = "";
  if (take_functions(RTLD_DEFAULT, &missing)) {
    note_origin();
    loaded = 1;
    return;
  }
  loaded = try_library("libOpenCL.so.1") || try_library("libOpenCL.so") || try_beside_executable();
  if (loaded) failures[0] = '\0';
}

const KeelOpenCLFunctions *keel_opencl_functions(void)
{
  pthread_once(&once, load);
  return loaded ? &functions : NULL;
}

const char *keel_opencl_library(void)
{
  pthread_once(&once, load);
  return library;
}

const char *keel_opencl_failures(void)
{
  pthread_once(&once, load);
  return failures;
}
