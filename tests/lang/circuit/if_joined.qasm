OPENQASM 3.0; include "stdgates.inc"; // conditions on several bits, nested, with else
qubit[4] q; bit[4] c;
ry(0.7) q[0]; ry(1.9) q[1]; cx q[0], q[2]; ry(0.4) q[2];
c[0] = measure q[0]; c[1] = measure q[1]; c[2] = measure q[2];
if ((c[0] ^ c[2]) == true) { ry(1.1) q[3]; }
if (c[1] && !c[2]) { if (c[0]) { ry(0.3) q[3]; } else { x q[3]; } } else { ry(0.2) q[3]; }
if (c >= 5) ry(-0.8) q[3];
c[3] = measure q[3];
