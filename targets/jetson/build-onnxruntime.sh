#!/usr/bin/env bash
# Builds ONNX Runtime itself, on the Jetson: for JetPack 6 (CUDA 12), and for TensorRT. Hours on an Orin Nano, and 30 GB of disk.
#   targets/jetson/build-onnxruntime.sh SOURCE FOLDER [--tensorrt]
# SOURCE is a checkout at the version of onnxruntime-node (git clone --recursive --branch vVERSION …); FOLDER gets the libraries, for
# `npm run package -- jetson --libraries FOLDER --source SOURCE` on the workstation.
set -euo pipefail
source=$1 folder=$2
cuda=${CUDA_HOME:-/usr/local/cuda}
tensorrt=()
if [ "${3:-}" = --tensorrt ]; then tensorrt=(--use_tensorrt --tensorrt_home /usr/lib/aarch64-linux-gnu); fi
[ -x "$cuda/bin/nvcc" ] || { echo "There is no $cuda/bin/nvcc: install nvidia-jetpack, or set CUDA_HOME." >&2; exit 1; }

# 87: Orin; 110: Thor. Fewer jobs than cores, since one of nvcc takes up to 3 GB.
case $("$cuda/bin/nvcc" --version) in *'release 13'*) architectures='87;110' ;; *) architectures=87 ;; esac
"$source/build.sh" --config Release --update --build --parallel "${JOBS:-2}" --nvcc_threads 1 --skip_tests --skip_submodule_sync \
  --build_shared_lib --use_cuda --cuda_home "$cuda" --cudnn_home /usr/lib/aarch64-linux-gnu "${tensorrt[@]}" \
  --cmake_extra_defines CMAKE_CUDA_ARCHITECTURES="$architectures" onnxruntime_BUILD_UNIT_TESTS=OFF
mkdir -p "$folder"
cp -L "$source"/build/Linux/Release/libonnxruntime.so."$(cat "$source/VERSION_NUMBER")" \
  "$source"/build/Linux/Release/libonnxruntime_providers_*.so "$folder/"
