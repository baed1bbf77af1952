/* circuit.c: the rules of a circuit block: registers, gates in front of the qubits they act
 * on, `when`, `control` and `inverse`; `let`, `if` and `for` around them.         */
#include "lang/check/checker.h"
#include "runtime/circuit/channel.h"
#include "runtime/circuit/circuit.h"

#include <string.h>

static void statements(Checker *c, Node *block);

static const char *const words[] = {"qubits", "ancilla", "when", "control", "inverse", NULL};

/* `cx w[0], w[1]`: a gate on as many qubits as it takes. */
static void on_qubits(Diag *d, const char *what, const char *name) {
  GateKind kind;
  int controls, want;
  bool inverse;
  if (!circuit_gate_name(name, &want)) return;
  bool gate = gate_find(name, &kind, &controls, &inverse);
  int n = gate ? gate_table[kind].targets + controls : 1;
  diag_help(d, "%s`%s%s %s`", what, name, !want ? "" : want == 1 ? "(t)" : "(...)",
            n == 3 ? "w[0], w[1], w[2]" : n == 2 ? "w[0], w[1]" : "w[0]");
}

/* The nearest name of a gate, channel or word of circuits, or NULL. */
static const char *near_gate(const char *name, char lower[32]) {
  Nearest n = nearest_of(name);
  size_t k = strlen(name);
  if (k < 32) {
    for (size_t i = 0; i <= k; i++)
      lower[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    if (circuit_gate_name(lower, &(int){0})) return lower;
  }
  for (int g = 0; g < GATE_KINDS; g++)
    if (g != GATE_CHANNEL) nearest_try(&n, gate_table[g].name);
  for (int g = 0; channel_table[g].name; g++) nearest_try(&n, channel_table[g].name);
  for (int g = 0; words[g]; g++) nearest_try(&n, words[g]);
  return n.best;
}

static void registers(Checker *c, Node *s) {
  for (uint32_t i = 0; i < s->n; i++) {
    Node *v = s->items[i];
    for (uint32_t k = 0; k < v->n; k++) {
      Known e = walk(c, v->items[k]);
      if (e.kind == K_ANY || e.kind == K_INT) continue;
      Diag *d = value_error(c, v->items[k]->span, "the extent of a register is an int");
      diag_label(d, "this is %s", kind_name(&e));
      if (e.kind == K_RANGE) diag_help(d, "write how many there are, `%s[n]`", v->name);
    }
    if (v->a) check_error(c, v->a->span, "a register has no cutoff");
    bind_name(c, B_LET, v->name, v->span2, v);
  }
}

/* ---- gates ---------------------------------------------------------------------- */

/* Arguments that a gate of the table takes. */
static int arguments(GateKind kind) {
  if (kind == GATE_UNITARY || kind == GATE_LOAD || kind == GATE_PROJECT) return 1;
  return kind == GATE_PAULI ? 2 : gate_table[kind].angles;
}

static void known_gate(Checker *c, Node *call, const char *name, int want) {
  uint32_t found = call->n;
  for (uint32_t i = 0; i < found; i++) {
    Node *a = call->items[i];
    walk(c, a->kind == N_ARG ? a->a : a);
    if (a->kind == N_ARG) {
      check_error(c, a->span, "the arguments of gate `%s` have no names", name);
      return;
    }
  }
  if (found == (uint32_t)want) return;
  Diag *d = check_error(c, call->span, "gate `%s` takes %d argument%s, found %u", name, want,
                        want == 1 ? "" : "s", found);
  if (!want) on_qubits(d, "write ", name);
}

static void bare_gate(Checker *c, Node *name, int want) {
  if (!want) return;
  Diag *d = check_error(c, name->span, "gate `%s` takes %d argument%s", name->name, want,
                        want == 1 ? "" : "s");
  on_qubits(d, "write ", name->name);
}

/* Is `name` a circuit or a value that may hold one?  Gates win over everything else. */
static bool is_circuit(Checker *c, const char *name) {
  const Bind *b = find(c, name);
  return b && b->def && b->def->kind == N_CIRCUIT;
}

bool circuit_gate_name(const char *name, int *arguments_of) {
  GateKind kind;
  int controls;
  bool inverse;
  if (gate_find(name, &kind, &controls, &inverse)) {
    if (kind == GATE_CHANNEL) return false;
    *arguments_of = arguments(kind);
    return true;
  }
  *arguments_of = 1;
  return channel_find(name) >= 0;
}

/* What a gate acts on: a register, an index of one. */
static void operand(Checker *c, Node *e) {
  const Node *name = e;
  while (name->kind == N_INDEX) name = name->a;
  if (name->kind != N_NAME || find(c, name->name)) {
    walk(c, e);
    return;
  }
  Diag *d = check_error(c, name->span, "no register is called `%s`", name->name);
  diag_help(d, "declare it above: `qubits %s` or `qubits %s[n]`", name->name, name->name);
}

static void gate(Checker *c, Node *s) {
  Node *head = s->a;
  while (head->kind == N_TRANSPOSE) head = head->a;
  Node *call = head->kind == N_CALL ? head : NULL, *name = call ? call->a : head;
  int want;
  for (uint32_t i = 0; i < s->n; i++) operand(c, s->items[i]);
  if (name->kind == N_NAME && !is_circuit(c, name->name)) {
    if (circuit_gate_name(name->name, &want)) {
      if (call) known_gate(c, call, name->name, want);
      else bare_gate(c, name, want);
      return;
    }
    char lower[32];
    const char *near = near_gate(name->name, lower);
    if (!find(c, name->name)) {
      Diag *d = check_error(c, name->span, "no gate or circuit is called `%s`", name->name);
      if (near) diag_help(d, "did you mean `%s`?", near);
      else diag_help(d, "declare it: `circuit %s(...) { qubits w; ... }`", name->name);
      for (uint32_t i = 0; call && i < call->n; i++)
        walk(c, call->items[i]->kind == N_ARG ? call->items[i]->a : call->items[i]);
      return;
    }
  }
  walk(c, head);
}

/* ---- sections, other statements --------------------------------------------------- */

static void section(Checker *c, Node *s) {
  Node *e = s->a;
  if (s->op == 2 && e->kind == N_COMPARE && e->n == 2) {
    walk(c, e->items[0]);
    walk(c, e->items[1]);
    if (e->ops[0] != OP_EQ) {
      Diag *d = check_error(c, e->span, "`when` compares a register by `==`");
      diag_label(d, "found `%s`", ast_op_text((AstOp)e->ops[0]));
    }
  } else if (e) {
    walk(c, e);
  }
  statements(c, s->b);
}

static void stranger(Checker *c, Node *s) {
  Diag *d = check_error(c, s->span, "this cannot stand in a circuit block");
  diag_label(d, "expected gates, `qubits`, `ancilla`, `when`, `control`, `inverse`, `let`");
  const Node *name = s->kind == N_CALL ? s->a : s;
  int want;
  if (name->kind == N_NAME && circuit_gate_name(name->name, &want))
    on_qubits(d, "write the qubits behind the gate: ", name->name);
  else if (s->kind == N_VAR) diag_help(d, "write `let`");
  else if (s->kind == N_FIELD || (s->kind == N_CALL && (name->kind == N_FIELD ||
                                  (name->kind == N_NAME && is_circuit(c, name->name)))))
    diag_help(d, "a circuit is applied to qubits: write them behind it");
}

/* Calls that may be statements: a measurement nobody names, and a circuit's refusal of its
 * arguments. */
static bool may_stand(const Node *s) {
  if (s->kind != N_CALL || s->a->kind != N_NAME) return false;
  return !strcmp(s->a->name, "measure") || !strcmp(s->a->name, "error") ||
         !strcmp(s->a->name, "assert");
}

static void loop(Checker *c, Node *s) {
  int mark = walk_clauses(c, s);
  if (s->c) condition(c, s->c, walk(c, s->c), "a guard");
  statements(c, s->b);
  scope_close(c, mark);
}

static void branch(Checker *c, Node *s) {
  condition(c, s->a, walk(c, s->a), "`if`");
  statements(c, s->b);
  if (s->c && s->c->kind == N_IF) branch(c, s->c);
  else if (s->c) statements(c, s->c);
}

static void statement(Checker *c, Node *s) {
  switch (s->kind) {
  case N_LET:
  case N_ARRAYDEF: walk_statement(c, s, false); return;
  case N_REGISTER: registers(c, s); return;
  case N_GATE: gate(c, s); return;
  case N_SECTION: section(c, s); return;
  case N_FOR: loop(c, s); return;
  case N_IF: branch(c, s); return;
  case N_BLOCK: statements(c, s); return;
  case N_ERROR: return;
  }
  if (may_stand(s)) {
    walk(c, s);
    return;
  }
  stranger(c, s);
  if (s->kind == N_VAR) bind_pattern(c, B_LET, s->a, known(K_ANY), s);
}

static void statements(Checker *c, Node *block) {
  int mark = scope_open(c);
  const Node *outer = c->block;
  c->block = block;
  for (uint32_t i = 0; i < block->n; i++) statement(c, block->items[i]);
  c->block = outer;
  scope_close(c, mark);
}

void check_circuit(Checker *c, Node *decl) {
  int mark = scope_open(c);
  c->fn++;
  walk_params(c, decl);
  check_extents(c, decl);
  statements(c, decl->b);
  c->fn--;
  scope_close(c, mark);
}
