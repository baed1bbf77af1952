# quantum_peers.py: the rows of quantum.sh in SciPy (CSR matrices, eigsh, expm_multiply), qulacs and
# QuTiP, as far as they are installed: open transverse-field Ising chain, J = g = 1, one thread,
# CPU milliseconds, best of many.
import resource
import time

import numpy as np


def best(run, seconds=1.0):
    least, start, k = np.inf, time.monotonic(), 0
    while k < 3 or time.monotonic() - start < seconds:
        t = time.process_time()
        run()
        least, k = min(least, time.process_time() - t), k + 1
        if k == 1 and time.monotonic() - start > 3 * seconds:
            break
    return 1e3 * least


def row(who, what, n, ms, note=""):
    print(f"{who:8} {what:24} n={n:<3} {ms:12.4f} {note}", flush=True)


def chain_matrix(n, dtype):
    import scipy.sparse as sp

    size, i = 1 << n, np.arange(1 << n)
    z = 1 - 2 * ((i[:, None] >> np.arange(n)) & 1).astype(np.int8)
    diagonal = -(z[:, 1:] * z[:, :-1]).sum(1).astype(dtype)
    cols = np.concatenate([i[:, None] ^ (1 << np.arange(n)), i[:, None]], 1)
    vals = np.full((size, n + 1), -1, dtype)
    vals[:, n] = diagonal
    start = np.arange(size + 1) * (n + 1)
    return sp.csr_matrix((vals.ravel(), cols.ravel(), start), shape=(size, size))


def scipy_rows():
    import scipy
    from scipy.sparse.linalg import eigsh, expm_multiply

    print("scipy", scipy.__version__)
    for n in (18, 20):
        for kind, dtype in (("complex", np.complex128), ("real", np.float64)):
            m, x = chain_matrix(n, dtype), np.ones(1 << n, dtype)
            row("scipy", f"y = Hx, CSR, {kind}", n, best(lambda: m @ x))
            del m
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    m = chain_matrix(18, np.float64)
    t = time.process_time()
    e = eigsh(m, 1, which="SA", tol=1e-10)[0][0]
    exact = 1 - 1 / np.sin(np.pi / (2 * 37))
    row("scipy", "ground, eigsh", 18, 1e3 * (time.process_time() - t), f"E - exact = {e - exact:.1e}, "
        "without the making of the matrix")
    x, m = np.zeros(1 << 14, complex), chain_matrix(14, np.complex128)
    x[0] = 1
    row("scipy", "exp(-iHt), expm_multiply", 14, best(lambda: expm_multiply(-1j * m, x)))


def qulacs_rows():
    import qulacs

    print("qulacs", getattr(qulacs, "__version__", ""))
    for n in (10, 16, 20, 24):
        h, s = qulacs.Observable(n), qulacs.QuantumState(n)
        for i in range(n):
            h.add_operator(-1.0, f"X {i}")
            if i + 1 < n:
                h.add_operator(-1.0, f"Z {i} Z {i + 1}")
        s.set_Haar_random_state(1)
        row("qulacs", "<TFIM>", n, best(lambda: h.get_expectation_value(s)))


def qutip_rows():
    import qutip as q

    print("qutip", q.__version__)
    n = 14
    one = [q.qeye(2)] * n

    def at(**what):
        f = list(one)
        for k, v in what.items():
            f[int(k[1:])] = v
        return q.tensor(f)

    x, z = q.sigmax(), q.sigmaz()
    h = sum(-at(**{f"q{i}": x}) for i in range(n)) + sum(
        -at(**{f"q{i}": z, f"q{i + 1}": z}) for i in range(n - 1))
    psi = q.basis([2] * n, [0] * n)
    row("qutip", "<TFIM>", n, best(lambda: q.expect(h, psi)))
    options = {"rtol": 1e-8, "atol": 1e-10, "nsteps": 100000}
    row("qutip", "exp(-iHt), sesolve", n, best(lambda: q.sesolve(h, psi, [0, 1], options=options)),
        "rtol 1e-8")


for f in (scipy_rows, qulacs_rows, qutip_rows):
    try:
        f()
    except ImportError as e:
        print("not there:", e.name)
