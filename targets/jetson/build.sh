#!/usr/bin/env bash
# Builds the device runtime with ONNX Runtime for CUDA, for a Jetson, on an x86-64 Debian machine, as .tar.gz and as .deb.
#   npm run package -- jetson [--libraries FOLDER] [--source FOLDER | --npm-binding] [--install-tools] [FOLDER]
#
#   --libraries FOLDER  libonnxruntime*.so of a build of your own (JetPack 6, TensorRT: targets/jetson/build-onnxruntime.sh);
#                       those of the ARM64 wheel of onnxruntime-gpu (CUDA 13, JetPack 7) when not given
#   --source FOLDER     a checkout of ONNX Runtime at the version of onnxruntime-node, for Node's binding; cloned when not given
#   --npm-binding       the binding of npm, which knows no CUDA: to try the package without the source, not for a device
#
# Needs what targets/arm64/build.sh needs, pip and unzip for the wheel, and git for the source. No graphics card.
set -euo pipefail
cd "$(dirname "$0")/../.."
. targets/device.sh

libraries='' source='' binding=built
while :; do
  case ${1:-} in
    --libraries) libraries=$(realpath "$2"); shift 2 ;;
    --source) source=$(realpath "$2"); shift 2 ;;
    --npm-binding) binding=npm; shift ;;
    *) break ;;
  esac
done
begin "$@"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/neuro-divergent/jetson
version=$(node -p 'require("onnxruntime-node/package.json").version')

device_files
onnxruntime_files

echo "── ONNX Runtime $version with CUDA"
libc=2.31
if [ -z "$libraries" ]; then
  libraries=$cache/onnxruntime-gpu-$version
  libc=2.34
  if [ ! -d "$libraries" ]; then
    mkdir -p "$cache"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work/wheel" \
      --platform manylinux_2_34_aarch64 --implementation cp --python-version 3.12 --abi cp312 "onnxruntime-gpu==$version"
    unzip -q -j -o "$work"/wheel/*.whl 'onnxruntime/capi/libonnxruntime*' -d "$work/libraries"
    mv "$work/libraries" "$libraries"
  fi
fi
cp "$libraries/libonnxruntime.so.$version" "$app/$ort/libonnxruntime.so.1" # its own name for itself
for provider in shared cuda tensorrt; do
  file=$libraries/libonnxruntime_providers_$provider.so
  if [ -f "$file" ]; then cp "$file" "$app/$ort/"; fi
done
[ -f "$app/$ort/libonnxruntime_providers_cuda.so" ] || { echo "$libraries holds no libonnxruntime_providers_cuda.so." >&2; exit 1; }

if [ $binding = npm ]; then
  echo "── Node's binding: that of npm, without CUDA. This package computes on the CPU; leave out --npm-binding for a device."
else
  echo "── Node's binding: compiled with CUDA"
  if [ -z "$source" ]; then
    source=$cache/onnxruntime-$version
    if [ ! -d "$source" ]; then
      git clone --quiet --depth 1 --branch "v$version" --filter=blob:none --sparse https://github.com/microsoft/onnxruntime "$work/source" &&
        git -C "$work/source" sparse-checkout set js/node include onnxruntime/core ||
        { echo 'The source of ONNX Runtime cannot be cloned: pass --source FOLDER, or --npm-binding to try the rest.' >&2; exit 1; }
      mv "$work/source" "$source"
    fi
  fi
  bash targets/jetson/build-binding.sh "$source" "$version" "$app/$ort"
fi

sqlite_files

echo '── unit and configuration for a graphics card'
mkdir "$app/neuro-divergent.service.d"
cp targets/jetson/gpu.conf "$app/neuro-divergent.service.d/"
cat targets/jetson/engine.yaml >>"$app/config.yaml"

deb_options='-Zgzip' # libraries of 250 MB: xz takes minutes for a tenth
write_packages neuro-divergent-VERSION-jetson-arm64 neuro-divergent-device-jetson $libc <<'CONTROL'
Provides: neuro-divergent-device
Conflicts: neuro-divergent-device
Recommends: nvidia-jetpack
CONTROL
