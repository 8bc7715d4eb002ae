#!/usr/bin/env bash
# Installs the Debian packages that tests use and npm cannot bring; the table says by which command each is known to be there.
# Without root or apt-get it says what is missing, and the tests that need it skip by name.
set -euo pipefail

declare -A packages=(
  [chromium]='command -v chromium'
  [mosquitto]='command -v mosquitto'
  [strace]='command -v strace'
  [qemu-user-static]='command -v qemu-aarch64-static'
  [g++-aarch64-linux-gnu]='test -e /usr/aarch64-linux-gnu/lib/libc.so.6'
  [python3-venv]='python3 -c "import ensurepip"'
)

missing=()
for package in "${!packages[@]}"; do
  PATH=$PATH:/usr/sbin bash -c "${packages[$package]}" >/dev/null 2>&1 || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "SKIPPED: not installed: ${missing[*]} (needs root and apt-get)."
fi
