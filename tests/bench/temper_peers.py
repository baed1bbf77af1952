# temper_peers.py: worldline updates per second of the path-integral annealers of
# dwave-samplers and openjij, on one core, with the schedule that qa's sqa() uses by
# default (beta A from 9 to 0 while beta B rises from 0 to 6 over the scale of the fields).
#   temper_peers.py FILE INDEX_BASE [maxcut]
import sys
import time

import numpy as np

path, base, cut = sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3
J = {}
for k, line in enumerate(open(path)):
    parts = line.split()
    if line.startswith("#") or len(parts) < 3:
        continue
    u, v, w = int(parts[0]) - base, int(parts[1]) - base, float(parts[2])
    J[u, v] = w / 2 if cut else w
n = 1 + max(max(e) for e in J)
scale = np.sqrt(2 * sum(x * x for x in J.values()) / n)
sweeps = 1000


def cpu(run):
    run(50)
    best = np.inf
    for _ in range(3):
        t = time.process_time()
        run(sweeps)
        best = min(best, time.process_time() - t)
    return n * sweeps / best / 1e6


try:
    import dimod
    from dwave.samplers import PathIntegralAnnealingSampler

    bqm = dimod.BQM.from_ising({v: 0.0 for v in range(n)}, J)

    def dwave(k):
        s = np.linspace(0, 1, k)
        PathIntegralAnnealingSampler().sample(bqm, num_reads=1, beta_schedule_type="custom",
                                              Hp_field=6 / scale * s, Hd_field=9 * (1 - s), seed=1)

    print("dwave", "%.3f" % cpu(dwave))
except ImportError:
    pass
try:
    import openjij

    for trotter in (4, 64):
        run = lambda k: openjij.SQASampler().sample_ising({}, J, beta=6 / scale, gamma=1.5 * scale, num_sweeps=k,
                                                          trotter=trotter, num_reads=1, seed=1, sparse=True)
        print("openjij_%d" % trotter, "%.3f" % cpu(run))
except ImportError:
    pass
