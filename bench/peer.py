"""The PyTorch side of the benches. Requests and answers are lines of JSON; a fault is answered by {"error": text}.

{"open": "NHITS", "series": 1, "options": {…}} starts a process for one model, which then answers
{"train": steps} and {"predict": batch, "repeats": n} by times in ms, {"run": file, "batch": n, "repeats": n} by those of
an ONNX file in onnxruntime on one thread, {"memory": 1} by its peak in MB, {"growth": steps} by how far these steps raise
it in MB above one step of a model of one node,
{"fit": csv, "steps": n, "validation": rows, "windows": n} by the seconds of NeuralForecast.fit, until {"close": 1}.

Needs torch and neuralforecast 3.3. Eager mode, default Adam, the mean absolute error written as plain torch.
"""

import json
import logging
import os
import re
import resource
import sys
import time
import warnings

threads = int(sys.argv[1])
os.environ["OMP_NUM_THREADS"] = str(threads)
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import neuralforecast  # noqa: E402
import neuralforecast.models as library  # noqa: E402
import torch  # noqa: E402

batch, length, horizon = 32, 96, 24


def make(request, **more):
    own = {"n_series": request["series"]} if request["series"] > 1 else {}
    options = {"h": horizon, "input_size": length, **own, **request["options"], **more}
    return getattr(library, request["open"])(**options)


def windows_of(count, series, length=length):
    return {
        "insample_y": torch.randn(count, length, series),
        "insample_mask": torch.ones(count, length, series),
        "hist_exog": None,
        "futr_exog": None,
        "stat_exog": None,
    }


def timed(step, times):
    result = []
    for _ in range(times):
        start = time.perf_counter()
        step()
        result.append((time.perf_counter() - start) * 1000)
    return result


def trainer(request):
    model = make(request)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    windows = windows_of(batch, request["series"], request["options"].get("input_size", length))
    target = torch.randn(batch, horizon, request["series"])

    def step():
        optimizer.zero_grad()
        loss = (model(dict(windows)) - target).abs().mean()
        loss.backward()
        optimizer.step()

    return step


def size_mb(line):
    with open("/proc/self/status") as status:
        return int(re.search(line + r":\s+(\d+) kB", status.read()).group(1)) / 1024


def growth(request, steps):
    one = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(one.parameters(), lr=1e-3)
    one(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")  # the peak so far is forgotten
    before = size_mb("VmRSS")
    timed(trainer(request), steps)
    return size_mb("VmHWM") - before


def predict(request, count, repeats):
    model = make(request)
    model.eval()
    windows = windows_of(count, request["series"])
    with torch.no_grad():
        timed(lambda: model(dict(windows)), 3)
        return timed(lambda: model(dict(windows)), repeats)


def run_file(path, count, repeats):
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {}
    for given in session.get_inputs():
        shape = [size if isinstance(size, int) else count for size in given.shape]
        feeds[given.name] = (numpy.ones if given.name == "mask" else numpy.random.random)(shape).astype("float32")
    timed(lambda: session.run(None, feeds), 3)
    return timed(lambda: session.run(None, feeds), repeats)


def fit(request, csv, steps, validation, windows):
    import pandas

    wide = pandas.read_csv(csv, parse_dates=["date"])
    frame = wide.melt("date", var_name="unique_id", value_name="y").rename(columns={"date": "ds"})
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    model = make(request, max_steps=steps, windows_batch_size=windows, learning_rate=1e-3, scaler_type="standard", **quiet)
    start = time.perf_counter()
    neuralforecast.NeuralForecast(models=[model], freq="h").fit(frame, val_size=validation)
    return time.perf_counter() - start


def serve(request):
    """Answers for one model until it is closed; in a process of its own, so that memory is the model's."""
    torch.set_num_threads(threads)
    step = None
    for line in iter(requests.readline, b""):
        asked = json.loads(line)
        if "close" in asked:
            return
        try:
            if "train" in asked:
                step = step or trainer(request)
                answer = timed(step, asked["train"])
            elif "predict" in asked:
                answer = predict(request, asked["predict"], asked["repeats"])
            elif "run" in asked:
                answer = run_file(asked["run"], asked["batch"], asked["repeats"])
            elif "growth" in asked:
                answer = growth(request, asked["growth"])
            elif "fit" in asked:
                answer = fit(request, asked["fit"], asked["steps"], asked["validation"], asked["windows"])
            else:
                answer = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        except Exception as error:  # the bench goes on with the other models and prints this one's reason
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=output)


requests = os.fdopen(0, "rb", buffering=0)  # a process that reads ahead would take what is meant for the next one
output = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)  # whatever the libraries print goes to stderr
versions = f"torch {torch.__version__}, neuralforecast {neuralforecast.__version__}"
print(json.dumps(versions), file=output)
for line in iter(requests.readline, b""):
    child = os.fork()
    if child == 0:
        serve(json.loads(line))
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        print(json.dumps({"error": "its process died"}), file=output)
