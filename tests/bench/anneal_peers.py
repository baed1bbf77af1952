"""The peers' side of anneal.sh: dwave-samplers on the same files, CPU time of the sampler's call.

Reads lines "rate|target FILE anneal|tabu READS SWEEPS HOT COLD VALUE CALLS", answers each with the
line that tests/bench/anneal.c would print.
"""
import math
import sys
import time

import dimod
import numpy as np
from dwave.samplers import SimulatedAnnealingSampler, TabuSampler


def load(path):
    """The model to minimise, and what the file's own value is of an energy."""
    cut = path.rsplit("/", 1)[-1].startswith(("G", "R"))
    qubo = path.endswith((".sparse", ".qubo"))
    header, linear, pairs, total = cut or path.endswith(".sparse"), {}, {}, 0.0
    for line in open(path):
        if line[0] in "#cp" or not line.strip():
            continue
        if header:
            header = False
            continue
        i, j, w = line.split()
        i, j, w = int(i), int(j), float(w)
        if path.endswith(".qubo"):
            w = -w
        if path.endswith(".sparse") and i != j:
            w *= 2
        total += w
        if i == j:
            linear[i] = linear.get(i, 0) + w
        else:
            pairs[i, j] = pairs.get((i, j), 0) + w
    bqm = dimod.BinaryQuadraticModel(linear, pairs, 0.0, "BINARY" if qubo else "SPIN")
    sign = -1 if path.endswith(".qubo") else 1
    value = (lambda e: (total - e) / 2) if cut else (lambda e: sign * e)
    return bqm, value, -1 if cut or sign < 0 else 1


models = {}


def answer(kind, path, sampler, reads, sweeps, hot, cold, goal, calls):
    if path not in models:
        models[path] = load(path)
    bqm, value, sense = models[path]
    seconds, energies = [], []
    for call in range(calls):
        if sampler == "anneal":
            betas = [hot, cold] if hot > 0 else None
            run = lambda: SimulatedAnnealingSampler().sample(
                bqm, num_reads=reads, num_sweeps=sweeps, beta_range=betas, seed=call)
        else:
            energy = goal * sense
            run = lambda: TabuSampler().sample(
                bqm, num_reads=1, timeout=2000, seed=call, energy_threshold=energy)
        began = time.thread_time()
        found = run().record.energy
        seconds.append(time.thread_time() - began)
        energies.append(found)
    reached = lambda e: sense * value(e) <= sense * goal + 1e-9 * (1 + abs(goal))
    seconds.sort()
    if kind == "rate":
        e = np.concatenate(energies)
        rate = reads * sweeps * len(bqm) / seconds[0] * 1e-9
        return "%.4f %.3f %.3f %d %d" % (rate, e.mean(), e.std() / math.sqrt(len(e)),
                                         sum(map(reached, e)), len(e))
    return "%d %d %.6f %.6f" % (sum(reached(e.min()) for e in energies), calls,
                                seconds[calls // 2], seconds[(99 * calls + 99) // 100 - 1])


print("ready", flush=True)
for line in sys.stdin:
    kind, path, sampler, *numbers = line.split()
    reads, sweeps, hot, cold, goal, calls = map(float, numbers)
    print(answer(kind, path, sampler, int(reads), int(sweeps), hot, cold, goal, int(calls)), flush=True)
