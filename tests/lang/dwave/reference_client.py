"""D-Wave's own client against `qa sapi`: samples and energies against enumeration."""
import itertools

from dwave.cloud import Client
from dwave.cloud.exceptions import SolverAuthenticationError


def energy(linear, quadratic, sample):
    return (sum(b * sample[v] for v, b in linear.items())
            + sum(b * sample[u] * sample[v] for (u, v), b in quadratic.items()))


def least(linear, quadratic, values):
    qubits = sorted(linear)
    return min(energy(linear, quadratic, dict(zip(qubits, x)))
               for x in itertools.product(values, repeat=len(qubits)))


def check(name, good):
    print(("ok " if good else "not ok ") + name)


def rows(future, linear, quadratic):
    """Each sample's energy is that of the model; the least one."""
    energies = list(future.energies)
    good = all(abs(energy(linear, quadratic, {q: s[q] for q in linear}) - e) < 1e-9
               for s, e in zip(future.samples, energies))
    return good, min(energies), sum(future.num_occurrences)


with Client.from_config(config_file=False) as client:
    chip = client.get_solver(qpu=True)
    pairs = sorted(chip.undirected_edges)[:6]
    qubits = sorted({q for p in pairs for q in p})
    h = {q: 0.25 * (i % 3 - 1) for i, q in enumerate(qubits)}
    J = {p: 0.5 * (-1) ** i for i, p in enumerate(pairs)}
    good, best, count = rows(chip.sample_ising(h, J, num_reads=50, label="first"), h, J)
    check("ising", good and abs(best - least(h, J, (-1, 1))) < 1e-9 and count == 50)
    diagonal, pair = {q: 0.6 for q in qubits}, {p: -1.0 for p in pairs}
    Q = {**{(q, q): b for q, b in diagonal.items()}, **pair}
    future = chip.sample_qubo(Q, num_reads=20, answer_mode="raw")
    good, best, count = rows(future, diagonal, pair)
    check("qubo", good and abs(best - least(diagonal, pair, (0, 1))) < 1e-9 and count == 20)
    check("timing", abs(future.timing["qpu_access_time"]
                        - chip.estimate_qpu_access_time(len(qubits), num_reads=20)) < 1e-6)
    many = [chip.sample_ising(h, J, num_reads=3) for _ in range(25)]
    check("many at once", all(len(f.samples) >= 1 for f in many))
    try:
        import dimod
        model = dimod.BinaryQuadraticModel({"a": 1, "b": -1, "c": 0.5},
                                           {("a", "b"): -2, ("b", "c"): 1}, 0.25, "BINARY")
        found = client.get_solver(hybrid=True).sample_bqm(model, time_limit=0.2).sampleset.first
        check("hybrid", abs(found.energy + 1.75) < 1e-9)
    except ImportError:
        pass
try:
    with Client.from_config(config_file=False, token="DEV-" + "0" * 40) as client:
        client.get_solver()
    check("a wrong token", False)
except SolverAuthenticationError:
    check("a wrong token", True)
