#!/usr/bin/env bash
# Installs the Debian packages that the tests drive as real servers and browsers. Packages already there are left alone.
set -euo pipefail
wanted=(postgresql prometheus prometheus-alertmanager mariadb-server chromium fonts-noto-cjk docker-compose strace libfaketime)
missing=()
for package in "${wanted[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "tests/packages.sh: needs root or sudo to install: ${missing[*]}" >&2; exit 3; }
  as_root=(sudo)
fi
echo "installing for the tests: ${missing[*]}"
# The tests start their own servers on free ports, so the packages must not start theirs on the well-known ones.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
