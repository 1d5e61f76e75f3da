#define _GNU_SOURCE
#include "CCurl.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// The stable numbers of curl's ABI that are used here.
enum {
  GLOBAL_DEFAULT = 3,
  OPT_LOW_SPEED_LIMIT = 19,
  OPT_LOW_SPEED_TIME = 20,
  OPT_NOPROGRESS = 43,
  OPT_FAILONERROR = 45,
  OPT_FOLLOWLOCATION = 52,
  OPT_MAXREDIRS = 68,
  OPT_CONNECTTIMEOUT = 78,
  OPT_NOSIGNAL = 99,
  OPT_PROTOCOLS = 181,
  OPT_REDIR_PROTOCOLS = 182,
  OPT_WRITEDATA = 10001,
  OPT_URL = 10002,
  OPT_ERRORBUFFER = 10010,
  OPT_USERAGENT = 10018,
  OPT_XFERINFODATA = 10057,
  OPT_CAINFO = 10065,
  OPT_WRITEFUNCTION = 20011,
  OPT_XFERINFOFUNCTION = 20219,
  OPT_RESUME_FROM_LARGE = 30116,
  INFO_RESPONSE_CODE = 0x200002,
  PROTOCOL_HTTP = 1,
  PROTOCOL_HTTPS = 2,
};

struct keel_curl {
  int (*global_init)(long flags);
  void *(*easy_init)(void);
  int (*easy_setopt)(void *handle, int option, ...);
  int (*easy_perform)(void *handle);
  int (*easy_getinfo)(void *handle, int info, ...);
  void (*easy_cleanup)(void *handle);
  const char *(*easy_strerror)(int code);
};

keel_curl *keel_curl_open(const char *library) {
  void *file = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (!file) return NULL;
  const char *const names[] = {
      "curl_global_init",  "curl_easy_init",    "curl_easy_setopt",  "curl_easy_perform",
      "curl_easy_getinfo", "curl_easy_cleanup", "curl_easy_strerror"};
  void *symbols[sizeof names / sizeof *names];
  _Static_assert(sizeof symbols == sizeof(struct keel_curl), "one name per function, in order");
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    symbols[i] = dlsym(file, names[i]);
    if (!symbols[i]) return NULL;
  }
  keel_curl *curl = malloc(sizeof *curl);
  if (!curl) return NULL;
  memcpy(curl, symbols, sizeof *curl);
  if (curl->global_init(GLOBAL_DEFAULT) != 0) {
    free(curl);
    return NULL;
  }
  return curl;
}

static size_t write_body(char *bytes, size_t size, size_t count, void *data) {
  const keel_curl_request *request = data;
  return request->write(request->context, bytes, size * count);
}

static int report_progress(
    void *data, long long total, long long now, long long upload_total, long long upload_now) {
  const keel_curl_request *request = data;
  (void)total, (void)now, (void)upload_total, (void)upload_now;
  return request->progress(request->context);
}

// The file of trusted certificates, or null for the one that curl was built with. A curl that was
// carried to another distribution looks in the place of its own.
static const char *trusted_certificates(void) {
  const char *const variables[] = {"CURL_CA_BUNDLE", "SSL_CERT_FILE"};
  for (size_t i = 0; i < 2; ++i) {
    const char *chosen = getenv(variables[i]);
    if (chosen && *chosen) return chosen;
  }
  if (access("/etc/ssl/certs/ca-certificates.crt", R_OK) == 0) return NULL;
  static const char *const places[] = {
      "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
  for (size_t i = 0; i < sizeof places / sizeof *places; ++i) {
    if (access(places[i], R_OK) == 0) return places[i];
  }
  return NULL;
}

void keel_curl_get(
    const keel_curl *curl, const keel_curl_request *request, keel_curl_result *result) {
  memset(result, 0, sizeof *result);
  void *handle = curl->easy_init();
  if (!handle) {
    result->code = 2;
    snprintf(result->message, sizeof result->message, "%s", curl->easy_strerror(2));
    return;
  }
  char detail[256] = "";  // CURL_ERROR_SIZE
  curl->easy_setopt(handle, OPT_ERRORBUFFER, detail);
  curl->easy_setopt(handle, OPT_URL, request->url);
  curl->easy_setopt(handle, OPT_USERAGENT, request->user_agent);
  curl->easy_setopt(handle, OPT_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
  curl->easy_setopt(handle, OPT_REDIR_PROTOCOLS, (long)(PROTOCOL_HTTP | PROTOCOL_HTTPS));
  const char *certificates = trusted_certificates();
  if (certificates) curl->easy_setopt(handle, OPT_CAINFO, certificates);
  curl->easy_setopt(handle, OPT_FOLLOWLOCATION, 1L);
  curl->easy_setopt(handle, OPT_MAXREDIRS, 8L);
  // The page that explains a 404 must not end up in the file.
  curl->easy_setopt(handle, OPT_FAILONERROR, 1L);
  curl->easy_setopt(handle, OPT_NOSIGNAL, 1L);
  curl->easy_setopt(handle, OPT_CONNECTTIMEOUT, 30L);
  // A mirror that stays silent for half a minute is given up; the next one goes on from there.
  curl->easy_setopt(handle, OPT_LOW_SPEED_LIMIT, 1L);
  curl->easy_setopt(handle, OPT_LOW_SPEED_TIME, 30L);
  curl->easy_setopt(handle, OPT_RESUME_FROM_LARGE, request->offset);
  curl->easy_setopt(handle, OPT_WRITEFUNCTION, write_body);
  curl->easy_setopt(handle, OPT_WRITEDATA, request);
  curl->easy_setopt(handle, OPT_NOPROGRESS, 0L);
  curl->easy_setopt(handle, OPT_XFERINFOFUNCTION, report_progress);
  curl->easy_setopt(handle, OPT_XFERINFODATA, request);
  result->code = curl->easy_perform(handle);
  curl->easy_getinfo(handle, INFO_RESPONSE_CODE, &result->status);
  if (result->code != 0) {
    const char *text = detail[0] ? detail : curl->easy_strerror(result->code);
    snprintf(result->message, sizeof result->message, "%s", text);
  }
  curl->easy_cleanup(handle);
}
