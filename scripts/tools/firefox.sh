#!/bin/sh
# Prints the path of Firefox. FIREFOX names another than those on the PATH. Where there is none, root on Debian gets it by apt-get.
set -eu

find_browser() {
    for name in "${FIREFOX:-}" firefox-esr firefox; do
        [ -n "$name" ] && command -v "$name" && return
    done
    return 1
}

fail() {
    echo "make: $1; install Firefox, or set FIREFOX to its path" >&2
    exit 1
}

find_browser && exit
command -v apt-get >/dev/null || fail 'no Firefox is on the PATH'
[ "$(id -u)" -eq 0 ] || fail 'no Firefox is on the PATH, and only root can install it'
echo 'make: installing Firefox by apt-get' >&2
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends firefox-esr; } >&2 ||
    fail 'apt-get could not install Firefox'
find_browser || fail 'apt-get has installed no Firefox'
