/* private.h: shared inside runtime/dwave only. */
#ifndef QA_DWAVE_PRIVATE_H
#define QA_DWAVE_PRIVATE_H
#include "runtime/dwave/dwave.h"

/* ini.c */
typedef struct { char *name; DwOption *option; int n; } IniSection;
typedef struct { IniSection *section; int n; } Ini;
/* Merges into ini: later files win key by key. */
RtStatus ini_read(Rt *rt, Ini *ini, const char *text, size_t n, const char *name, DwTrust trust);
void ini_free(Ini *ini);
IniSection *ini_section(Ini *ini, const char *name, size_t n);
DwOption *ini_key(const IniSection *s, const char *key);
RtStatus ini_expand(Rt *rt, const Ini *ini, const IniSection *s, const char *value, int depth,
                    Buf *out, DwTrust *trust);

/* config.c */
bool url_split(const char *url, bool *https, Buf *host);   /* host: lower case, no port */
bool host_is_loopback(const char *host);

/* curl.c: one request without judging it.  Headers end with NULL. */
typedef struct {
  const char *method, *url, *proxy;
  const char *const *header;
  const void *body;
  size_t size, max;
  double connect_timeout, read_timeout;
  const char *cert, *key;
  double limit;               /* seconds for the whole exchange                   */
  bool insecure, http_allowed, direct, close;
} CurlCall;
typedef struct {
  long status;
  Buf body, headers;          /* headers: of the last response, as received       */
  bool sent, too_large;
  bool hopeless;              /* not worth repeating: certificates, addresses     */
  char error[256];
} CurlReply;
RtStatus curl_open(Rt *rt, DwCurl **out);
void curl_close(DwCurl *c);
/* RT_OK: there is a reply; RT_BACKEND: none (error says why); RT_INTERRUPTED, RT_LIMIT. */
RtStatus curl_call(Rt *rt, DwCurl *c, const CurlCall *q, CurlReply *reply);
void curl_reply_free(CurlReply *r);

/* http.c */
/* The value of header `name` (malloc), NULL: none. */
char *http_header(const Buf *headers, const char *name);
RtStatus dw_fetch(DwClient *c, const CurlCall *q, bool safe, CurlReply *reply);   /* with retries */
void url_part(Buf *out, const char *s);       /* percent-encoded                   */
RtStatus dw_pause(DwClient *c, double seconds);

#endif
