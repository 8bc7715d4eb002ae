#!/usr/bin/env bash
# Installs the Debian packages that tests use and npm cannot bring. Tests that need one that is missing skip by name.
#   mosquitto  the MQTT 5 broker of test/transport and test/runtime
#   chromium   looks at demo-report.html
set -euo pipefail

missing=()
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
command -v chromium >/dev/null || missing+=(chromium)
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "SKIPPED: ${missing[*]} not installed (needs root and apt-get)."
fi
