"""The chain of mps.qa in TeNPy and quimb: TEBD in imaginary time, DMRG. CPU seconds of one thread."""
import os, sys, time, warnings
for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(v, "1")
warnings.filterwarnings("ignore")
import numpy as np

n, g = 100, 1.5
exact = -np.linalg.svd(np.diag([g] * n) + np.diag([1.0] * (n - 1), 1), compute_uv=False).sum()


def line(name, what, energy, seconds, bond):
    print(f"  {name:<14} {what:<46} {energy / exact - 1:9.1e} {bond:5d} {seconds:9.2f}", flush=True)


def tenpy():
    import logging
    logging.disable(logging.WARNING)
    import tenpy
    from tenpy.algorithms import dmrg, tebd
    from tenpy.models.tf_ising import TFIChain
    from tenpy.networks.mps import MPS
    name = "tenpy " + tenpy.__version__
    # H = -J sum X X - g sum Z: the same chain with X and Z exchanged
    model = TFIChain({"L": n, "J": 1.0, "g": g, "bc_MPS": "finite", "conserve": None})
    psi = MPS.from_product_state(model.lat.mps_sites(), ["up"] * n, bc="finite")
    cut = {"chi_max": 64, "svd_min": 1e-6}
    start = time.process_time()
    engine = tebd.TEBDEngine(psi, model, {"order": 2, "trunc_params": cut})
    engine.calc_U(2, 0.02, type_evo="imag")      # its imaginary time has order 2 at most
    engine.update_imag(300)
    line(name, "TEBD order 2, step 0.02, tau 6", model.bond_energies(psi).sum(),
         time.process_time() - start, max(psi.chi))
    psi = MPS.from_product_state(model.lat.mps_sites(), ["up"] * n, bc="finite")
    start = time.process_time()
    info = dmrg.run(psi, model, {"trunc_params": {"chi_max": 64, "svd_min": 1e-7}, "mixer": False,
                                 "max_E_err": 1e-11})
    line(name, "DMRG", info["E"], time.process_time() - start, max(psi.chi))


def quimb():
    import quimb
    import quimb.tensor as qtn
    name = "quimb " + quimb.__version__
    z, x = 2 * quimb.spin_operator("z").real, 2 * quimb.spin_operator("x").real
    eye = np.eye(2)
    terms = {}
    for i in range(n - 1):
        left, right = (1.0 if i == 0 else 0.5), (1.0 if i == n - 2 else 0.5)
        terms[i, i + 1] = np.asarray(-np.kron(z, z) - g * (left * np.kron(x, eye) + right * np.kron(eye, x)))
    h = qtn.LocalHam1D(n, H2=terms)
    plus = qtn.MPS_product_state([np.array([1.0, 1.0]) / 2 ** 0.5] * n)
    start = time.process_time()
    t = qtn.TEBD(plus, h, dt=0.2, imag=True, progbar=False, split_opts={"cutoff": 1e-12, "max_bond": 64})
    t.update_to(6.0, order=4)
    psi = t.pt
    psi /= (psi.H @ psi) ** 0.5
    b = qtn.SpinHam1D(S=0.5)
    b += -4.0, "Z", "Z"
    b += -2.0 * g, "X"
    mpo = b.build_mpo(n)
    energy = qtn.expec_TN_1D(psi.H, mpo, psi).real
    line(name, "TEBD order 4, step 0.2, tau 6", energy, time.process_time() - start, psi.max_bond())
    start = time.process_time()
    d = qtn.DMRG2(mpo, bond_dims=[8, 16, 32, 64], cutoffs=1e-13)
    d.solve(tol=1e-11, verbosity=0)
    line(name, "DMRG", d.energy.real, time.process_time() - start, d.state.max_bond())


for peer in (tenpy, quimb):
    try:
        peer()
    except ImportError as e:
        print(f"  {peer.__name__}: not installed ({e.name})")
