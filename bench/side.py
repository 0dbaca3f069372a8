"""
side.py - what the benchmarks that put programs side by side have in common.

Servers are started on Unix sockets, asked by inferd-load in turns, and ended; figures
are shown as the median of all rounds, with the lowest and the highest.
"""
import json
import math
import os
import pathlib
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATIENCE = 120


class Server:
    """One program and its children, ended when the `with` block is left."""

    def __init__(self, name, protocol, socket, command, **popen):
        self.name, self.protocol, self.socket, self.command = name, protocol, socket, command
        self.popen = popen

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, **self.popen)
        try:
            self.await_answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def await_answer(self):
        deadline = time.monotonic() + PATIENCE
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                sys.exit(f"{self.name} does not start:\n"
                         + self.log.read().decode(errors="replace")[-4000:])
            time.sleep(0.01)

    def answers(self):
        """Is it ready?"""
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.socket)
            except OSError:
                return False
        return True

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def pids(self):
        pid = self.process.pid
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def cpu_ns(self):
        """The processor time that its processes have had, by /proc/PID/schedstat."""
        return sum(int(pathlib.Path(f"/proc/{p}/schedstat").read_text().split()[0])
                   for p in self.pids())

    def resident_mib(self):
        """What its processes hold in memory, what they share counted once."""
        kib = 0
        for pid in self.pids():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kib += int(line.split()[1])
        return kib / 1024


def load(server, bin, **options):
    """inferd-load's command for this server: load(s, bin, connections=4, max_tokens=64)."""
    command = [f"{bin}/inferd-load", "--json", "--socket", server.socket, "--protocol", server.protocol]
    if server.protocol == "openai":
        command.append("--reconnect")  # llama-server closes after each answer
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def ask(server, bin, **options):
    """Its figures; ends everything if a request was lost or refused."""
    run = subprocess.run(load(server, bin, **options), stdout=subprocess.PIPE, text=True)
    return figures_of(server, run.returncode, run.stdout)


def figures_of(server, code, said):
    figures = json.loads(said or "{}")
    if code or figures["refused"] or not figures["answered"]:
        sys.exit(f"{server.name} did not answer all: {figures}")
    return figures


def say(what):
    print(f"\r{what}".ljust(60), end="", file=sys.stderr, flush=True)


def spread(values, digits):
    """Median, lowest and highest; a dash for what was not measured on that side."""
    if any(map(math.isnan, values)):
        return "-"
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:,.{digits}f} ({low:,.{digits}f}-{high:,.{digits}f})"


def print_table(rows):
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    for row in rows:
        print("  ".join([row[0].ljust(widths[0])]
                        + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]))


def machine():
    model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo")
             if line.startswith("model name")]
    return {"processors": os.cpu_count(), "model": model[0] if model else platform.machine(),
            "kernel": platform.release()}


def keep(out, name, everything):
    """Write the raw figures; where to."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / name
    path.write_text(json.dumps({"machine": machine(), **everything}, indent=1) + "\n")
    return path
