#!/usr/bin/env bash
# Compiles Node's binding of ONNX Runtime for linux/arm64 with CUDA, and with TensorRT where its provider lies in FOLDER; seconds.
#   targets/jetson/build-binding.sh SOURCE VERSION FOLDER
# SOURCE is a checkout at that version; FOLDER holds libonnxruntime.so.1, and gets onnxruntime_binding.node.
set -euo pipefail
. "$(dirname "$0")/../device.sh"
source=$1 version=$2 folder=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

found=$(cat "$source/VERSION_NUMBER" 2>/dev/null || true)
[ "$found" = "$version" ] || { echo "$source holds ONNX Runtime ${found:-of no version}, wanted is $version." >&2; exit 1; }
headers=$(node_headers)
[ -n "$headers" ] || { echo "Node's headers do not lie beside it: use a Node from nodejs.org." >&2; exit 1; }
(cd "$work" && tar -xzf "$(npm pack --silent node-addon-api@8)")
cp -r "$source/js/node/src" "$work/src"

providers=-DUSE_CUDA=1
if [ -f "$folder/libonnxruntime_providers_tensorrt.so" ]; then
  providers="$providers -DUSE_TENSORRT=1"
  # The binding gives TensorRT no options, so that it would build its engines anew at each start: minutes.
  line='options->device_id = deviceId;\n      sessionOptions.AppendExecutionProvider_TensorRT_V2'
  cache='if (const char* path = std::getenv("ND_ENGINE_CACHE")) { options->trt_engine_cache_enable = 1; options->trt_engine_cache_path = path; options->trt_timing_cache_enable = 1; options->trt_timing_cache_path = path; }'
  sed -i -z "s|$line|$cache\n      $line|; s|#include <cmath>|#include <cmath>\n#include <cstdlib>|" "$work/src/session_options_helper.cc"
  grep -q ND_ENGINE_CACHE "$work/src/session_options_helper.cc" ||
    { echo 'session_options_helper.cc has changed: where does it append TensorRT?' >&2; exit 1; }
fi

# The definitions and folders of js/node/CMakeLists.txt.
# shellcheck disable=SC2086
$cross-g++ -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -DNAPI_VERSION=6 -DORT_API_MANUAL_INIT $providers \
  -I"$headers/include/node" -I"$work/package" \
  -I"$source/include/onnxruntime/core/session" -I"$source/include/onnxruntime" -I"$source/onnxruntime" \
  "$work"/src/*.cc -o "$folder/onnxruntime_binding.node" \
  -Wl,-soname,onnxruntime_binding.node -Wl,-rpath,'$ORIGIN' -L"$folder" -l:libonnxruntime.so.1
$cross-strip "$folder/onnxruntime_binding.node"
