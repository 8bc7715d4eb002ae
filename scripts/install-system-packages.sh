#!/usr/bin/env bash
# Installs the Debian packages that tests use and npm cannot bring; the table says which program comes from which package.
# Without root or apt-get it says what is missing, and the tests that need it skip by name.
set -euo pipefail

declare -A packages=([chromium]=chromium [mosquitto]=mosquitto)

missing=()
for program in "${!packages[@]}"; do
  PATH=$PATH:/usr/sbin command -v "$program" >/dev/null || missing+=("${packages[$program]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "SKIPPED: not installed: ${missing[*]} (needs root and apt-get)."
fi
