"""ONNX Runtime's own static quantizer: python quantize_peer.py FOLDER, which holds fp32.onnx, inputs.json (name -> shape) and
NAME.f32 with the calibration windows of each input; writes int8.onnx there. QDQ, per channel, seven bits, smallest to largest.
"""

import json
import logging
import sys

import numpy
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

logging.disable(logging.CRITICAL)
folder = sys.argv[1]
batch = 64
with open(f"{folder}/inputs.json") as file:
    shapes = json.load(file)
windows = {name: numpy.fromfile(f"{folder}/{name}.f32", "float32").reshape(shape) for name, shape in shapes.items()}
count = next(iter(windows.values())).shape[0]


class Windows(CalibrationDataReader):
    def __init__(self):
        self.starts = iter(range(0, count - batch + 1, batch))

    def get_next(self):
        start = next(self.starts, None)
        return None if start is None else {name: values[start : start + batch] for name, values in windows.items()}


quant_pre_process(f"{folder}/fp32.onnx", f"{folder}/ready.onnx", skip_symbolic_shape=True)
quantize_static(
    f"{folder}/ready.onnx",
    f"{folder}/int8.onnx",
    Windows(),
    quant_format=QuantFormat.QDQ,
    per_channel=True,
    reduce_range=True,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    calibrate_method=CalibrationMethod.MinMax,
)
