#!/usr/bin/env bash
# npm run package -- TARGET […]: hands over to targets/TARGET/build.sh.
set -euo pipefail
build=$(dirname "$0")/${1:-}/build.sh
if [ ! -f "$build" ]; then
  echo "There is no such target: name one of $(cd "$(dirname "$0")" && echo */build.sh | sed 's|/build.sh||g')." >&2
  exit 2
fi
shift
exec bash "$build" "$@"
