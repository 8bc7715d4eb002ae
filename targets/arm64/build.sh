#!/usr/bin/env bash
# Builds the device runtime with its two native modules on an x86-64 Debian machine, as .tar.gz and as .deb.
#   npm run package -- arm64 [--install-tools] [FOLDER]      (FOLDER is packages/ when not given)
# Needs Node, npm, Python, dpkg-deb, and g++-aarch64-linux-gnu (--install-tools installs it with apt-get, as root).
set -euo pipefail
cd "$(dirname "$0")/../.."
. targets/device.sh

begin "$@"
device_files
onnxruntime_files
sqlite_files
write_packages neuro-divergent-VERSION-linux-arm64 neuro-divergent-device 2.28 </dev/null
