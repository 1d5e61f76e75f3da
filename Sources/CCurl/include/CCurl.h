#pragma once
#include <stddef.h>

// A thin door to libcurl, which is loaded at run time: a program that never downloads needs no
// libcurl, and the build needs no curl headers. No policy here: retries, resuming and checks are
// in Swift.

typedef struct keel_curl keel_curl;

typedef struct {
  const char *url;
  const char *user_agent;
  long long offset;  // first byte wanted; 0 asks for the whole file
  // Called with each piece of the body; returns the count it took, less stops the transfer.
  size_t (*write)(void *context, const char *bytes, size_t count);
  // Called a few times per second; a nonzero answer stops the transfer.
  int (*progress)(void *context);
  void *context;
} keel_curl_request;

typedef struct {
  int code;     // a CURLcode; 0 is success
  long status;  // the HTTP status, 0 when none arrived
  char message[256];
} keel_curl_result;

// The CURLcodes that the caller tells apart.
enum {
  KEEL_CURL_OK = 0,
  KEEL_CURL_HTTP_ERROR = 22,
  KEEL_CURL_WRITE_ERROR = 23,
  KEEL_CURL_RANGE_ERROR = 33,
  KEEL_CURL_STOPPED = 42,
};

// Loads a libcurl by its library name; null when it is missing or lacks a function. Never freed.
keel_curl *keel_curl_open(const char *library);

// Fetches one file over http or https, following redirects. Blocks until done.
void keel_curl_get(
    const keel_curl *curl, const keel_curl_request *request, keel_curl_result *result);
