#!/bin/sh
# unless-unchanged.sh RECORD TARGET INPUT…: makes a target that takes long and rarely breaks, unless all inputs are what they
# were when it last passed; RECORD has their hash, and gets the new one where it passes now. `make TARGET` always runs it.
set -eu

record=$1
target=$2
shift 2
hash=$(git ls-files -- "$@" | grep -vxF "$record" | LC_ALL=C sort | tr '\n' '\0' | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
if [ -f "$record" ] && [ "$(cat "$record")" = "$hash" ]; then
    echo "skipped: make $target, because $* are what they were when it last passed"
    exit 0
fi
make "$target"
echo "$hash" > "$record"
