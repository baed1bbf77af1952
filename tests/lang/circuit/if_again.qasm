OPENQASM 2.0; include "qelib1.inc"; // a bit that is measured twice
qreg a[1]; qreg b[2]; creg m[1]; creg n[2];
ry(1.2) a[0]; measure a[0] -> m[0]; if(m==1) ry(0.9) b[0]; cx b[0], b[1]; reset a; h a[0];
if(m==0) h b[1]; measure a[0] -> m[0]; if(m==1) x b[0]; measure b -> n;
