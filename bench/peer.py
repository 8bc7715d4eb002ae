"""The PyTorch side of bench/train.ts: one JSON request per line, {"model": id, "steps": n}, answered by step times in ms.

Needs torch and neuralforecast 3.3. Eager mode, default Adam, the mean absolute error written as plain torch.
"""

import json
import logging
import os
import sys
import time
import warnings

threads = int(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(threads)
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import torch  # noqa: E402
from neuralforecast.models import GRU, MLP, NHITS, DLinear, PatchTST  # noqa: E402

torch.set_num_threads(threads)
batch, length, horizon = 32, 96, 24
makers = {
    "dlinear": lambda: DLinear(h=horizon, input_size=length),
    "mlp": lambda: MLP(h=horizon, input_size=length, hidden_size=64, num_layers=2),
    "gru": lambda: GRU(h=horizon, input_size=length, encoder_hidden_size=128),
    "nhits": lambda: NHITS(h=horizon, input_size=length),
    "patchtst": lambda: PatchTST(h=horizon, input_size=length, hidden_size=64, encoder_layers=3),
}
runs = {}


def prepare(name):
    model = makers[name]()
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    windows = {
        "insample_y": torch.randn(batch, length, 1),
        "insample_mask": torch.ones(batch, length, 1),
        "hist_exog": None,
        "futr_exog": None,
        "stat_exog": None,
    }
    target = torch.randn(batch, horizon, 1)

    def step():
        optimizer.zero_grad()
        loss = (model(dict(windows)) - target).abs().mean()
        loss.backward()
        optimizer.step()

    return step


output = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # whatever the libraries print goes to stderr
print(json.dumps({"torch": torch.__version__}), file=output)
for line in sys.stdin:
    request = json.loads(line)
    step = runs.setdefault(request["model"], None) or prepare(request["model"])
    runs[request["model"]] = step
    times = []
    for _ in range(request["steps"]):
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1000)
    print(json.dumps(times), file=output)
