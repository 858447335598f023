#!/bin/sh
# Proves without an account or a network that `wrangler deploy` would upload the very build that workerd serves here.
set -eu

out=.tools/deploy-check
rm -rf "$out"
CI=true node_modules/.bin/wrangler deploy --dry-run --outdir "$out"

# wrangler names the module after its content, hence the pattern.
set -- "$out"/*.wasm
[ $# -eq 1 ] && [ -f "$1" ] || { echo "make deploy-check: expected one wasm module in $out" >&2; exit 1; }
cmp "$1" build/index_bg.wasm || { echo "make deploy-check: wrangler would deploy another wasm than build/index_bg.wasm" >&2; exit 1; }
echo "Deployable: the uploaded wasm is build/index_bg.wasm, byte for byte."
