#!/bin/sh
# Prints the path of Chromium, or of its driver: chromium.sh [driver]. CHROMIUM and CHROMEDRIVER name others than those
# on the PATH. Where there is none, root on Debian gets both by apt-get.
set -eu

find_browser() {
    for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable; do
        [ -n "$name" ] && command -v "$name" && return
    done
    return 1
}

find_driver() {
    for name in "${CHROMEDRIVER:-}" chromedriver; do
        [ -n "$name" ] && command -v "$name" && return
    done
    return 1
}

find_what() {
    if [ "$what" = driver ]; then find_driver; else find_browser; fi
}

fail() {
    echo "make: $1; install Chromium and its driver, or set CHROMIUM and CHROMEDRIVER to their paths" >&2
    exit 1
}

what=${1:-browser}
find_what && exit
command -v apt-get >/dev/null || fail "no $what of Chromium is on the PATH"
[ "$(id -u)" -eq 0 ] || fail "no $what of Chromium is on the PATH, and only root can install it"
echo 'make: installing Chromium and its driver by apt-get' >&2
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium chromium-driver; } >&2 ||
    fail 'apt-get could not install Chromium'
find_what || fail "apt-get has installed no $what of Chromium"
