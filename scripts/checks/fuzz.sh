#!/usr/bin/env bash
# Runs every fuzz target for FUZZ_SECONDS, from the corpus of earlier runs and the golden files. An input that fails is left in
# fuzz/artifacts/ and named; it becomes a fixture of a test with what mends it.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo_fuzz=(.tools/bin/cargo-fuzz)
seconds=${FUZZ_SECONDS:-7}
# The stable compiler has coverage and no sanitizers; the crate forbids unsafe code.
options=(--sanitizer none)

"${cargo_fuzz[@]}" fuzz build "${options[@]}"
for target in $("${cargo_fuzz[@]}" fuzz list); do
    corpus=fuzz/corpus/$target
    mkdir -p "$corpus"
    case $target in
        journal | snapshot | counts | page | seen) cp tests/golden/"$target"-*.bin "$corpus" ;;
    esac
    printf '%-11s' "$target"
    if ! output=$("${cargo_fuzz[@]}" fuzz run "${options[@]}" "$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 2>&1); then
        printf 'failed\n%s\n' "$output" | tail -n 60
        exit 1
    fi
    printf '%s executions\n' "$(sed -n 's/^stat::number_of_executed_units: *//p' <<<"$output")"
done
