#!/bin/sh
# The main job, end to end, without typing: a real kernel, our server with a straggler, our profiler over both, and the benchmark.
# `make demo` calls this after tests/setup.sh. Pictures are left under target/demo.
set -eu
cd "$(dirname "$0")/.."

kernel=${KERNEL:-6.1}
# Where the host's own kernel allows probes, no guest is needed.
[ "${HETSYNC_KERNEL:-}" = "" ] || kernel=$HETSYNC_KERNEL
out=target/demo
bin=target/release
mkdir -p "$out"

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "Building (the first time takes a few minutes)"
cargo build --release -p hetsync-core -p hetsync-probe -p hetsync-guest

say "A server with four workers, one of them a straggler; tcp_sendmsg timed on kernel $kernel"
"$bin/hetsync-guest" run --kernel "$kernel" --timeout 100 \
    --bin "$bin/hetsync" --bin "$bin/hetsync-probe" \
    --file probe-scripts/tcp_sendmsg.hp:/root/tcp_sendmsg.hp --file tests/demo-guest.sh:/root/demo.sh \
    --get "/root/latency.svg:$out/latency.svg" --get "/root/latency.png:$out/latency.png" \
    -- sh /root/demo.sh

say "Updates per second with stragglers, strict against deadline, measured on this machine"
"$bin/hetsync" bench --svg "$out/throughput.svg" --png "$out/throughput.png" \
    --csv "$out/throughput.csv" --json "$out/throughput.json"

say "Pictures"
ls -1 "$out"/*.svg "$out"/*.png
