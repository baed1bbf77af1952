/* problem_files.c: problem files as Hamiltonians and back. */
#include <stdio.h>
#include <string.h>

#include "lang/bind/hamiltonian.h"

static int arg_format(Vm *vm, Value v, const char *what, int *out) {
  const char *name;
  Buf b = {0};
  *out = -1;
  if (v.tag == V_NIL) return 0;
  if (arg_str(vm, v, "format", &name)) return 1;
  *out = problem_format_find(name);
  if (*out >= 0) return 0;
  for (int k = 0; k < FILE_FORMATS; k++)
    buf_format(&b, "%s\"%s\"", k ? ", " : "", problem_format_name[k]);
  vm_error(vm, "%s: unknown format \"%.40s\"", what, name);
  vm_help(vm, "there are %.200s", b.data ? b.data : "");
  buf_free(&b);
  return 1;
}

static const char *file_stem(const char *path, char out[64]) {
  const char *at = strrchr(path, '/');
  snprintf(out, 64, "%.63s", at ? at + 1 : path);
  return out;
}

static int bind_read_problem(Vm *vm, Value *args, int n, Value *out) {
  Rt *rt = vm_rt(vm);
  const char *path;
  char stem[64];
  int format;
  Problem p;
  ProblemSense sense;
  if (arg_str(vm, args[0], "path", &path) || arg_format(vm, args[1], "read_problem", &format) ||
      problem_read(rt, path, format, &p, &sense))
    return 1;
  Ham *h = ham_new(vm);
  int failed = !h || ham_set_name(vm, h, file_stem(path, stem));
  if (!failed) { /* takes over the problem's parts */
    vars_free(rt, &h->op.vars);
    poly_free(rt, &h->op.diagonal);
    h->op.vars = p.vars;
    h->op.diagonal = p.objective;
    h->maximize = p.maximize;
    h->sense = sense;
    vars_init(&p.vars);
    poly_init(&p.objective);
    *out = ham_value(vm, h);
    failed = out->tag == V_NIL;
  } else if (h) {
    ham_free(vm, h);
  }
  problem_free(rt, &p);
  return failed;
}

static int bind_write_problem(Vm *vm, Value *args, int n, Value *out) {
  const char *path;
  int format;
  Ham *h;
  Problem p;
  *out = NIL_VALUE;
  if (arg_ham_own(vm, &args[0], "write_problem", &h) || arg_str(vm, args[1], "path", &path) ||
      arg_format(vm, args[2], "write_problem", &format) || ham_problem(vm, h, "write_problem", &p))
    return 1;
  int failed = problem_write(vm_rt(vm), path, format, &p) != RT_OK;
  problem_free(vm_rt(vm), &p);
  return failed;
}

const Native natives_problem_files[] = {
    {"read_problem", "path, format = nil",
     "A problem file as a Hamiltonian of spins s or binaries x: Gset (\"maxcut\"), Biq Mac "
     "(\"qubo-min\"),\n"
     "qbsolv's .qubo (\"qubo-max\", \"qbsolv\" where it is minimised), \"ising\", "
     "\"ising-max\", \"coo\", D-Wave's \"bqm\".\n"
     "nil: from name and text.  gzip is unpacked.\n"
     "sample(H, ..).best.objective is in the file's own sense, .energy what is minimised.\n"
     "Errors: a format that is not plain from name and text, a line that does not fit (with its "
     "number).",
     bind_read_problem, NF_CONST},
    {"write_problem", "H, path, format = nil",
     "Writes a quadratic Hamiltonian of binaries or spins as a problem file; formats as in "
     "read_problem.",
     bind_write_problem, NF_CONST},
    {NULL, NULL, NULL, NULL, 0},
};
