OPENQASM 3.0; include "stdgates.inc";
input float theta; input angle phi;
const int n = 4;
qubit[n] q; qubit anc; bit[n] c;
gate mine(a) x0, x1 { ctrl @ rx(2 * a) x0, x1; gphase(a / 4); }
for int i in [0:n - 1] { h q[i]; if (i % 2 == 0) { rz(phi * i) q[i]; } }
for uint k in {0, 2} { inv @ mine(theta) q[k], q[k + 1]; }
negctrl @ ctrl(2) @ pow(2) @ t q[0], q[1], q[2], anc;
ctrl @ mine(theta / 2) anc, q[0], q[3];
pow(0.5) @ rx(theta) q[1]; let mid = q[1:2]; swap mid[0], mid[1];
ctrl @ U(theta, phi, 0.2) q[0], q[1]; pow(-2) @ mine(0.1) q[0], anc;
