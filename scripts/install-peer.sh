#!/usr/bin/env bash
# Prints a Python with the packages that exported files are checked with: the one that ND_PEER_PYTHON names, else one of
# a small virtual environment, which is made at the first call and kept in the user's cache folder.
set -euo pipefail

packages=(onnx==1.23.2 onnxruntime==1.32.0)

if [ -n "${ND_PEER_PYTHON:-}" ]; then
  echo "$ND_PEER_PYTHON"
  exit
fi
folder=${XDG_CACHE_HOME:-$HOME/.cache}/neuro-divergent/peer/$(IFS=-; echo "${packages[*]}")
if ! "$folder/bin/python" -c 'import onnx, onnxruntime' 2>/dev/null; then
  python3 -m venv --clear "$folder" >&2
  "$folder/bin/pip" install --quiet --only-binary :all: "${packages[@]}" >&2
fi
echo "$folder/bin/python"
