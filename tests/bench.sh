#!/bin/sh
# Measures what is promised, as ratios to a peer or a limit in the same run; `make bench` calls it after tests/setup.sh.
#
#   tests/bench.sh [core|probe]...      all of them without an argument
set -eu
cd "$(dirname "$0")/.."
mkdir -p target/bench

core() {
    tests/bench/core.sh
}

probe() {
    cargo build --release -p hetsync-probe -p hetsync-guest
    for attach in kprobe fentry; do
        define=
        [ "$attach" = kprobe ] || define=-DFENTRY
        # shellcheck disable=SC2086 # none or one word
        clang -O2 -g -target bpf -I"/usr/include/$(uname -m)-linux-gnu" $define \
            -c tests/bench/peer/latency.bpf.c -o "target/bench/$attach.o"
    done
    cc -O2 -Wall tests/bench/peer/latency.c -o target/bench/latency -lbpf
    # shellcheck disable=SC2086 # several kernels
    target/release/bench-probe ${KERNELS:-6.1}
}

[ $# -gt 0 ] || set -- core probe
for part; do
    case $part in
    core | probe) "$part" ;;
    *) echo "usage: tests/bench.sh [core|probe]..." >&2; exit 2 ;;
    esac
done
