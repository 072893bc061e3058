#!/bin/sh
# Rounds per second of the server against the floor, the original and
# itself with old workers. Prints the table; writes it as JSON besides.
#
# usage: tests/bench/core.sh [--quick]
set -eu
cd "$(dirname "$0")/../.."
mkdir -p target/bench
cargo bench --quiet -p hetsync-core --bench core -- --json "$PWD/target/bench/core.json" "$@"
