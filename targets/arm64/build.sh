#!/usr/bin/env bash
# Builds the device runtime with its two native modules on an x86-64 Debian machine, as .tar.gz and as .deb.
#   npm run package -- arm64 [--install-tools] [FOLDER]      (FOLDER is packages/ when not given)
# Needs Node, npm, Python, dpkg-deb, and g++-aarch64-linux-gnu (--install-tools installs it with apt-get, as root).
set -euo pipefail
cd "$(dirname "$0")/../.."

if [ "${1:-}" = --install-tools ]; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends g++-aarch64-linux-gnu qemu-user-static
  shift
fi
out=$(realpath -m "${1:-packages}")
mkdir -p "$out"
[ -f dist/device/nd-device.js ] || { echo 'dist/device is missing: run `npm run build` first.' >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
app=$work/neuro-divergent
mkdir -p "$app/node_modules"

echo '── device runtime'
cp -r dist/device/. "$app/"
rm -f "$app"/*.map
cp LICENSE deploy/systemd/neuro-divergent.service deploy/config.yaml "$app/"
node -p '
  const { version, license, engines } = require("./package.json");
  JSON.stringify({ name: "neuro-divergent-device", version, license, type: "module", engines }, null, 2)' >"$app/package.json"

echo '── onnxruntime-node: the CPU library for linux/arm64 comes with the package'
ort=node_modules/onnxruntime-node
mkdir -p "$app/$ort/bin/napi-v6/linux"
cp -r $ort/package.json $ort/dist "$app/$ort/"
cp -r $ort/bin/napi-v6/linux/arm64 "$app/$ort/bin/napi-v6/linux/"
cp -r node_modules/onnxruntime-common "$app/node_modules/"
find "$app/node_modules" -name '*.map' -delete

echo '── better-sqlite3: compiled for arm64'
sqlite=node_modules/better-sqlite3
cp -r $sqlite "$work/better-sqlite3"
rm -rf "$work/better-sqlite3/build"
node_gyp=$(npm root -g 2>/dev/null)/npm/node_modules/node-gyp/bin/node-gyp.js
headers=$(dirname "$(dirname "$(realpath "$(command -v node)")")")
[ -f "$headers/include/node/node.h" ] && nodedir=(--nodedir="$headers") || nodedir=()
(cd "$work/better-sqlite3" &&
  CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ LINK=aarch64-linux-gnu-g++ AR=aarch64-linux-gnu-ar \
    node "$node_gyp" rebuild --release --arch=arm64 "${nodedir[@]}" >"$work/build.log" 2>&1) || { tail -30 "$work/build.log" >&2; exit 1; }
mkdir -p "$app/$sqlite/build/Release"
cp -r $sqlite/package.json $sqlite/lib $sqlite/LICENSE "$app/$sqlite/"
cp "$work/better-sqlite3/build/Release/better_sqlite3.node" "$app/$sqlite/build/Release/"
aarch64-linux-gnu-strip "$app/$sqlite/build/Release/better_sqlite3.node"
cp -r node_modules/bindings node_modules/file-uri-to-path "$app/node_modules/"

echo '── packages'
version=$(node -p 'require("./package.json").version')
name=neuro-divergent-$version-linux-arm64
tar -C "$work" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" neuro-divergent

deb=$work/deb
mkdir -p "$deb/DEBIAN" "$deb/opt" "$deb/usr/lib/systemd/system" "$deb/etc/neuro-divergent"
cp -r "$app" "$deb/opt/neuro-divergent"
mv "$deb/opt/neuro-divergent/neuro-divergent.service" "$deb/usr/lib/systemd/system/"
mv "$deb/opt/neuro-divergent/config.yaml" "$deb/etc/neuro-divergent/"
install -m 755 targets/deb/* "$deb/DEBIAN/"
echo /etc/neuro-divergent/config.yaml >"$deb/DEBIAN/conffiles"
cat >"$deb/DEBIAN/control" <<CONTROL
Package: neuro-divergent-device
Version: $version
Architecture: arm64
Maintainer: The neuro-divergent project <packages@neuro-divergent.invalid>
Installed-Size: $(du -sk "$deb" | cut -f1)
Depends: nodejs (>= 20.19), libc6 (>= 2.28), libstdc++6
Suggests: mosquitto
Section: misc
Priority: optional
Description: forecasts and anomaly alerts for sensors, on the device itself
 Reads sensor streams over MQTT, keeps them in SQLite, forecasts with ONNX
 Runtime, raises alerts, and takes signed models.
CONTROL
chmod -R u=rwX,go=rX "$deb"
dpkg-deb --root-owner-group --build "$deb" "$out/$name.deb" >/dev/null
for file in "$out/$name".{tar.gz,deb}; do echo "$file: $(du -h "$file" | cut -f1)"; done
