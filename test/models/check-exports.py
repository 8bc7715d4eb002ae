"""Checks ONNX files with the onnx package and runs them in ONNX Runtime: the other side of outside.ts.

The folder given holds 0.onnx, 1.onnx…, the inputs of each as raw float32 (0.feeds…), and feeds.json, their shapes by name
and file. It gets the outputs the same way (0.outputs…) and results.json: the faults and the shapes of the outputs.
"""

import json
import sys
from pathlib import Path

import numpy
import onnx
import onnxruntime

folder = Path(sys.argv[1])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4


def check(model):
    onnx.checker.check_model(model, full_check=True)
    # The checker infers shapes without working out values; what Reshape and Slice give is known only with them.
    onnx.shape_inference.infer_shapes(onnx.load(model), check_type=True, strict_mode=True, data_prop=True)


def run(model, shapes):
    values = numpy.fromfile(model.with_suffix(".feeds"), numpy.float32)
    feeds, start = {}, 0
    for name, shape in shapes.items():
        end = start + int(numpy.prod(shape))
        feeds[name], start = values[start:end].reshape(shape), end
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, feeds)
    numpy.concatenate([output.ravel() for output in outputs]).tofile(model.with_suffix(".outputs"))
    return {info.name: output.shape for info, output in zip(session.get_outputs(), outputs)}


def result(model, shapes):
    faults, outputs = [], {}
    try:
        check(model)
    except Exception as fault:
        faults.append(f"check: {fault}")
    try:
        outputs = run(model, shapes)
    except Exception as fault:
        faults.append(f"run: {fault}")
    return {"faults": faults, "outputs": outputs}


feeds = json.loads((folder / "feeds.json").read_text())
results = [result(folder / f"{i}.onnx", shapes) for i, shapes in enumerate(feeds)]
(folder / "results.json").write_text(json.dumps(results))
