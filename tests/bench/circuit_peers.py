"""The rows of circuit.c with qulacs, PennyLane's Lightning and Qiskit Aer where installed."""
import time

GATES = ("h", "rx", "cx", "dense 2q")


def best(f, rounds):
    times = []
    for _ in range(rounds):
        t = time.process_time()
        f()
        times.append(time.process_time() - t)
    return min(times) * 1e3


def with_qulacs():
    import numpy as np
    import qulacs
    from qulacs.gate import H, RX, CNOT, DenseMatrix
    fourier = np.array([[1j ** (i * j) for j in range(4)] for i in range(4)]) / 2
    for n in (10, 16, 20, 24):
        state = qulacs.QuantumState(n)
        make = {"h": lambda q: H(q), "rx": lambda q: RX(q, 0.3),
                "cx": lambda q: CNOT((q + 7) % n, q),
                "dense 2q": lambda q: DenseMatrix([q, (q + 7) % n], fourier)}
        for name in GATES:
            each = [best(lambda g=make[name](q): g.update_quantum_state(state), 3 if n > 20 else 20)
                    for q in range(0, n, 5)]
            print(f"qulacs n={n} {name}: {sum(each) / len(each):.5f} ms")
    for n in (10, 16, 20):
        c = qulacs.ParametricQuantumCircuit(n)
        for layer in range(5):
            for q in range(n):
                c.add_parametric_RY_gate(q, 0.1 * q)
                c.add_parametric_RZ_gate(q, 0.2 * q)
            for q in range(n):
                c.add_CZ_gate(q, (q + 1) % n)
        h = qulacs.Observable(n)
        for q in range(n):
            h.add_operator(-1.0, f"X {q}")
            if q + 1 < n:
                h.add_operator(-1.0, f"Z {q} Z {q + 1}")
        rounds = 2 if n == 20 else 20
        print(f"qulacs n={n} gradient {best(lambda: c.backprop(h), rounds):.3f} ms")


def with_lightning():
    import pennylane as qml
    from pennylane import numpy as np
    for n in (10, 16, 20):
        dev = qml.device("lightning.qubit", wires=n)
        h = qml.Hamiltonian([-1.0] * (2 * n - 1), [qml.PauliX(q) for q in range(n)]
                            + [qml.PauliZ(q) @ qml.PauliZ(q + 1) for q in range(n - 1)])

        @qml.qnode(dev, diff_method="adjoint")
        def energy(t):
            for layer in range(5):
                for q in range(n):
                    qml.RY(t[layer, q, 0], wires=q)
                    qml.RZ(t[layer, q, 1], wires=q)
                for q in range(n):
                    qml.CZ(wires=[q, (q + 1) % n])
            return qml.expval(h)

        t = np.array(0.1 + np.zeros((5, n, 2)), requires_grad=True)
        g = qml.grad(energy)
        g(t)
        ms = best(lambda: g(t), 2 if n == 20 else 10)
        print(f"lightning n={n} forward and gradient {ms:.3f} ms")


def with_aer():
    from qiskit import QuantumCircuit
    from qiskit_aer import AerSimulator
    sim = AerSimulator(method="statevector", max_parallel_threads=1)
    for n in (16, 20, 24):
        c = QuantumCircuit(n)
        for q in range(n):
            c.h(q)
        c.save_statevector()
        r = 1 if n > 20 else 5
        print(f"aer n={n} a layer of h {best(lambda: sim.run(c).result(), r) / n:.4f} ms a gate")


for part in (with_qulacs, with_lightning, with_aer):
    try:
        part()
    except ImportError as e:
        print(f"{part.__name__[5:]}: not installed ({e})")
