# The steps that the ARM64 packages of the device runtime have in common; sourced by targets/*/build.sh, in the root of the repository.
#   begin [--install-tools] [FOLDER]   tools, the folders $out, $work and $app
#   device_files                       dist/device, licence, unit, configuration
#   onnxruntime_files                  npm's ONNX Runtime for linux/arm64, in $ort
#   sqlite_files                       better-sqlite3, compiled for arm64
#   write_packages NAME PACKAGE LIBC   NAME.tar.gz and NAME.deb; more lines of the control file on stdin

cross=aarch64-linux-gnu
ort=node_modules/onnxruntime-node/bin/napi-v6/linux/arm64

begin() {
  if [ "${1:-}" = --install-tools ]; then
    apt-get update -qq && apt-get install -y -qq --no-install-recommends g++-$cross qemu-user-static
    shift
  fi
  out=$(realpath -m "${1:-packages}")
  mkdir -p "$out"
  [ -f dist/device/nd-device.js ] || { echo 'dist/device is missing: run `npm run build` first.' >&2; exit 1; }
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  app=$work/neuro-divergent
  mkdir -p "$app/node_modules"
}

device_files() {
  echo '── device runtime'
  cp -r dist/device/. "$app/"
  rm -f "$app"/*.map
  cp LICENSE deploy/systemd/neuro-divergent.service deploy/config.yaml "$app/"
  node -p '
    const { version, license, engines } = require("./package.json");
    JSON.stringify({ name: "neuro-divergent-device", version, license, type: "module", engines }, null, 2)' >"$app/package.json"
}

onnxruntime_files() {
  echo '── onnxruntime-node: the CPU library for linux/arm64 comes with the package'
  mkdir -p "$app/$ort"
  cp -r node_modules/onnxruntime-node/{package.json,dist} "$app/node_modules/onnxruntime-node/"
  cp -r $ort/. "$app/$ort/"
  cp -r node_modules/onnxruntime-common "$app/node_modules/"
  find "$app/node_modules" -name '*.map' -delete
}

# Node's own headers, where they lie beside it.
node_headers() {
  local prefix
  prefix=$(dirname "$(dirname "$(realpath "$(command -v node)")")")
  if [ -f "$prefix/include/node/node.h" ]; then echo "$prefix"; fi
}

sqlite_files() {
  echo '── better-sqlite3: compiled for arm64'
  local sqlite=node_modules/better-sqlite3 node_gyp headers
  cp -r $sqlite "$work/better-sqlite3"
  rm -rf "$work/better-sqlite3/build"
  node_gyp=$(npm root -g 2>/dev/null)/npm/node_modules/node-gyp/bin/node-gyp.js
  headers=$(node_headers)
  (cd "$work/better-sqlite3" &&
    CC=$cross-gcc CXX=$cross-g++ LINK=$cross-g++ AR=$cross-ar \
      node "$node_gyp" rebuild --release --arch=arm64 ${headers:+--nodedir="$headers"} >"$work/build.log" 2>&1) || { tail -30 "$work/build.log" >&2; exit 1; }
  mkdir -p "$app/$sqlite/build/Release"
  cp -r $sqlite/package.json $sqlite/lib $sqlite/LICENSE "$app/$sqlite/"
  cp "$work/better-sqlite3/build/Release/better_sqlite3.node" "$app/$sqlite/build/Release/"
  $cross-strip "$app/$sqlite/build/Release/better_sqlite3.node"
  cp -r node_modules/bindings node_modules/file-uri-to-path "$app/node_modules/"
}

write_packages() {
  echo '── packages'
  local version name=$1 package=$2 libc=$3 deb=$work/deb
  version=$(node -p 'require("./package.json").version')
  name=${name/VERSION/$version}
  tar -C "$work" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" neuro-divergent

  mkdir -p "$deb/DEBIAN" "$deb/opt" "$deb/usr/lib/systemd/system" "$deb/etc/neuro-divergent"
  cp -r "$app" "$deb/opt/neuro-divergent"
  mv "$deb/opt/neuro-divergent"/neuro-divergent.service* "$deb/usr/lib/systemd/system/"
  mv "$deb/opt/neuro-divergent/config.yaml" "$deb/etc/neuro-divergent/"
  install -m 755 targets/deb/* "$deb/DEBIAN/"
  echo /etc/neuro-divergent/config.yaml >"$deb/DEBIAN/conffiles"
  cat >"$deb/DEBIAN/control" <<CONTROL
Package: $package
Version: $version
Architecture: arm64
Maintainer: The neuro-divergent project <packages@neuro-divergent.invalid>
Installed-Size: $(du -sk "$deb" | cut -f1)
Depends: nodejs (>= 20.19), libc6 (>= $libc), libstdc++6
Suggests: mosquitto
Section: misc
Priority: optional
$(cat)
Description: forecasts and anomaly alerts for sensors, on the device itself
 Reads sensor streams over MQTT, keeps them in SQLite, forecasts with ONNX
 Runtime, raises alerts, and takes signed models.
CONTROL
  sed -i '/^$/d' "$deb/DEBIAN/control"
  chmod -R u=rwX,go=rX "$deb"
  dpkg-deb --root-owner-group ${deb_options:-} --build "$deb" "$out/$name.deb" >/dev/null
  for file in "$out/$name".{tar.gz,deb}; do echo "$file: $(du -h "$file" | cut -f1)"; done
}
