#!/bin/sh
# Says in one line what this machine lacks: require.sh rust|node|start|python|postgresql|redis|wrk …
set -eu

fail() {
    echo "make: $1" >&2
    exit 1
}

require_rust() {
    command -v cargo >/dev/null || fail 'cargo is missing; install Rust with rustup (https://rustup.rs)'
    # The linker of every native build, of the tools that are compiled here included.
    command -v "${CC:-cc}" >/dev/null || fail "a C compiler (${CC:-cc}) is missing; install gcc or clang"
    # Printed for any known target, so only the directory itself tells whether it is installed.
    target_dir=$(rustc --print target-libdir --target wasm32-unknown-unknown) || fail 'rustc does not run'
    if [ ! -d "$target_dir" ]; then
        command -v rustup >/dev/null ||
            fail 'the target wasm32-unknown-unknown is missing and so is rustup to install it (https://rustup.rs)'
        rustup target add wasm32-unknown-unknown || fail 'rustup could not add the target wasm32-unknown-unknown'
    fi
}

require_node() {
    command -v node >/dev/null || fail 'node is missing; install Node.js 20.19 or later'
    command -v npm >/dev/null || fail 'npm is missing; install Node.js 20.19 or later with npm'
    node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
             process.exit(major > 20 || (major === 20 && minor >= 19) ? 0 : 1)' ||
        fail "node $(node --version) is too old; install Node.js 20.19 or later"
}

# Before Node, which crashes with a dump where there is less still. As ADDRESS_SPACE_KIB_MIN of machine.mjs.
require_start() {
    limit=$(ulimit -v)
    [ "$limit" = unlimited ] || [ "$limit" -ge 16777216 ] ||
        fail "the limit on address space (ulimit -v) of $limit KiB is too low for workerd; lift it (ulimit -v unlimited)"
}

require_python() {
    command -v python3 >/dev/null || fail 'python3 is missing; install Python 3.10 or later, with venv'
    python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null ||
        fail 'python3 is too old or lacks the module venv; install Python 3.10 or later, with venv'
}

require_postgresql() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 ||
        fail 'initdb is missing; install PostgreSQL (on Debian the package postgresql)'
}

require_redis() {
    command -v redis-server >/dev/null || fail 'redis-server is missing; install Redis (on Debian the package redis-server)'
}

require_wrk() {
    command -v wrk >/dev/null || fail 'wrk is missing; install it (on Debian the package wrk)'
}

for need in "$@"; do
    "require_$need"
done
