#!/bin/sh
# step.sh WHAT COMMAND…: says what is done, and then how long it took.
set -eu

what=$1
shift
started=$(date +%s)
printf '== %s\n' "$what"
if "$@"; then
    printf '== %s: %s s\n' "$what" "$(($(date +%s) - started))"
else
    code=$?
    printf '== %s: failed after %s s\n' "$what" "$(($(date +%s) - started))" >&2
    exit "$code"
fi
