/* circuit_draw.c: draw(c): a circuit as text, or as an SVG file. */
#include "lang/bind/circuit_run.h"
#include "lang/bind/tensor_args.h"
#include "lang/vm/internal.h"
#include "runtime/circuit/draw.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Of the terminal, else of COLUMNS, else 100. */
static int64_t terminal_width(void) {
  struct winsize w;
  const char *columns = getenv("COLUMNS");
  if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col) return w.ws_col;
  int n = columns ? atoi(columns) : 0;
  return n > 0 ? n : 100;
}

int circuit_draw(Vm *vm, Value *args, Value *out) {
  CircuitValue *v;
  CircuitRun r;
  const char *path = NULL;
  int64_t width = terminal_width();
  Buf text = {0};
  if (arg_whole_circuit(vm, &args[0], "`draw`", &v) ||
      (args[1].tag != V_NIL && arg_str(vm, args[1], "file", &path)) ||
      (args[2].tag != V_NIL && arg_int(vm, args[2], "width", &width)))
    return 1;
  size_t len = path ? strlen(path) : 0;
  if (path && (len < 4 || strcmp(path + len - 4, ".svg"))) {
    vm_error(vm, "`draw` into \"%s\"", path);
    vm_help(vm, "drawings are SVG: draw(c, \"circuit.svg\"); draw(c) is text");
    return 1;
  }
  if (width < 20 || width > 100000) return vm_error(vm, "width: from 20 to 10^5, found %lld",
                                                    (long long)width);
  if (circuit_numbers(vm, v->code, v->slot, v->batch, &r)) return 1;
  const Circuit *c = &v->code->c;
  RtStatus st = path ? circuit_draw_svg(vm_rt(vm), c, &r.b, &text)
                     : circuit_draw_text(vm_rt(vm), c, &r.b, (int)width, &text);
  circuit_close(vm, &r);
  if (!st && path) st = file_write(vm_rt(vm), path, text.data, text.len);
  Str *s = st ? NULL : path ? str_new(vm, path, len) : str_new(vm, text.data, text.len - 1);
  buf_free(&text);
  if (s) *out = value_obj(s);
  return !s;
}
