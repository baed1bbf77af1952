OPENQASM 3.0; include "stdgates.inc";
qubit[2] q;
ry(0.4) q[0]; pow(1/2) @ x q[0]; pow(0.3) @ h q[1]; ctrl @ pow(-0.7) @ y q[0], q[1];
pow(0.4) @ swap q[0], q[1]; negctrl @ pow(1.5) @ s q[1], q[0]; pow(1/4) @ sx q[1]; inv @ pow(0.2) @ t q[0];
