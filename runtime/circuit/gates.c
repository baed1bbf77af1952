/* gates.c: the table of gates: their matrices, generators and names.
 *
 * Sources of the conventions: OpenQASM 3 (arXiv 2104.14722), stdgates.inc; matrices are
 * row-major, the first target is the low bit of the row number.                  */
#include "runtime/circuit/circuit.h"

#include <math.h>
#include <string.h>

/* ---- matrices ------------------------------------------------------------------- */

#define C(re, im) ((c128){re, im})
#define ONE C(1, 0)
#define ZERO C(0, 0)

static c128 polar(double t) { return C(cos(t), sin(t)); }

static void two(c128 *out, c128 a, c128 b, c128 c, c128 d) {
  out[0] = a;
  out[1] = b;
  out[2] = c;
  out[3] = d;
}

static void diagonal4(c128 *out, c128 a, c128 b, c128 c, c128 d) {
  memset(out, 0, 16 * sizeof *out);
  out[0] = a;
  out[5] = b;
  out[10] = c;
  out[15] = d;
}

#define FIXED(name, ...)                            \
  static void name(const double *t, c128 *o) {      \
    (void)t;                                        \
    __VA_ARGS__;                                    \
  }

FIXED(m_id, two(o, ONE, ZERO, ZERO, ONE))
FIXED(m_x, two(o, ZERO, ONE, ONE, ZERO))
FIXED(m_y, two(o, ZERO, C(0, -1), C(0, 1), ZERO))
FIXED(m_z, two(o, ONE, ZERO, ZERO, C(-1, 0)))
FIXED(m_s, two(o, ONE, ZERO, ZERO, C(0, 1)))
FIXED(m_t, two(o, ONE, ZERO, ZERO, C(M_SQRT1_2, M_SQRT1_2)))
FIXED(m_h, two(o, C(M_SQRT1_2, 0), C(M_SQRT1_2, 0), C(M_SQRT1_2, 0), C(-M_SQRT1_2, 0)))
FIXED(m_sx, two(o, C(0.5, 0.5), C(0.5, -0.5), C(0.5, -0.5), C(0.5, 0.5)))
FIXED(m_swap, diagonal4(o, ONE, ZERO, ZERO, ONE); o[6] = o[9] = ONE)
FIXED(m_iswap, diagonal4(o, ONE, ZERO, ZERO, ONE); o[6] = o[9] = C(0, 1))

static void m_rx(const double *t, c128 *o) {
  c128 c = C(cos(t[0] / 2), 0), s = C(0, -sin(t[0] / 2));
  two(o, c, s, s, c);
}

static void m_ry(const double *t, c128 *o) {
  double c = cos(t[0] / 2), s = sin(t[0] / 2);
  two(o, C(c, 0), C(-s, 0), C(s, 0), C(c, 0));
}

static void m_rz(const double *t, c128 *o) {
  two(o, polar(-t[0] / 2), ZERO, ZERO, polar(t[0] / 2));
}

static void m_p(const double *t, c128 *o) { two(o, ONE, ZERO, ZERO, polar(t[0])); }

/* cos(t/2) - i sin(t/2) XX, and YY with the sign of its outer corners */
static void cross(double t, double outer, c128 *o) {
  c128 c = C(cos(t / 2), 0);
  double s = -sin(t / 2);
  diagonal4(o, c, c, c, c);
  o[3] = o[12] = C(0, outer * s);
  o[6] = o[9] = C(0, s);
}

static void m_rxx(const double *t, c128 *o) { cross(t[0], 1, o); }
static void m_ryy(const double *t, c128 *o) { cross(t[0], -1, o); }

static void m_rzz(const double *t, c128 *o) {
  c128 same = polar(-t[0] / 2), other = polar(t[0] / 2);
  diagonal4(o, same, other, other, same);
}

/* u3 of qelib1: the upper left corner is real, which OpenQASM 3's U is not. */
static void m_u(const double *t, c128 *o) {
  double c = cos(t[0] / 2), s = sin(t[0] / 2);
  c128 l = polar(t[2]), p = polar(t[1]), both = polar(t[1] + t[2]);
  two(o, C(c, 0), C(-s * l.re, -s * l.im), C(s * p.re, s * p.im), C(c * both.re, c * both.im));
}

/* ---- the table ------------------------------------------------------------------ */

const GateRow gate_table[GATE_KINDS] = {
  [GATE_ID] = {"id", "id", 1, 0, .diagonal = true, .self_inverse = true, .real = true,
               .matrix = m_id, .doc = "the identity"},
  [GATE_X] = {"x", "x", 1, 0, .self_inverse = true, .real = true, .matrix = m_x,
              .doc = "Pauli X: not"},
  [GATE_Y] = {"y", "y", 1, 0, .self_inverse = true, .matrix = m_y, .doc = "Pauli Y"},
  [GATE_Z] = {"z", "z", 1, 0, .diagonal = true, .self_inverse = true, .real = true,
              .matrix = m_z, .doc = "Pauli Z"},
  [GATE_H] = {"h", "h", 1, 0, .self_inverse = true, .real = true, .matrix = m_h,
              .doc = "Hadamard"},
  [GATE_S] = {"s", "s", 1, 0, .diagonal = true, .inverse = "sdg", .matrix = m_s,
              .doc = "diag(1, i)"},
  [GATE_T] = {"t", "t", 1, 0, .diagonal = true, .inverse = "tdg", .matrix = m_t,
              .doc = "diag(1, e^(i pi/4))"},
  [GATE_SX] = {"sx", "sx", 1, 0, .inverse = "sxdg", .matrix = m_sx, .doc = "square root of X"},
  [GATE_SWAP] = {"swap", "swap", 2, 0, .self_inverse = true, .real = true, .matrix = m_swap,
                 .doc = "exchanges two qubits"},
  [GATE_ISWAP] = {"iswap", NULL, 2, 0, .matrix = m_iswap,
                  .doc = "exchanges two qubits, times i where they differ"},
  [GATE_RX] = {"rx", "rx", 1, 1, .matrix = m_rx, .generator = "X", .doc = "exp(-i t X/2)"},
  [GATE_RY] = {"ry", "ry", 1, 1, .real = true, .matrix = m_ry, .generator = "Y",
               .doc = "exp(-i t Y/2)"},
  [GATE_RZ] = {"rz", "rz", 1, 1, .diagonal = true, .matrix = m_rz, .generator = "Z",
               .doc = "exp(-i t Z/2)"},
  [GATE_P] = {"p", "p", 1, 1, .diagonal = true, .matrix = m_p, .doc = "diag(1, e^(it))"},
  [GATE_RXX] = {"rxx", "rxx", 2, 1, .matrix = m_rxx, .generator = "XX", .doc = "exp(-i t XX/2)"},
  [GATE_RYY] = {"ryy", "ryy", 2, 1, .matrix = m_ryy, .generator = "YY", .doc = "exp(-i t YY/2)"},
  [GATE_RZZ] = {"rzz", "rzz", 2, 1, .diagonal = true, .matrix = m_rzz, .generator = "ZZ",
                .doc = "exp(-i t ZZ/2)"},
  [GATE_GPHASE] = {"gphase", "gphase", 0, 1, .diagonal = true,
                   .doc = "e^(it), a phase of the whole state"},
  [GATE_PAULI] = {"pauli", NULL, 0, 1, .doc = "exp(-i t P/2) of a Pauli string P"},
  [GATE_U] = {"u", "u3", 1, 3, .matrix = m_u,
              .doc = "u(theta, phi, lambda) = e^(i(phi+lambda)/2) rz(phi) ry(theta) rz(lambda)"},
  [GATE_UNITARY] = {"unitary", NULL, 0, 0,
                    .doc = "a constant matrix"},
  [GATE_LOAD] = {"load", NULL, 0, 0,
                 .doc = "amplitude encoding: |0> becomes the vector, normalised"},
  [GATE_MEASURE] = {"measure", "measure", 1, 0, .doc = "a qubit into a classical bit"},
  [GATE_RESET] = {"reset", "reset", 1, 0, .doc = "a qubit back to |0>"},
  [GATE_PROJECT] = {"project", NULL, 1, 0, .doc = "post-selection: keeps one outcome"},
  [GATE_CHANNEL] = {"channel", NULL, 1, 1, .doc = "noise"},
  [GATE_BARRIER] = {"barrier", "barrier", 0, 0, .doc = "nothing moves across it"},
};

/* ---- names ---------------------------------------------------------------------- */

static const struct { const char *name; GateKind kind; int controls; bool inverse; } other[] = {
  {"sdg", GATE_S, 0, true},      {"tdg", GATE_T, 0, true},   {"sxdg", GATE_SX, 0, true},
  {"cnot", GATE_X, 1, false},    {"toffoli", GATE_X, 2, false}, {"fredkin", GATE_SWAP, 1, false},
  {"phase", GATE_P, 0, false},   {"u1", GATE_P, 0, false},   {"u3", GATE_U, 0, false},
  {"U", GATE_U, 0, false},       {"CX", GATE_X, 1, false},   {"cphase", GATE_P, 1, false},
};

static bool plain(const char *name, GateKind *kind, int *controls, bool *inverse) {
  for (int k = 0; k < GATE_KINDS; k++)
    if (!strcmp(gate_table[k].name, name)) {
      *kind = k;
      return true;
    }
  for (size_t k = 0; k < sizeof other / sizeof *other; k++)
    if (!strcmp(other[k].name, name)) {
      *kind = other[k].kind;
      *controls += other[k].controls;
      *inverse = other[k].inverse;
      return true;
    }
  return false;
}

/* Each leading c is a control; only gates with a matrix and phases have those. */
bool gate_find(const char *name, GateKind *kind, int *controls, bool *inverse) {
  enum { MOST = 8 };
  *inverse = false;
  for (int c = 0; c <= MOST; c++) {
    *controls = c;
    if (plain(name + c, kind, controls, inverse))
      return !c || gate_table[*kind].matrix || *kind == GATE_GPHASE;
    if (name[c] != 'c') return false;
  }
  return false;
}
