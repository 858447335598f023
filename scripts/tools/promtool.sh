#!/bin/sh
# Unpacks promtool, with which a test checks the metrics, from the Debian package into a directory: promtool.sh DIR
# Needs no root. Where it cannot be had this says so and succeeds; the test is then skipped.
set -eu

directory=$1
work=$directory/download

skip() {
    rm -rf "$work"
    echo "promtool: $1; its test will be skipped (set PROMTOOL to use one that is elsewhere)" >&2
    exit 0
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip 'this is not Debian'
rm -rf "$directory"
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
work=$directory/download
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
cd "$work"

# With the package lists of the machine, or else with lists of our own.
download() {
    apt-get -qq -o APT::Sandbox::User=root "$@" download prometheus >/dev/null 2>&1
}
download || {
    set -- -o "Dir::State=$work/state" -o Dir::State::status=/var/lib/dpkg/status -o "Dir::Cache=$work/cache"
    apt-get -qq -o APT::Sandbox::User=root "$@" update >/dev/null 2>&1 && download "$@" || skip 'the package cannot be downloaded'
}
dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C "$directory" ./usr/bin/promtool || skip 'the package cannot be unpacked'
rm -rf "$work"
touch "$directory/.stamp"
