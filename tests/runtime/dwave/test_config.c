/* test_config.c: configuration against the stored cases of the reference client,
 * and the rules that keep a token where it belongs.                          */
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/dwave/dwave.h"
#include "vectors.h"

static int open_rt(void **state) { return !(*state = rt_open()); }
static int close_rt(void **state) {
  rt_close(*state);
  return 0;
}

typedef struct {
  const cJSON *env;
  char root[64], path[200], dirs[200];
  const char *token;
} World;

static const char *env_of(void *user, const char *name) {
  World *w = user;
  if (!strcmp(name, "HOME")) return w->root;
  if (w->token && !strcmp(name, "DWAVE_API_TOKEN")) return w->token;
  if (!strcmp(name, "XDG_CONFIG_DIRS") || !strcmp(name, "XDG_CONFIG_HOME")) {
    bool dirs = name[11] == 'D';
    if (dirs) snprintf(w->dirs, sizeof w->dirs, "%s/site0:%s/site1", w->root, w->root);
    else snprintf(w->path, sizeof w->path, "%s/user", w->root);
    return dirs ? w->dirs : w->path;
  }
  const char *v = js_text(w->env, name);
  if (v && *v == '@') {
    snprintf(w->path, sizeof w->path, "%s/%s", w->root, v + 1);
    return w->path;
  }
  return v;
}

static void put_file(const World *w, const char *where, const char *text) {
  char path[300];
  bool standard = !strcmp(where, "user") || !strcmp(where, "site0") || !strcmp(where, "site1");
  snprintf(path, sizeof path, "%s/%s", w->root, standard ? where : "");
  mkdir(path, 0700);
  if (standard) {
    snprintf(path, sizeof path, "%s/%s/dwave", w->root, where);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/%s/dwave/dwave.conf", w->root, where);
  } else if (!strcmp(where, "cwd")) {
    snprintf(path, sizeof path, "%s/dwave.conf", w->root);
  } else {
    snprintf(path, sizeof path, "%s/%s", w->root, where);
  }
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
  chmod(path, 0600);
}

static void empty_world(World *w) {
  static const char *const files[] = {"site0/dwave/dwave.conf",
                                      "site1/dwave/dwave.conf",
                                      "user/dwave/dwave.conf",
                                      "dwave.conf",
                                      "other.conf",
                                      "a.conf",
                                      "b.conf"};
  char path[300];
  for (int i = 0; i < 7; i++) {
    snprintf(path, sizeof path, "%s/%s", w->root, files[i]);
    unlink(path);
  }
  w->env = NULL;
}

static void new_world(World *w) {
  *w = (World){0};
  strcpy(w->root, "/tmp/qa-config-XXXXXX");
  assert_non_null(mkdtemp(w->root));
}

static void end_world(World *w) {
  static const char *const dirs[] = {"site0/dwave", "site0", "site1/dwave", "site1", "user/dwave",
                                     "user",        ""};
  char path[300];
  empty_world(w);
  for (int i = 0; i < 7; i++) {
    snprintf(path, sizeof path, "%s/%s", w->root, dirs[i]);
    rmdir(path);
  }
}

static void test_reference_cases(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "config");
  World w;
  new_world(&w);
  int cases = 0;
  for (const cJSON *c = js_get(v, "cases")->child; c; c = c->next, cases++) {
    empty_world(&w);
    w.env = js_get(c, "env");
    for (const cJSON *f = js_get(c, "files")->child; f; f = f->next)
      put_file(&w, f->string, f->valuestring);
    char paths[2][200];
    const char *file[2] = {paths[0], paths[1]};
    DwArg arg[8];
    DwSources s = {.profile = js_text(c, "profile"),
                   .cwd = w.root,
                   .env = env_of,
                   .user = &w,
                   .file = file,
                   .arg = arg};
    const cJSON *explicit = js_get(c, "config_file");
    s.no_files = cJSON_IsFalse(explicit);
    s.ignore_env_file = cJSON_IsTrue(explicit);
    for (const cJSON *f = cJSON_IsArray(explicit) ? explicit->child : NULL; f; f = f->next)
      snprintf(paths[s.n_file++], sizeof paths[0], "%s/%s", w.root, f->valuestring);
    const cJSON *kwargs = js_get(c, "kwargs");
    for (const cJSON *k = kwargs ? kwargs->child : NULL; k; k = k->next)
      arg[s.n_arg++] = (DwArg){k->string, cJSON_IsString(k) ? k->valuestring : NULL, TRUST_USER};
    DwConfig got;
    RtStatus st = dw_config_load(rt, &s, &got);
    const cJSON *want = js_get(c, "result");
    if (!want) {
      assert_int_equal(st, RT_ERROR);
      continue;
    }
    if (st) print_error("%s: %s\n", js_text(c, "name"), rt->error.message);
    assert_int_equal(st, RT_OK);
    assert_int_equal(got.n, cJSON_GetArraySize(want));
    for (int i = 0; i < got.n; i++) {
      const char *x = js_text(want, got.option[i].key);
      assert_non_null(x);
      assert_string_equal(got.option[i].value, x);
    }
    dw_config_free(&got);
  }
  assert_int_equal(cases, 37);
  end_world(&w);
  cJSON_Delete(v);
}

static void test_identities(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "config");
  int cases = 0;
  for (const cJSON *c = js_get(v, "solver_identity")->child; c; c = c->next, cases++) {
    const cJSON *identity = js_get(c, "identity");
    const char *text = js_text(c, "string");
    bool from_text = c->child && !strcmp(c->child->string, "string");
    cJSON *got = NULL;
    Buf out = {0};
    if (from_text) {
      assert_int_equal(dw_identity_parse(rt, text, &got), identity ? RT_OK : RT_ERROR);
      if (identity) assert_true(cJSON_Compare(got, identity, 1));
      if (identity) cJSON_Delete(got);
    } else {
      assert_int_equal(dw_identity_text(rt, identity, &out), text ? RT_OK : RT_ERROR);
      if (text) assert_string_equal(out.data, text);
    }
    buf_free(&out);
  }
  assert_int_equal(cases, 13);
  for (const cJSON *c = js_get(v, "legacy_parse_boolean")->child; c; c = c->next) {
    const char *text = js_text(c, "text");
    bool got = false;
    /* "2", "[]" and empty texts are not taken for booleans here */
    if (!text || !strcmp(text, "2") || !strcmp(text, "[]") || !*text) continue;
    DwOption o = {"k", (char *)(uintptr_t)text, TRUST_USER};
    DwConfig k = {.option = &o, .n = 1};
    const cJSON *want = js_get(c, "value");
    assert_int_equal(dw_config_bool(rt, &k, "k", &got), cJSON_IsBool(want) ? RT_OK : RT_ERROR);
    if (want) assert_int_equal(got, cJSON_IsTrue(want));
  }
  cJSON_Delete(v);
}

/* What is refused: a token of the user's on a way that a less trusted place names. */
static void test_token_rules(void **state) {
  Rt *rt = *state;
  static const struct {
    const char *user, *cwd, *key;
    DwTrust trust;
    const char *value;
    bool good;
  } t[] = {
      {"[p]\ntoken = t\n", "", NULL, 0, NULL, true},
      {"[p]\ntoken = t\nendpoint = https://a.example/sapi/\n", "", NULL, 0, NULL, true},
      {"[p]\ntoken = t\n", "[p]\nendpoint = https://evil.example/\n", NULL, 0, NULL, false},
      {"[p]\ntoken = t\n", "[p]\nproxy = http://evil.example/\n", NULL, 0, NULL, false},
      {"[p]\ntoken = t\n", "[p]\nheaders = X-A: b\n", NULL, 0, NULL, false},
      {"[p]\ntoken = t\n", "[p]\npermissive_ssl = 1\n", NULL, 0, NULL, false},
      {"[p]\ntoken = t\n", "[p]\nregion = eu-central-1\n", NULL, 0, NULL, false},
      {"[p]\ntoken = t\n", "[p]\nmetadata_api_endpoint = https://evil/\n", NULL, 0, NULL, false},
      {"[p]\ntoken = t\nendpoint = https://%(host)s/\nhost = good\n", "[p]\nhost = evil\n", NULL, 0,
       NULL, false},
      {"[p]\ntoken = t\n", "[p]\nsolver = s\n", NULL, 0, NULL, true},
      {"[p]\nendpoint = https://a.example/\n", "[p]\ntoken = t\n", NULL, 0, NULL, true},
      {"", "[p]\ntoken = t\nendpoint = https://a.example/\n", NULL, 0, NULL, true},
      {"[p]\ntoken = t\n", "", "endpoint", TRUST_SCRIPT, "https://evil.example/", false},
      {"[p]\ntoken = t\n", "", "endpoint", TRUST_USER, "https://own.example/", true},
      {"", "", NULL, 0, NULL, false},
      {"[p]\ntoken = t\nendpoint = http://a.example/\n", "", NULL, 0, NULL, false},
      {"[p]\ntoken = t\nendpoint = ftp://a.example/\n", "", NULL, 0, NULL, false},
      {"[p]\ntoken = t\nendpoint = https://u:p@a.example/\n", "", NULL, 0, NULL, false},
      {"[p]\ntoken = t\nendpoint = http://127.0.0.1.evil.example/\n", "", NULL, 0, NULL, false},
      {"[p]\ntoken = t\nendpoint = http://127.0.0.1:8080/sapi\n", "", NULL, 0, NULL, true},
      {"[p]\ntoken = t\nendpoint = http://localhost:1/\n", "", NULL, 0, NULL, true},
      {"[p]\ntoken = t\nendpoint = http://[::1]:1/\n", "", NULL, 0, NULL, true},
      {"[p]\ntoken = t\n  x\n", "", NULL, 0, NULL, false}};
  World w;
  new_world(&w);
  for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
    empty_world(&w);
    put_file(&w, "user", t[i].user);
    put_file(&w, "cwd", t[i].cwd);
    DwArg arg = {t[i].key, t[i].value, t[i].trust};
    DwSources s = {
        .cwd = w.root, .env = env_of, .user = &w, .arg = &arg, .n_arg = t[i].key != NULL};
    DwConfig c;
    assert_int_equal(dw_config_load(rt, &s, &c), RT_OK);
    RtStatus st = dw_config_check(rt, &c);
    if ((st == RT_OK) != t[i].good) print_error("case %zu\n", i);
    assert_int_equal(st == RT_OK, t[i].good);
    assert_int_equal(c.notes.len, 0);
    dw_config_free(&c);
  }
  /* a file that the script names does not get the user's token, only its own */
  for (int own = 0; own < 2; own++) {
    char named[200];
    empty_world(&w);
    put_file(&w, "user",
             own ? "[p]\ntoken = mine\nendpoint = https://a.example/\n"
                 : "[p]\nendpoint = https://evil.example/\n");
    snprintf(named, sizeof named, "%s/user/dwave/dwave.conf", w.root);
    const char *files[] = {named};
    w.token = own ? NULL : "t";
    DwSources from = {.cwd = w.root,
                      .env = env_of,
                      .user = &w,
                      .file = files,
                      .n_file = 1,
                      .file_trust = TRUST_SCRIPT};
    DwConfig got;
    assert_int_equal(dw_config_load(rt, &from, &got), RT_OK);
    assert_int_equal(dw_config_check(rt, &got), own ? RT_OK : RT_ERROR);
    dw_config_free(&got);
    from.file_trust = TRUST_USER;
    assert_int_equal(dw_config_load(rt, &from, &got), RT_OK);
    assert_int_equal(dw_config_check(rt, &got), RT_OK);
    dw_config_free(&got);
  }
  w.token = NULL;
  char path[200];
  snprintf(path, sizeof path, "%s/user/dwave/dwave.conf", w.root);
  chmod(path, 0644);
  DwSources s = {.cwd = w.root, .env = env_of, .user = &w};
  DwConfig c;
  assert_int_equal(dw_config_load(rt, &s, &c), RT_OK);
  assert_non_null(strstr(c.notes.data, "can be read by others"));
  dw_config_free(&c);
  end_world(&w);
}

static void test_redaction(void **state) {
  (void)state;
  Buf b = {0};
  buf_text(&b, "token s3cret! and DEV-0123456789abcdef0123456789abcdef01234567 and DEV-12 end");
  dw_redact(&b, "s3cret!");
  assert_string_equal(b.data, "token *** and *** and DEV-12 end");
  buf_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_reference_cases), cmocka_unit_test(test_identities),
      cmocka_unit_test(test_token_rules), cmocka_unit_test(test_redaction)};
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
