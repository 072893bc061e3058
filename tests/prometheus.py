#!/usr/bin/env python3
"""Loads every query of the Grafana dashboard into a real Prometheus that scrapes a real server, and wants data for each.

    tests/prometheus.py [HETSYNC]          by default target/debug/hetsync

It needs the package `prometheus` (Debian's is enough). Everything listens on loopback, at ports that are free, and lives in a folder that is
removed. It takes about half a minute and ends with 1 if a query is refused or has no data.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "hetsync-core/dashboards/hetsync.json"
# What Grafana would put in for its own variables.
VARIABLES = {"$job": ".+", "$__rate_interval": "10s"}
PATIENCE_S = 60


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def ask(port, path, **query):
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except (OSError, ValueError):
        return {"status": "not yet"}


def queries():
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            yield panel["title"], query


def start(folder, hetsync):
    """The server, its workers (one of them slow, one stopped for a while), and Prometheus."""
    workers, metrics, prometheus = free_port(), free_port(), free_port()
    run = lambda *args: subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    server = run(hetsync, "serve", "--workers", "4", "--listen", f"127.0.0.1:{workers}", "--metrics",
                 f"127.0.0.1:{metrics}", "--checkpoint", f"{folder}/checkpoints")
    wait(lambda: ask(metrics, "/metrics") is not None and opens(metrics), "the server")
    connect = ("worker", "--protocol", "1", "-c", f"127.0.0.1:{workers}")
    started = [server]
    for number in range(3):
        started.append(run(hetsync, *connect, "--id", f"even-{number}", "-t", "30ms", "--jitter", "10"))
    started.append(run(hetsync, *connect, "--id", "slow", "-t", "30ms", "--straggle", "300ms"))
    (pathlib.Path(folder) / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: hetsync, static_configs: [{{targets: ['127.0.0.1:{metrics}']}}]}}]\n")
    started.append(run("prometheus", "--config.file=prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
                       f"--web.listen-address=127.0.0.1:{prometheus}"))
    return started, metrics, prometheus


def opens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def wait(is_so, what):
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > end:
            sys.exit(f"{what} is not there after {PATIENCE_S} s")
        time.sleep(0.2)


def main():
    hetsync = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/hetsync")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        started, metrics, port = start(folder, hetsync)
        try:
            up = lambda: ask(port, "/api/v1/query", query="up").get("data", {}).get("result")
            wait(lambda: any(one["value"][1] == "1" for one in up() or []), "a scrape")
            wanted = list(queries())
            end = time.monotonic() + PATIENCE_S
            answers = {}
            # Rates want several scrapes, and a straggler is named after a few rounds.
            while time.monotonic() < end and any(not answers.get(query) for _, query in wanted):
                for _, query in wanted:
                    if not answers.get(query):
                        answer = ask(port, "/api/v1/query", query=query)
                        if answer["status"] == "error":
                            sys.exit(f"refused: {query}: {answer['error']}")
                        answers[query] = answer.get("data", {}).get("result")
                time.sleep(1)
            for panel, query in wanted:
                result = answers.get(query)
                failed += not result
                said = f"{len(result)} series" if result else "NO DATA"
                print(f"{said:>10}  {panel}: {query}")
            with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics") as text:
                lint = subprocess.run(["promtool", "check", "metrics"], input=text.read(), capture_output=True)
            failed += lint.returncode != 0
            print(f"promtool check metrics: {(lint.stdout + lint.stderr).decode().strip() or 'nothing to say'}")
        finally:
            for process in reversed(started):
                process.terminate()
            for process in started:
                process.wait()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
