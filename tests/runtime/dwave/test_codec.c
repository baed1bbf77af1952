/* test_codec.c: base64, MD5, "qp", "bq" and DIMODBQM against the stored vectors
 * of the reference client and dimod, both ways.                              */
#include <math.h>

#include "vectors.h"

static int open_rt(void **state) { return !(*state = rt_open()); }
static int close_rt(void **state) {
  Rt *rt = *state;
  rt_trim(rt);
  assert_int_equal(rt->bytes, 0);
  rt_close(rt);
  return 0;
}

/* ---- base64, MD5, deflate --------------------------------------------------- */

static void test_base64(void **state) {
  Rt *rt = *state;
  static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
  static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                      "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
  for (int i = 0; i < 7; i++) { /* RFC 4648, section 10 */
    Buf b = {0}, back = {0};
    base64_encode(plain[i], strlen(plain[i]), &b);
    buf_bytes(&b, "", 1);
    assert_string_equal(b.data, coded[i]);
    assert_int_equal(base64_decode(rt, coded[i], strlen(coded[i]), "t", &back), RT_OK);
    assert_int_equal(back.len, strlen(plain[i]));
    if (back.len) assert_memory_equal(back.data, plain[i], back.len);
    buf_free(&b);
    buf_free(&back);
  }
  static const char *const bad[] = {"Z",    "Zg",   "Zg=",  "Zh==",   "Zm9=",     "Zm9v=",
                                    "=m9v", "Z=9v", "Zm 9", "Zm9v\n", "Zg==Zg==", "===="};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    Buf back = {0};
    assert_int_equal(base64_decode(rt, bad[i], strlen(bad[i]), "t", &back), RT_BACKEND);
    buf_free(&back);
  }
  char big[5000]; /* longer than the pieces that are written at once */
  Buf b = {0}, back = {0};
  for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 31 + i / 256);
  base64_encode(big, sizeof big, &b);
  assert_int_equal(base64_decode(rt, b.data, b.len, "t", &back), RT_OK);
  assert_int_equal(back.len, sizeof big);
  assert_memory_equal(back.data, big, sizeof big);
  buf_free(&b);
  buf_free(&back);
}

static void test_md5_deflate(void **state) {
  Rt *rt = *state;
  static const char *const text[] = {
      "", "abc", "message digest",
      "12345678901234567890123456789012345678901234567890123456789012345678901234567890"};
  static const char *const sum[] = {
      "d41d8cd98f00b204e9800998ecf8427e", "900150983cd24fb0d6963f7d28e17f72",
      "f96b697d7cb7938d525a2f31aaf161d0", "57edf4a22be3c955ac49da2e2107b67a"}; /* RFC 1321, A.5 */
  for (int i = 0; i < 4; i++)
    for (size_t cut = 0; cut <= strlen(text[i]); cut += 7) {
      Md5 m;
      uint8_t h[16];
      char hex[33];
      md5_init(&m);
      md5_add(&m, text[i], cut);
      md5_add(&m, text[i] + cut, strlen(text[i]) - cut);
      md5_end(&m, h);
      md5_hex(h, hex);
      assert_string_equal(hex, sum[i]);
    }
  char zero[40000] = {0};
  Buf packed = {0}, back = {0};
  assert_int_equal(deflate_pack(rt, zero, sizeof zero, &packed), RT_OK);
  assert_true(packed.len < 200);
  assert_int_equal(deflate_unpack(rt, packed.data, packed.len, sizeof zero, &back), RT_OK);
  assert_int_equal(back.len, sizeof zero);
  back.len = 0;
  assert_int_equal(deflate_unpack(rt, packed.data, packed.len, sizeof zero - 1, &back), RT_BACKEND);
  for (size_t n = 0; n < packed.len; n++) {
    back.len = 0;
    assert_int_equal(deflate_unpack(rt, packed.data, n, sizeof zero, &back), RT_BACKEND);
  }
  buf_free(&packed);
  buf_free(&back);
}

/* ---- qp ----------------------------------------------------------------------- */

static void chip_of(Rt *rt, const cJSON *solver, Chip *out) {
  int64_t n, m;
  double num;
  int32_t *q = int_list(js_get(solver, "qubits"), &n);
  const cJSON *list = js_get(solver, "couplers");
  m = cJSON_GetArraySize(list);
  int32_t *uv = malloc((size_t)m * 8), *p = uv;
  for (const cJSON *c = list->child; c; c = c->next)
    for (int k = 0; k < 2; k++) *p++ = cJSON_GetArrayItem(c, k)->valueint;
  assert_true(js_number(solver, "num_qubits", &num));
  assert_int_equal(chip_make(rt, out, (int64_t)num, n, q, m, uv), RT_OK);
  free(q);
  free(uv);
}

static void model_of(const cJSON *lin, const cJSON *quad, bool symmetric, QpModel *p) {
  p->qubit = malloc(400 * 4), p->lin = malloc(400 * 8);
  p->uv = malloc(400 * 8), p->quad = malloc(400 * 8);
  for (const cJSON *c = lin->child; c; c = c->next, p->n++) {
    p->qubit[p->n] = cJSON_GetArrayItem(c, 0)->valueint;
    p->lin[p->n] = cJSON_GetArrayItem(c, 1)->valuedouble;
  }
  for (const cJSON *c = quad->child; c; c = c->next) {
    int u = cJSON_GetArrayItem(c, 0)->valueint, v = cJSON_GetArrayItem(c, 1)->valueint;
    /* a symmetric container shows each entry from both sides */
    if (symmetric && u > v) continue;
    p->uv[2 * p->m] = u, p->uv[2 * p->m + 1] = v;
    p->quad[p->m++] = cJSON_GetArrayItem(c, 2)->valuedouble;
  }
}

static void test_qp_encode(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "qp");
  int cases = 0;
  for (const cJSON *c = js_get(v, "encode")->child; c; c = c->next, cases++) {
    Chip chip;
    QpModel p = {.qubo = !strcmp(js_text(c, "type"), "qubo")}, back;
    chip_of(rt, js_get(js_get(v, "solvers"), js_text(c, "solver")), &chip);
    model_of(js_get(c, "linear"), js_get(c, "quadratic"),
             cJSON_IsTrue(js_get(c, "undirected_biases")), &p);
    Buf lin = {0}, quad = {0}, lin2 = {0}, quad2 = {0};
    assert_int_equal(qp_encode(rt, &chip, &p, &lin, &quad), RT_OK);
    const cJSON *e = js_get(c, "encoded");
    assert_string_equal(lin.data, js_text(e, "lin"));
    assert_string_equal(quad.data ? quad.data : "", js_text(e, "quad"));
    /* and back: the same texts come out of what was read */
    assert_int_equal(qp_decode(rt, &chip, p.qubo, lin.data, quad.data, &back), RT_OK);
    assert_int_equal(qp_encode(rt, &chip, &back, &lin2, &quad2), RT_OK);
    assert_string_equal(lin2.data, lin.data);
    assert_string_equal(quad2.data, quad.data);
    qp_free(rt, &back);
    /* a text that is one value short or long is refused */
    lin.data[lin.len - 4] = 0;
    assert_int_equal(qp_decode(rt, &chip, p.qubo, lin.data, quad.data, &back), RT_BACKEND);
    buf_text(&quad2, "AAAAAAAA8L8AAAAAAADwvwAAAAAAAPC/");
    assert_int_equal(qp_decode(rt, &chip, p.qubo, lin2.data, quad2.data, &back), RT_BACKEND);
    free(p.qubit), free(p.lin), free(p.uv), free(p.quad);
    buf_free(&lin), buf_free(&quad), buf_free(&lin2), buf_free(&quad2);
    chip_free(rt, &chip);
  }
  assert_int_equal(cases, 15);
  cJSON_Delete(v);
}

static void test_qp_refusals(void **state) {
  Rt *rt = *state;
  Chip c;
  int32_t q[] = {0, 1, 3}, uv[] = {0, 1, 3, 1};
  assert_int_equal(chip_make(rt, &c, 4, 3, q, 2, uv), RT_OK);
  assert_int_equal(chip_coupler(&c, 1, 3), 1);
  assert_int_equal(chip_coupler(&c, 0, 3), -1);
  assert_int_equal(chip_coupler(&c, 0, 9), -1);
  Buf l = {0}, k = {0};
  int32_t two[] = {2}, pair[] = {0, 3}, fine[] = {0, 1};
  double one[] = {1.0}, inf[] = {INFINITY};
  QpModel m = {.n = 1, .qubit = two, .lin = one};
  assert_int_equal(qp_encode(rt, &c, &m, &l, &k), RT_ERROR);
  assert_string_equal(rt->error.message, "qubit 2 is not among the solver's working qubits");
  m = (QpModel){.m = 1, .uv = pair, .quad = one};
  assert_int_equal(qp_encode(rt, &c, &m, &l, &k), RT_ERROR);
  m = (QpModel){.m = 1, .uv = fine, .quad = inf};
  assert_int_equal(qp_encode(rt, &c, &m, &l, &k), RT_ERROR);
  chip_free(rt, &c);
  int32_t twice[] = {0, 1, 1}, far[] = {0, 1, 9}, same[] = {0, 1, 1, 0}, absent[] = {0, 2};
  assert_int_equal(chip_make(rt, &c, 4, 3, twice, 0, uv), RT_BACKEND);
  assert_int_equal(chip_make(rt, &c, 4, 3, far, 0, uv), RT_BACKEND);
  assert_int_equal(chip_make(rt, &c, 4, 3, q, 2, same), RT_BACKEND);
  assert_int_equal(chip_make(rt, &c, 4, 3, q, 1, absent), RT_BACKEND);
  buf_free(&l), buf_free(&k);
}

static void same_numbers(const cJSON *list, int64_t n, const double *x) {
  assert_int_equal(cJSON_GetArraySize(list), n);
  for (const cJSON *c = list->child; c; c = c->next, x++) assert_true(c->valuedouble == *x);
}

static void test_qp_answers(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "qp");
  int cases = 0;
  for (const cJSON *c = js_get(v, "decode")->child; c; c = c->next, cases++) {
    const cJSON *message = js_get(c, "message"), *want = js_get(c, "expected");
    QpAnswer a, b;
    bool qubo = !strcmp(js_text(message, "type"), "qubo");
    assert_int_equal(qp_answer_decode(rt, js_get(message, "answer"), qubo, 0, &a), RT_OK);
    same_numbers(js_get(want, "energies"), a.rows, a.energy);
    int64_t n, r = 0;
    int32_t *x = int_list(js_get(want, "active_variables"), &n);
    assert_int_equal(n, a.n);
    assert_memory_equal(x, a.active, (size_t)n * 4);
    free(x);
    const cJSON *counts = js_get(want, "num_occurrences"); /* raw answers: none, each row once */
    x = int_list(counts, &n);
    if (counts) assert_int_equal(n, a.rows);
    for (int64_t k = 0; k < a.rows; k++) assert_int_equal(a.count[k], counts ? x[k] : 1);
    free(x);
    for (const cJSON *row = js_get(want, "samples_active")->child; row; row = row->next, r++) {
      int64_t i = 0;
      for (const cJSON *s = row->child; s; s = s->next, i++)
        assert_int_equal(s->valueint, a.value[r * a.n + i]);
      assert_int_equal(i, a.n);
    }
    assert_int_equal(r, a.rows);
    /* encoding gives the same texts (where the answer carried no offset) */
    if (!js_get(js_get(message, "answer"), "offset")) {
      Buf out = {0};
      bool raw = !js_get(js_get(message, "answer"), "num_occurrences");
      assert_int_equal(qp_answer_encode(rt, &a, raw, NULL, &out), RT_OK);
      cJSON *again = js_read(rt, out.data, out.len, 1 << 20, "again");
      assert_true(cJSON_Compare(again, js_get(message, "answer"), 1));
      assert_int_equal(qp_answer_decode(rt, again, qubo, 0.5, &b), RT_OK);
      for (int64_t k = 0; k < a.rows; k++) assert_true(b.energy[k] == a.energy[k] + 0.5);
      qp_answer_free(rt, &b);
      cJSON_Delete(again);
      buf_free(&out);
    }
    qp_answer_free(rt, &a);
  }
  assert_int_equal(cases, 25);
  cJSON_Delete(v);
}

/* Every text that is missing or cut makes the answer an error, never a guess. */
static void test_damaged_answers(void **state) {
  Rt *rt = *state;
  static const char good[] =
      "{\"format\":\"qp\",\"num_variables\":64,\"solutions\":\"gICA\",\"energies\":"
      "\"AAAAAAAA+D8AAAAAAAAWQAAAAAAAABpA\",\"active_variables\":\"PAAAAA==\","
      "\"num_occurrences\":\"DAAAAAMAAAAPAAAA\"}";
  static const char *const keys[] = {"format", "num_variables", "solutions", "energies",
                                     "active_variables"};
  QpAnswer a;
  for (int k = 0; k < 5; k++) {
    cJSON *v = js_read(rt, good, strlen(good), 1000, "t");
    cJSON_DeleteItemFromObject(v, keys[k]);
    assert_int_equal(qp_answer_decode(rt, v, false, 0, &a), RT_BACKEND);
    cJSON_Delete(v);
  }
  static const char *const wrong[][2] = {{"solutions", "gIA="},
                                         {"solutions", "g!CA"},
                                         {"energies", "AAAAAAAA+D8="},
                                         {"energies", "AAAAAAAA+H8AAAAAAAAWQAAAAAAAABpA"},
                                         {"active_variables", "QAAAAA=="},
                                         {"active_variables", "/////w=="},
                                         {"active_variables", "PAAAADsAAAA="},
                                         {"num_occurrences", "DAAAAA=="},
                                         {"num_occurrences", "AAAAAAMAAAAPAAAA"}};
  for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
    cJSON *v = js_read(rt, good, strlen(good), 1000, "t");
    cJSON_ReplaceItemInObject(v, wrong[k][0], cJSON_CreateString(wrong[k][1]));
    assert_int_equal(qp_answer_decode(rt, v, false, 0, &a), RT_BACKEND);
    cJSON_Delete(v);
  }
  for (size_t n = 0; n < strlen(good); n++) assert_null(js_read(rt, good, n, 1000, "t"));
}

/* ---- bq -------------------------------------------------------------------------- */

static void test_bq(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "sampleset_bq");
  int cases = 0;
  for (const cJSON *c = js_get(v, "cases")->child; c; c = c->next, cases++) {
    const cJSON *want = js_get(c, "expected");
    const cJSON *data = js_get(js_get(c, "answer"), "data");
    BqAnswer a, b;
    assert_int_equal(bq_decode(rt, data, &a), RT_OK);
    assert_string_equal(a.vartype, js_text(want, "vartype"));
    assert_true(cJSON_Compare(a.labels, js_get(want, "variables"), 1));
    assert_true(cJSON_Compare(a.info, js_get(want, "info"), 1));
    assert_true(cJSON_Compare(a.extra, js_get(want, "extra"), 1));
    same_numbers(js_get(want, "energies"), a.rows, a.energy);
    int64_t r = 0, n;
    for (const cJSON *row = js_get(want, "samples")->child; row; row = row->next, r++)
      same_numbers(row, a.n, a.value + r * a.n);
    assert_int_equal(r, a.rows);
    int32_t *count = int_list(js_get(want, "num_occurrences"), &n);
    assert_int_equal(n, a.rows);
    for (int64_t k = 0; k < n; k++) assert_int_equal(count[k], a.count[k]);
    free(count);
    if (strcmp(a.vartype, "INTEGER")) {
      Buf out = {0};
      assert_int_equal(bq_encode(rt, &a, &out), RT_OK);
      cJSON *again = js_read(rt, out.data, out.len, 1 << 20, "again");
      assert_int_equal(bq_decode(rt, js_get(again, "data"), &b), RT_OK);
      assert_int_equal(b.rows, a.rows);
      if (a.rows && a.n) assert_memory_equal(b.value, a.value, (size_t)(a.rows * a.n) * 8);
      if (cJSON_IsTrue(js_get(data, "sample_packed")) && a.n)
        assert_true(cJSON_Compare(js_get(js_get(js_get(again, "data"), "sample_data"), "data"),
                                  js_get(js_get(data, "sample_data"), "data"), 1));
      bq_free(rt, &b);
      cJSON_Delete(again);
      buf_free(&out);
    }
    bq_free(rt, &a);
    /* each member of the data is needed, the info aside */
    for (const cJSON *m = data->child; m; m = m->next) {
      static const char *const free_of[] = {"info", "sample_type", "sample_packed"};
      bool skip = false;
      for (int k = 0; k < 3; k++) skip = skip || !strcmp(m->string, free_of[k]);
      if (skip) continue;
      cJSON *less = cJSON_Duplicate(data, 1);
      cJSON_DeleteItemFromObjectCaseSensitive(less, m->string);
      assert_int_equal(bq_decode(rt, less, &a), RT_BACKEND);
      cJSON_Delete(less);
    }
  }
  assert_int_equal(cases, 12);
  cJSON_Delete(v);
}

/* ---- DIMODBQM ------------------------------------------------------------------------ */

static void by_formula(int n, double *lin, int *m, int32_t *uv, double *bias) {
  static const int step[] = {1, 7, 31};
  *m = 0;
  for (int i = 0; i < n; i++) lin[i] = ((5 * i) % 11 - 5) / 4.0;
  for (int i = 0; i < n; i++)
    for (int d = 0; d < 3; d++) {
      int j = (i + step[d]) % n, u = i < j ? i : j, v = i < j ? j : i, k;
      if (i == j) continue;
      /* a pair can only meet an earlier one that wrapped around: near the end */
      for (k = 0; k < *m && n <= 62; k++)
        if (uv[2 * k] == u && uv[2 * k + 1] == v) break;
      if (n > 62) k = *m;
      uv[2 * k] = u, uv[2 * k + 1] = v;
      bias[k] = ((7 * i + 13 * j) % 17 - 8) / 8.0;
      if (k == *m) ++*m;
    }
}

static void bqm_of(Rt *rt, const cJSON *c, Bqm *b) {
  double *lin = malloc(12000 * 8), *bias = malloc(36000 * 8), offset = 0, n;
  int32_t *uv = malloc(36000 * 8);
  int m = 0;
  const cJSON *linear = js_get(c, "linear"), *vars = js_get(c, "variables");
  if (linear) {
    n = cJSON_GetArraySize(linear);
    for (const cJSON *x = linear->child; x; x = x->next) lin[m++] = x->valuedouble;
    m = 0;
    for (const cJSON *x = js_get(c, "quadratic")->child; x; x = x->next, m++) {
      uv[2 * m] = cJSON_GetArrayItem(x, 1)->valueint; /* either order */
      uv[2 * m + 1] = cJSON_GetArrayItem(x, 0)->valueint;
      bias[m] = cJSON_GetArrayItem(x, 2)->valuedouble;
    }
  } else {
    n = atoi(js_text(c, "name") + 4);
    by_formula((int)n, lin, &m, uv, bias);
  }
  assert_true(js_number(c, "offset", &offset));
  assert_int_equal(
      bqm_make(rt, b, !strcmp(js_text(c, "vartype"), "SPIN"), (int64_t)n, lin, m, uv, bias, offset),
      RT_OK);
  b->single = !strcmp(js_text(c, "dtype"), "float32");
  if (vars && !cJSON_IsTrue(js_get(c, "ignore_labels"))) {
    int k = 0;
    bool plain = true;
    for (const cJSON *x = vars->child; x; x = x->next)
      plain = plain && cJSON_IsNumber(x) && x->valuedouble == k++;
    if (!plain) b->labels = cJSON_Duplicate(vars, 1);
  }
  free(lin), free(bias), free(uv);
}

static void test_bqm_files(void **state) {
  Rt *rt = *state;
  cJSON *v = vectors(rt, "bqm_file");
  int cases = 0;
  for (const cJSON *c = js_get(v, "cases")->child; c; c = c->next, cases++) {
    Bqm b, back;
    Buf out = {0}, again = {0}, md5 = {0};
    double version, len;
    bqm_of(rt, c, &b);
    assert_true(js_number(c, "version", &version) && js_number(c, "total_len", &len));
    assert_int_equal(bqm_write(rt, &b, (int)version, &out), RT_OK);
    assert_int_equal(out.len, (size_t)len);
    Sha256 sha;
    uint8_t h[32];
    char hex[65];
    sha256_init(&sha);
    sha256_add(&sha, out.data, out.len);
    sha256_end(&sha, h);
    sha256_hex(h, hex);
    assert_string_equal(hex, js_text(c, "sha256"));
    Md5 sum;
    md5_init(&sum);
    md5_add(&sum, out.data, out.len);
    md5_end(&sum, h);
    base64_encode(h, 16, &md5);
    assert_string_equal(md5.data, js_text(c, "md5_base64"));
    assert_int_equal(bqm_read(rt, out.data, out.len, &back), RT_OK);
    assert_int_equal(bqm_write(rt, &back, (int)version, &again), RT_OK);
    assert_int_equal(again.len, out.len);
    assert_memory_equal(again.data, out.data, out.len);
    bqm_free(rt, &back);
    size_t body = out.len < 2000 ? out.len : 0; /* every shorter file is refused */
    for (size_t n = 0; n < body; n++) {
      RtStatus s = bqm_read(rt, out.data, n, &back);
      assert_int_equal(s, RT_BACKEND);
    }
    bqm_free(rt, &b);
    buf_free(&out), buf_free(&again), buf_free(&md5);
  }
  assert_int_equal(cases, 19);
  cJSON_Delete(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_base64),     cmocka_unit_test(test_md5_deflate),
      cmocka_unit_test(test_qp_encode),  cmocka_unit_test(test_qp_refusals),
      cmocka_unit_test(test_qp_answers), cmocka_unit_test(test_damaged_answers),
      cmocka_unit_test(test_bq),         cmocka_unit_test(test_bqm_files)};
  return cmocka_run_group_tests(tests, open_rt, close_rt);
}
