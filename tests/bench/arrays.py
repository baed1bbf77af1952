"""The peer of arrays.qa: the same work in NumPy, one thread."""
import statistics, sys, time
import numpy as np

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
rng = np.random.default_rng(0)
a, b = rng.random((1000, 1000)), rng.random((1000, 1000))

def chain(a, b): return np.sqrt(np.abs(a * b + a - 2.0 * b)) / (1.0 + a * a)
def chain_exp(a, b): return np.exp(-a * a) * np.tanh(b) + np.sin(a)
def product(a, b): return a @ b

def timed(f, inner):
    out = []
    for _ in range(rounds):
        t0 = time.perf_counter()
        for _ in range(inner): f(a, b)
        out.append((time.perf_counter() - t0) / inner)
    return statistics.median(out)

print("chain", timed(chain, 5))
print("chain_exp", timed(chain_exp, 2))
print("product", timed(product, 1))
