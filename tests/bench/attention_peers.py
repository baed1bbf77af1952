"""The peers of attention.c: onnxruntime's fused attention (forward only) and torch.

One thread, f32, time of the calling thread.  Every line read from the standard
input is one round: a line `peer case ms_forward ms_backward` each, then `end`.
`attention_peers.py memory KIND` prints the peak MB of 8 heads, n 4096, d 64,
forward + backward, beyond the inputs.
"""
import os
import statistics
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
import numpy as np

SHAPES = [("softmax", 1, 1, 1024, 64), ("softmax", 1, 8, 1024, 64), ("softmax", 4, 4, 256, 32),
          ("softmax", 1, 1, 4096, 64), ("softmax", 1, 1, 1024, 128), ("softmax", 12, 4, 64, 32),
          ("causal", 1, 1, 1024, 64), ("causal", 1, 8, 1024, 64), ("causal", 4, 4, 256, 32),
          ("causal", 12, 4, 64, 32)]
EAGER = [("softmax", 1, 8, 1024, 64), ("lorentz", 1, 1, 1024, 64), ("lorentz", 1, 8, 1024, 64)]


def name(s):
    return "%s_B%d_H%d_T%d_d%d" % s


def timed(f, budget=0.1):
    """Median (forward, backward) seconds of f() -> (t_forward, t_backward)."""
    f()
    out, spent = [], 0
    while len(out) < 3 or (spent < budget and len(out) < 200):
        out.append(f())
        spent += sum(out[-1])
    return [statistics.median(x) for x in zip(*out)]


def onnx_session(op, shape):
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper
    kind, B, H, T, d = shape
    flat = op == "MultiHeadAttention"
    dims = [B, T, H * d] if flat else [B, H, T, d]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, dims) for n in "qkvo"]
    if flat:
        node = helper.make_node(op, ["q", "k", "v"], ["o"], domain="com.microsoft", num_heads=H,
                                unidirectional=int(kind == "causal"))
    else:
        node = helper.make_node(op, ["q", "k", "v"], ["o"], is_causal=int(kind == "causal"))
    graph = helper.make_graph([node], "attention", values[:3], values[3:])
    model = helper.make_model(graph, ir_version=10, opset_imports=[
        helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    binding = session.io_binding()
    for n in "qkv":
        x = ort.OrtValue.ortvalue_from_numpy(rng.standard_normal(dims, dtype=np.float32))
        binding.bind_ortvalue_input(n, x)
    binding.bind_ortvalue_output("o", ort.OrtValue.ortvalue_from_shape_and_type(dims, np.float32))

    def run():
        t = time.thread_time()
        session.run_with_iobinding(binding)
        return (time.thread_time() - t,)
    return run


def torch_pass(attend, shape):
    import torch
    kind, B, H, T, d = shape
    torch.manual_seed(0)
    q, k, v = (torch.randn(B, H, T, d, requires_grad=True) for _ in range(3))
    g = torch.randn(B, H, T, d)

    def run():
        q.grad = k.grad = v.grad = None
        t0 = time.thread_time()
        o = attend(q, k, v)
        t1 = time.thread_time()
        o.backward(g)
        return t1 - t0, time.thread_time() - t1
    return run


def torch_kinds():
    import torch
    import torch.nn.functional as F
    torch.set_num_threads(1)

    def softmax(q, k, v):
        return torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1) @ v

    def lorentz(q, k, v):
        x = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        w = 1 / (1 + x * x)
        return (w / w.sum(-1, keepdim=True)) @ v
    return {"sdpa": F.scaled_dot_product_attention, "causal":
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
            "softmax": softmax, "lorentz": lorentz}


def peers():
    """(peer, shape, run) of everything that is installed."""
    jobs = []
    try:
        import onnx, onnxruntime
        print("version onnxruntime", onnxruntime.__version__)
        for op in ("MultiHeadAttention", "Attention"):
            for s in SHAPES:
                jobs.append(("ort-" + op, s, onnx_session(op, s)))
    except ImportError:
        print("missing onnxruntime")
    try:
        import torch
        print("version torch", torch.__version__)
        kinds = torch_kinds()
        for s in SHAPES:
            attend = kinds["causal" if s[0] == "causal" else "sdpa"]
            jobs.append(("torch-sdpa", s, torch_pass(attend, s)))
        for s in EAGER:
            jobs.append(("torch-eager", s, torch_pass(kinds[s[0]], s)))
    except ImportError:
        print("missing torch")
    return jobs


def memory(peer):
    def status(field):
        for line in open("/proc/self/status"):
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    try:
        kinds = torch_kinds()
    except ImportError:
        print("-")
        return
    warm = torch_pass(kinds[peer], ("", 1, 1, 64, 64))
    warm()
    run = torch_pass(kinds[peer], ("", 1, 8, 4096, 64))
    open("/proc/self/clear_refs", "w").write("5")
    before = status("VmRSS")
    run()
    print("%.1f" % (status("VmHWM") - before))


def main():
    if len(sys.argv) > 2 and sys.argv[1] == "memory":
        memory(sys.argv[2])
        return
    jobs = peers()
    print("ready", flush=True)
    for _ in sys.stdin:
        for peer, shape, run in jobs:
            t = timed(run)
            back = "%.4f" % (t[1] * 1e3) if len(t) > 1 else "-"
            print(peer, name(shape), "%.4f" % (t[0] * 1e3), back)
        print("end", flush=True)


main()
