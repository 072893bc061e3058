# The part of the demo that runs on the kernel that is measured: server, workers, profiler.
set -eu

uname -r
hetsync serve --listen 127.0.0.1:9999 --workers 4 --deadline 500ms --verbose 2> serve.log &
server=$!
hetsync worker --count 3 --think 50ms --floats 25000 --rounds 120 > workers.log 2>&1 &
workers=$!
hetsync worker --think 50ms --floats 25000 --straggle 2s --rounds 1000 > straggler.log 2>&1 &
straggler=$!

hetsync-probe run tcp_sendmsg.hp -d 12 --plot latency.svg --plot latency.png > report.txt

wait "$workers" || true
kill -TERM "$server" "$straggler"
wait "$server"

echo
echo "The rounds, as the server told them:"
grep -m 3 'left out' serve.log
echo "    ..."
tail -n 2 serve.log
echo
echo "Time in tcp_sendmsg:"
cat report.txt
