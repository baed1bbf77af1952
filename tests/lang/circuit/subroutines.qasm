OPENQASM 3.0; include "stdgates.inc";
def turn(qubit[2] w, float t, qubit v) { rx(t) w[0]; cx w[0], v; for int k in [0:1] { rz(t * (k + 1)) w; } }
qubit[3] q; let low = q[0:1] ++ q[2];
h q[1]; turn(q[1:2], 0.3, q[0]); delay[100ns] q; turn(low[0:1], -0.9, low[2]);
int i = 0; while (i < 3) { ry(0.1 * (i + 1)) q[i]; i += 1; }
end; this is not read
