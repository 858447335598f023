#!/bin/sh
# Prints the path of nginx. NGINX names another one than that on the PATH. Where there is none, root on Debian gets it by apt-get.
set -eu

find_nginx() {
    for name in "${NGINX:-}" nginx /usr/sbin/nginx; do
        [ -n "$name" ] && command -v "$name" && return
    done
    return 1
}

fail() {
    echo "make: $1; install nginx, or set NGINX to its path" >&2
    exit 1
}

find_nginx && exit
command -v apt-get >/dev/null || fail 'nginx is not on the PATH'
[ "$(id -u)" -eq 0 ] || fail 'nginx is not on the PATH, and only root can install it'
echo 'make: installing nginx by apt-get' >&2
{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends nginx-light; } >&2 ||
    fail 'apt-get could not install nginx'
find_nginx || fail 'apt-get has installed no nginx'
