#!/bin/sh
# Checks every dependency: its licence, where it comes from, doubles, and vulnerabilities that are known.
#
# The first three need no network and always run. What is known to be vulnerable is asked of databases elsewhere; where
# one cannot be had this says so and goes on, for it says nothing about the dependencies.
set -eu

deny=.tools/bin/cargo-deny
skipped() { echo "audit: SKIPPED $1" >&2; }

manifests='Cargo.toml benches/empty-worker/Cargo.toml fuzz/Cargo.toml scripts/build/bindgen/Cargo.toml'
for manifest in $manifests; do
    echo "$manifest: licences, sources, doubles"
    "$deny" --config deny.toml --manifest-path "$manifest" check --hide-inclusion-graph --allow unnecessary-skip bans licenses sources
done

export GIT_TERMINAL_PROMPT=0
if why=$("$deny" --config deny.toml fetch db 2>&1); then
    for manifest in $manifests; do
        echo "$manifest: advisories"
        "$deny" --config deny.toml --manifest-path "$manifest" check --hide-inclusion-graph advisories
    done
else
    skipped "advisories on crates: their database cannot be fetched ($(echo "$why" | grep -m 1 -i 'fatal' || echo "$why" | head -n 1))"
fi

# npm ends with 1 both where it found something and where it could not ask; only a report has a version.
npm_audit() {
    report=$(npm audit --json "$@" 2>/dev/null) && found=false || found=true
    case $report in
        *'"auditReportVersion"'*) ;;
        *) skipped "advisories on npm packages: the registry answers no audit ($(echo "$report" | sed -n 's/^  "message": "\(.*\)",$/\1/p'))"; exit 0 ;;
    esac
}

npm_audit --omit=dev
echo 'npm, packages that run in production: advisories'
if $found; then
    npm audit --omit=dev || true
    exit 1
fi
echo none

# Of the others some end up in the dashboard. The rest sees nothing but this repository: what is found there is told, and
# is no reason to refuse a change.
bundled='svelte d3-dsv d3-scale d3-shape lossless-json'
npm_audit
echo 'npm, packages that build, test, or are bundled: advisories, for information'
if $found; then npm audit || true; else echo none; fi
echo "npm, of these the bundled ones ($bundled): advisories"
echo "$report" | node -e '
  const { vulnerabilities } = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const found = process.argv.slice(1).filter((name) => name in vulnerabilities);
  console.log(found.join(" ") || "none");
  process.exitCode = found.length === 0 ? 0 : 1;
' $bundled
