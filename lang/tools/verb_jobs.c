/* verb_jobs.c: qa jobs: what was submitted from this account, and how it stands. */
#include "lang/tools/cli.h"

#include "runtime/dwave/dwave.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Control characters of a job file must not reach a terminal. */
static void put_text(const char *s, int width) {
  int n = 0;
  for (; *s; s++, n++) putchar((unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s);
  for (; n < width; n++) putchar(' ');
}

static void put_row(const DwJob *j) {
  const char *solver = js_text(js_get(j->json, "solver"), "name");
  put_text(dw_job_text(j, "submitted"), 22);
  put_text(dw_job_text(j, "state"), 13);
  put_text(solver ? solver : "", 24);
  put_text(dw_job_text(j, "label"), 26);
  put_text(dw_job_text(j, "id"), 0);
  putchar('\n');
}

static void put_json(const DwJob *j) {
  static const char *const keys[] = {"label", "id", "state", "submitted", "type"};
  const char *solver = js_text(js_get(j->json, "solver"), "name");
  Buf b = {0};
  buf_text(&b, "{\"solver\": ");
  js_string(&b, solver ? solver : "");
  for (int k = 0; k < 5; k++) {
    buf_format(&b, ", \"%s\": ", keys[k]);
    js_string(&b, dw_job_text(j, keys[k]));
  }
  buf_text(&b, "}");
  if (b.data) puts(b.data);
  buf_free(&b);
}

static RtStatus ask_service(Rt *rt, bool drop, DwJob *j) {
  DwSources from = {0};
  DwConfig config;
  DwClient client;
  RT_TRY(dw_config_load(rt, &from, &config));
  RT_TRY(dw_open(rt, &client, &config));
  RtStatus s = drop ? dw_cancel(&client, j) : dw_refresh(&client, j);
  if (client.config.notes.len) fputs(client.config.notes.data, stderr);
  dw_close(&client);
  return s;
}

static int failed(const Cli *c, Rt *rt) {
  cli_usage(c, *rt->error.help ? rt->error.help : NULL, "%s", rt->error.message);
  return rt->error.status == RT_BACKEND ? EXIT_BACKEND : EXIT_SCRIPT;
}

static int list_jobs(Cli *c, Rt *rt) {
  DwJob *all;
  int64_t n;
  if (dw_job_all(rt, &all, &n)) return failed(c, rt);
  for (int64_t i = 0; i < n; i++) {
    if (c->option[OPT_JSON]) put_json(&all[i]);
    else put_row(&all[i]);
    dw_job_free(&all[i]);
  }
  free(all);
  return EXIT_OK;
}

int verb_jobs(Cli *c) {
  Rt *rt = rt_open();
  if (!rt) return cli_usage(c, NULL, "out of memory");
  bool drop = c->n_operands > 0 && !strcmp(c->operands[0], "cancel");
  int code = drop && c->n_operands < 2
                 ? cli_usage(c, "qa jobs cancel ID", "which job is to be cancelled?")
                 : EXIT_OK;
  if (c->n_operands == 0) code = list_jobs(c, rt);
  for (int i = drop; i < c->n_operands && code == EXIT_OK; i++) {
    DwJob j;
    if (dw_job_find(rt, c->operands[i], &j)) {
      code = failed(c, rt);
      break;
    }
    if (ask_service(rt, drop, &j)) code = failed(c, rt);
    else if (c->option[OPT_JSON]) put_json(&j);
    else put_row(&j);
    dw_job_free(&j);
  }
  rt_close(rt);
  return code;
}
