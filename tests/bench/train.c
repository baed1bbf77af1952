/* train.c: time of a training step of nanoGPT's "baby" language model and of a
 * small vision transformer, both written in qa (stdlib), on random data.
 *
 *   train [threads]     every line read from the standard input is one round: a
 *                       line `case ms_cpu ms_wall` a model, then `end`; the first
 *                       output is `peak GF/s`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lang/vm/vm.h"
#include "runtime/tensor/peak.h"

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void write_out(void *user, const char *text, size_t n) { fwrite(text, 1, n, stderr); }

static int eval(Vm *vm, const char *text) {
  Diags d;
  diags_init(&d);
  Source *s = source_new("train.qa", NULL, text, strlen(text));
  VmResult r = vm_run_source(vm, s, true, true, &d, NULL);
  if (r != VM_OK) fprintf(stderr, "%s\n", d.n ? d.items[0].message : "failed");
  diags_free(&d);
  source_unref(s);
  return r != VM_OK;
}

static const char *const setup =
    "import nn\n"
    "let opt = nn.adamw(lr = 1e-3, beta2 = 0.99, decay = 0.1, matrices = true)\n"
    "let text = randint(0, 65, shape = 100000)\n"
    "let stream = windows(text, 64, batch = 12)\n"
    "let digits = {train: {x: f32(rand(640, 28, 28)), y: randint(0, 10, shape = 640)}, classes: 10}\n"
    "fn images(i) = {x: digits.train.x[64 * (i % 10) .. 64 * (i % 10) + 64],"
    " y: digits.train.y[64 * (i % 10) .. 64 * (i % 10) + 64]}\n"
    "var language = gpt({vocab: [], classes: 65})\n"
    "var vision = vit(digits, patch = 4, width = 64, depth = 6, heads = 4, hidden = 128)\n"
    "fn loss(m, p) = cross_entropy(m(p.x), p.y)\n"
    "fn steps(model, state, n, next) {\n"
    "  var (m, s) = (model, state)\n"
    "  for i in 0..n {\n"
    "    let (l, g) = value_and_grad(loss)(m, next(i))\n"
    "    (m, s) = opt.step(m, clip_norm(g, 1.0)[0], s)\n"
    "  }\n"
    "  (m, s)\n"
    "}\n"
    "var sl = opt.init(language)\n"
    "var sv = opt.init(vision)\n";

int main(int argc, char **argv) {
  /* many steps a round: the variables share model and state with the first one, which copies them */
  static const struct { const char *name, *run; int steps; } cases[] = {
      {"language", "(language, sl) = steps(language, sl, 25, stream)", 25},
      {"vision", "(vision, sv) = steps(vision, sv, 15, images)", 15},
  };
  char line[64];
  VmHooks hooks = {.write = write_out};
  Rt *rt = rt_open();
  Vm *vm = rt ? vm_open(rt, &hooks) : NULL;
  if (!vm) return 1;
  rt->threads = argc > 1 ? atoi(argv[1]) : 1;
  printf("peak %.1f\n", peak_flops(DT_F32) * 1e-9);
  if (eval(vm, setup)) return 1;
  for (int k = 0; k < 2; k++)
    if (eval(vm, cases[k].run)) return 1;     /* memory settles */
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    for (int k = 0; k < 2; k++) {
      double cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
      if (eval(vm, cases[k].run)) return 1;
      printf("%s %.3f %.3f\n", cases[k].name, (now(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3 / cases[k].steps,
             (now(CLOCK_MONOTONIC) - wall) * 1e3 / cases[k].steps);
    }
    printf("end\n");
    fflush(stdout);
  }
  vm_close(vm);
  rt_close(rt);
  return 0;
}
