#!/bin/sh
# sides.sh MAKE TARGET…: makes the targets side by side, each by a make of its own; they must have made what they share before.
set -eu

make=$1
shift
sides=
for target in "$@"; do
    "$make" --silent "$target" &
    sides="$sides $!"
done
code=0
for side in $sides; do
    wait "$side" || code=$?
done
exit "$code"
