OPENQASM 2.0; include "qelib1.inc";
gate half(a, b) p, q { rx((a + b) / 2) p; barrier p, q; crz(-a^2 * sin(pi / 6)) p, q; }
gate twice(a) p, q { half(a, cos(0)) p, q; half(a, 1) q, p; }
qreg q[3]; qreg r[3]; creg c[3];
h q; cx q, r; twice(0.4) q[0], r; cu3(0.1, 0.2, 0.3) q[1], r[2]; u2(0, pi) r[0];
