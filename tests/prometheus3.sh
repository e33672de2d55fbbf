#!/usr/bin/env bash
# Unpacks a Prometheus of a newer Debian suite into a folder, beside the installed one: tests/prometheus3.sh FOLDER.
# Uses the package source that this machine has configured and its own lists, so the machine's stay as they are.
set -euo pipefail
folder=$1
suite=forky
[ -x "$folder/usr/bin/prometheus" ] && exit 0
site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$folder"
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
echo "deb [signed-by=$keys] $site $suite main" >"$state/sources.list"
options=(-qq -o "Dir::State=$state" -o "Dir::State::lists=$state/lists" -o "Dir::Cache=$state/cache"
  -o "Dir::Etc::SourceList=$state/sources.list" -o Dir::Etc::SourceParts=/dev/null -o APT::Sandbox::User=root
  -o Acquire::Languages=none -o Dir::State::status=/var/lib/dpkg/status)
apt-get "${options[@]}" update
cd "$state"
apt-get "${options[@]}" download prometheus
dpkg-deb -x ./prometheus_*.deb "$folder"
