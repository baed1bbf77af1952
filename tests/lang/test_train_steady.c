/* test_train_steady.c: what a training step costs once it has settled: no memory
 * from the system, no copies of shared buffers.  Bits do not depend on threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lang/vm/vm.h"

typedef struct { Rt *rt; Vm *vm; Diags diags; } Host;

static void write_out(void *user, const char *text, size_t n) {}

/* (blocks taken from malloc, bytes malloc holds, whole buffers copied) so far */
static int bind_taken(Vm *vm, Value *args, int n, Value *out) {
  struct mallinfo2 m = mallinfo2();
  List *l = list_new(vm, true, 3);
  if (!l || list_push(vm, l, value_int((int64_t)vm_rt(vm)->allocs)) ||
      list_push(vm, l, value_int((int64_t)(m.arena + m.hblkhd))) ||
      list_push(vm, l, value_int((int64_t)vm_rt(vm)->buffer_copies)))
    return 1;
  *out = value_obj(l);
  return 0;
}
static const Native taken = {"taken", "", "Memory taken so far.", bind_taken, NF_CONST};

static int open_host(void **state) {
  Host *h = calloc(1, sizeof *h);
  VmHooks hooks = {.user = h, .write = write_out};
  h->rt = rt_open();
  h->vm = vm_open(h->rt, &hooks);
  diags_init(&h->diags);
  *state = h;
  return h->vm == NULL || vm_define_native(h->vm, &taken);
}

static int close_host(void **state) {
  Host *h = *state;
  diags_free(&h->diags);
  vm_close(h->vm);
  int leaked = h->rt->bytes != 0;
  rt_close(h->rt);
  free(h);
  return leaked;
}

static void good(Host *h, const char *text) {
  Source *s = source_new("test.qa", NULL, text, strlen(text));
  VmResult r = vm_run_source(h->vm, s, true, true, &h->diags, NULL);
  source_unref(s);
  if (r != VM_OK) fail_msg("%s\n%s", text, h->diags.n ? h->diags.items[0].message : "");
}

/* A language model and a vision transformer, as `fit` trains them. */
static const char *const setup =
    "import nn\n"
    "let ids = randint(0, 20, shape = 2000, seed = 1)\n"
    "let data = {vocab: [], classes: 20}\n"
    "let images = {train: {x: f32(rand(64, 8, 8, seed = 2)), y: randint(0, 10, shape = 64, seed = 3)},"
    " classes: 10}\n"
    "let stream = windows(ids, 24, batch = 8)\n"
    "let opt = nn.adamw(lr = 1e-3, decay = 0.1, matrices = true)\n"
    "fn loss(m, p) = cross_entropy(m(p.x), p.y)\n"
    "fn steps(m0, n, next, store = false) {\n"
    "  var m = m0\n"
    "  var s = opt.init(m)\n"
    "  var kept = []\n"
    "  var before = taken()\n"
    "  for i in 0..n {\n"
    "    if i == 10 { before = taken() }\n"
    "    if store { kept = append(kept, 1.0 * m) }\n"
    "    let (l, g) = value_and_grad(loss)(m, next(i))\n"
    "    (m, s) = opt.step(m, clip_norm(g, 0.1)[0], s, rate = 1e-3)\n"
    "  }\n"
    "  (m, before, taken())\n"
    "}\n";

static const char *const kinds[2][2] = {
    {"language model",
     "var m = gpt(data, width = 32, depth = 2, heads = 2, context = 24, seed = 5)\n"
     "let next = stream\n"},
    {"vision transformer",
     "var m = vit(images, width = 32, depth = 2, heads = 2, patch = 2, seed = 5)\n"
     "let next = i => ({x: images.train.x[8 * (i % 8) .. 8 * (i % 8) + 8],"
     " y: images.train.y[8 * (i % 8) .. 8 * (i % 8) + 8]})\n"},
};

static void nothing_new(void **state) {
  Host *h = *state;
  good(h, setup);
  for (int k = 0; k < 2; k++) {
    good(h, kinds[k][1]);
    good(h, "let (last, before, after) = steps(m, 21, next)\n"
            "assert(before[0] == after[0], \"steps 10 to 20 took {after[0] - before[0]} blocks\")\n"
            "assert(before[1] == after[1], \"{after[1] - before[1]} bytes from the system\")\n"
            "assert(before[2] == after[2], \"{after[2] - before[2]} copied buffers\")");
    good(h, "let (l, b, a) = steps(m, 21, next, store = true)\n"
            "assert(a[0] > b[0] and a[1] >= b[1], \"models that are kept take no blocks\")");
  }
}

static void threads_agree(void **state) {
  Host *h = *state;
  good(h, setup);
  good(h, "fn first(xs) = xs[0]\n"
          "let wide = {train: {x: f32(rand(160, 8, 8, seed = 2)),"
          " y: randint(0, 10, shape = 160, seed = 3)}, classes: 10}\n"
          "fn language() = first(with seed(1) { steps(gpt(data, width = 64, depth = 2, heads = 2,"
          " context = 24, seed = 5), 3, windows(ids, 24, batch = 64)) })\n"
          "fn vision() = first(with seed(1) { steps(vit(wide, width = 64, depth = 2, heads = 4, seed = 5),"
          " 3, i => wide.train) })");
  h->rt->threads = 1;
  good(h, "let one = [language(), vision()]");
  h->rt->threads = 3;
  good(h, "let three = [language(), vision()]");
  good(h, "assert(all(params(one[0]) == params(three[0])), \"language model\")\n"
          "assert(all(params(one[1]) == params(three[1])), \"vision transformer\")\n"
          "assert(any(params(one[0]) != params(gpt(data, width = 64, depth = 2, heads = 2,"
          " context = 24, seed = 5))), \"nothing was trained\")");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(nothing_new, open_host, close_host),
      cmocka_unit_test_setup_teardown(threads_agree, open_host, close_host),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
