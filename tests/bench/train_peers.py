"""The peer of train.c: the same two models in torch, eager, same data shapes.

train_peers.py THREADS; every line read from the standard input is one round: a
line `case ms_cpu ms_wall` a model, then `end`.
"""
import math
import os
import sys
import time

threads = int(sys.argv[1]) if len(sys.argv) > 1 else 1
os.environ["OMP_NUM_THREADS"] = str(threads)
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(threads)
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, width, heads, hidden, bias, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width, bias=bias), nn.LayerNorm(width, bias=bias)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias), nn.Linear(width, width, bias)
        self.up, self.down = nn.Linear(width, hidden, bias), nn.Linear(hidden, width, bias)

    def forward(self, x):
        b, n, w = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).split(w, 2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(y.transpose(1, 2).reshape(b, n, w))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Language(nn.Module):
    def __init__(self, classes=65, width=128, depth=4, heads=4, context=64):
        super().__init__()
        self.table, self.place = nn.Embedding(classes, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads, 4 * width, False, True) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(self, ids):
        x = self.table(ids) + self.place(torch.arange(ids.shape[1]))
        return F.linear(self.norm(self.blocks(x)), self.table.weight)


class Vision(nn.Module):
    def __init__(self, width=64, depth=6, heads=4):
        super().__init__()
        self.embed, self.place = nn.Linear(16, width), nn.Parameter(0.5 * torch.randn(49, width))
        self.blocks = nn.Sequential(*[Block(width, heads, 128, True, False) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        b = x.shape[0]
        t = x.view(b, 7, 4, 7, 4).permute(0, 1, 3, 2, 4).reshape(b, 49, 16)
        return self.head(self.norm(self.blocks(self.embed(t) + self.place)).mean(1))


class Case:
    def __init__(self, name, model, steps, batch):
        self.name, self.model, self.steps, self.batch = name, model, steps, batch
        many = [p for p in model.parameters() if p.dim() >= 2]
        few = [p for p in model.parameters() if p.dim() < 2]
        self.opt = torch.optim.AdamW([{"params": many, "weight_decay": 0.1}, {"params": few, "weight_decay": 0.0}],
                                     lr=1e-3, betas=(0.9, 0.99))

    def run(self):
        for i in range(self.steps):
            x, y = self.batch(i)
            out = self.model(x)
            loss = F.cross_entropy(out.reshape(-1, out.shape[-1]), y.reshape(-1))
            self.opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.opt.step()


text = torch.randint(0, 65, (100000,))
images, labels = torch.rand(640, 28, 28), torch.randint(0, 10, (640,))


def windows(_):
    at = torch.randint(0, len(text) - 64, (12,))[:, None] + torch.arange(64)
    return text[at], text[at + 1]


cases = [Case("language", Language(), 10, windows),
         Case("vision", Vision(), 5, lambda i: (images[64 * (i % 10):][:64], labels[64 * (i % 10):][:64]))]
for c in cases:
    c.run()
print("version torch", torch.__version__, flush=True)
for line in sys.stdin:
    for c in cases:
        cpu, wall = time.process_time(), time.perf_counter()
        c.run()
        print(c.name, f"{(time.process_time() - cpu) * 1e3 / c.steps:.3f} "
              f"{(time.perf_counter() - wall) * 1e3 / c.steps:.3f}", flush=True)
    print("end", flush=True)
