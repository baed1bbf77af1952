"""OpenQASM files: what Qiskit Aer makes of them, beside ours (called by tests/bench/qasm.sh).

    qasm_peers.py theirs OUT MOST FILE...   runs Aer: list.json for tests/bench/qasm.qa, files without their final
                                            measurements, probabilities and histograms
    qasm_peers.py compare OUT               with OUT/all.json and OUT/*.npy, ours
"""
import json
import os
import re
import sys
import time
import warnings

import numpy as np

SHOTS = 20000  # up to 10 qubits, fewer of wider circuits: see shots_of
MEASURE = re.compile(r"[^;{}]*\bmeasure\b[^;]*;")


def bare(text):
    """The text without its comments."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)


def loaded(text):
    from qiskit import qasm2, qasm3
    if re.search(r"OPENQASM\s+3", text):
        return qasm3.loads(text)
    return qasm2.loads(text, custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)


def dynamic(circuit):
    """Does it measure, reset or branch before its end?"""
    done = set()
    for step in circuit.data:
        name = step.operation.name
        if name in ("reset", "if_else", "for_loop", "while_loop", "switch_case"):
            return True
        if getattr(step.operation, "condition", None) is not None:
            return True
        qubits = {circuit.find_bit(q).index for q in step.qubits}
        if name == "measure":
            done |= qubits
        elif name != "barrier" and qubits & done:
            return True
    return False


def keyed(circuit, value):
    """An integer of classical bits as Qiskit's text: the last register leftmost."""
    bits = format(value, f"0{circuit.num_clbits}b")[::-1]
    at = {b: i for i, b in enumerate(circuit.clbits)}
    return " ".join("".join(bits[at[b]] for b in reversed(r)) for r in reversed(circuit.cregs))


def exact_bits(circuit, p):
    """Distribution of the classical bits of a circuit that measures at its end, from p of the qubits."""
    states, value = np.arange(len(p)), np.zeros(len(p), dtype=np.int64)
    for step in circuit.data:
        if step.operation.name == "measure":
            q, c = circuit.find_bit(step.qubits[0]).index, circuit.find_bit(step.clbits[0]).index
            value = value & ~(1 << c) | (states >> q & 1) << c
    values, where = np.unique(value, return_inverse=True)
    weight = np.bincount(where, weights=p)
    return {keyed(circuit, int(v)): float(w) for v, w in zip(values, weight) if w > 1e-12}


def shots_of(circuit):
    """Aer runs a circuit that measures before its end once for each shot: minutes above 12 qubits."""
    return max(100, SHOTS >> max(0, circuit.num_qubits - 10))


def sampled_bits(circuit, sim, shots):
    from qiskit import transpile
    run = sim.run(transpile(circuit, sim, optimization_level=0), shots=shots, seed_simulator=7)
    return {k: v / shots for k, v in run.result().get_counts().items()}


def without_measures(circuit):
    plain = circuit.copy_empty_like()
    for step in circuit.data:
        if step.operation.name not in ("measure", "barrier"):
            plain.append(step.operation, step.qubits, step.clbits)
    return plain


def one(row, text, out, most, sim):
    from qiskit import transpile
    t0 = time.process_time()
    circuit = loaded(text)
    row["peer_read"] = time.process_time() - t0
    if circuit.num_qubits > most:
        return False
    row["bits"] = circuit.num_clbits > 0 and "measure" in text
    if dynamic(circuit):
        row["shots"] = row["draws"] = shots_of(circuit)
        t0 = time.process_time()
        row["expected"] = sampled_bits(circuit, sim, row["shots"])
        row["peer_run"] = time.process_time() - t0
        return True
    row["plain"] = f"{out}/{row['id']}.qasm"
    with open(row["plain"], "w") as f:
        f.write(MEASURE.sub("", text))
    plain = without_measures(circuit)
    plain.save_statevector()
    plain = transpile(plain, sim, optimization_level=0)
    t0 = time.process_time()
    p = np.abs(np.asarray(sim.run(plain, shots=1).result().get_statevector())) ** 2
    row["peer_run"] = time.process_time() - t0
    np.save(f"{out}/{row['id']}.peer.npy", p)
    if row["bits"]:
        row["shots"], row["expected"] = 0, exact_bits(circuit, p)
    return True


def theirs(out, most, files):
    from qiskit_aer import AerSimulator
    warnings.filterwarnings("ignore")
    sim, rows = AerSimulator(method="statevector", max_parallel_threads=1), []
    for number, path in enumerate(files):
        row = {"id": f"f{number}", "file": path, "plain": "", "bits": False, "peer": "", "draws": SHOTS}
        with open(path) as f:
            text = bare(f.read())
        try:
            if not one(row, text, out, most, sim):
                continue
        except Exception as e:  # the peer cannot do it: ours is tried all the same
            row["peer"] = f"{type(e).__name__}: {(str(e) or ' ').splitlines()[0]}"
            row["plain"] = ""
        rows.append(row)
    with open(f"{out}/list.json", "w") as f:
        json.dump(rows, f)


def distance(counts, expected, shots):
    """Total variation of our histogram and what chance alone makes of it (shots 0: expected is exact)."""
    n = sum(counts.values())
    keys = set(counts) | set(expected)
    tv = sum(abs(counts.get(k, 0) / n - expected.get(k, 0)) for k in keys) / 2
    p = np.array([expected.get(k, 0) for k in keys])
    chance = np.sqrt(2 / np.pi * p * (1 - p) * (1 / n + (1 / shots if shots else 0))).sum() / 2
    return tv, chance


def parities(weights, n, pair):
    """Mean of (-1)^(b_i + b_j) over n bits, of (-1)^b_i on the diagonal."""
    keys = [k.replace(" ", "") for k in weights]
    sign = 1.0 - 2.0 * np.array([[c == "1" for c in k] for k in keys], dtype=float).reshape(len(keys), n)
    w = np.array([weights[k] for k in weights], dtype=float)
    w = w / w.sum()
    return (sign * w[:, None]).T @ sign if pair else w @ sign


def deviation(counts, expected, shots):
    """Largest difference of a bit's mean or of two bits' parity, in standard deviations: sees what the
    distance of two histograms cannot where nearly every shot is another text."""
    n, bits = sum(counts.values()), len(next(iter(expected)).replace(" ", ""))
    worst = 0.0
    for pair in (False, True):
        a, b = parities(counts, bits, pair), parities(expected, bits, pair)
        m = (n * a + shots * b) / (n + shots) if shots else b
        s = np.sqrt(np.maximum(1 - m * m, 1e-4) * (1 / n + (1 / shots if shots else 0)))
        worst = max(worst, float((np.abs(a - b) / s).max()))
    return worst


def line_of(row, r, out):
    name, wrong = os.path.basename(row["file"])[:44], False
    if r["error"]:
        return f"{name:44} NOT READ  {r['error'][:200]}" + (f"  [Qiskit: {row['peer'][:90]}]" if row["peer"] else ""), True
    if row["peer"]:
        return f"{name:44} {r['qubits']:4}   read; Qiskit: {row['peer'][:100]}", False
    line = f"{name:44} {r['qubits']:4}  "
    if row["plain"]:
        dp = np.abs(np.load(f"{out}/{row['id']}.npy").ravel() - np.load(f"{out}/{row['id']}.peer.npy")).max()
        wrong = not dp < 1e-9
        line += f"   {dp:.1e}"
    else:
        line += "    sampled"
    if row["bits"]:
        tv, chance = distance(r["counts"], row["expected"], row["shots"])
        far = deviation(r["counts"], row["expected"], row["shots"])
        wrong = wrong or far > 6 or (chance < 0.2 and tv > 1.5 * chance + 0.01)
        line += f"   {tv:.4f} ({chance:.4f}) {far:4.1f}"
    line = f"{line:86} {1e3 * r['read']:8.1f} {1e3 * row['peer_read']:8.1f}"
    line += f" {1e3 * (r['run'] if row['plain'] else r['sample']):12.1f} {1e3 * row['peer_run']:8.1f}"
    return line + ("   DIFFERS" if wrong else ""), wrong


def compare(out):
    with open(f"{out}/all.json") as f:
        ours = {r["id"]: r for r in json.load(f)}
    with open(f"{out}/list.json") as f:
        rows = json.load(f)
    print(f"{'file':44} qubits  max |dp|   TV (chance) sigma      read ms: ours, Qiskit   run ms: ours, Aer")
    bad, compared = 0, 0
    for row in rows:
        line, wrong = line_of(row, ours[row["id"]], out)
        bad += wrong
        compared += not row["peer"] and not ours[row["id"]]["error"]
        print(line)
    print(f"{len(rows)} files, {compared} compared, {bad} not read or different")
    return bad > 0


if __name__ == "__main__":
    if sys.argv[1] == "theirs":
        theirs(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(int(compare(sys.argv[2])))
