"""
Real daemons, on directories of their own.

    with Daemon("--active-permits", "4") as d:
        a = d.client()
        a.ask("1", "say one two")
        assert a.answer("1") == "one two"

A Daemon is one `inferd-daemon` process with a fresh runtime directory below /tmp
(the path of a socket may have 107 bytes, so TMPDIR is not asked).  Without a
configuration of its own it gets one scripted mock backend.  Leaving the `with` block
ends it as a user would and insists on a clean end; the directory goes in any case.

A Client is one connection to an NDJSON socket.  It reads frames one at a time, each
within PATIENCE, so that a test that waits for news which never comes fails soon and
says what it waited for.  Nothing here sleeps to be on the safe side: what can't be
waited for is asked for again and again by until(), with a bound.

    INFERD_BIN       where the executables are (default: build/bin of this checkout)
    TIMEOUT_FACTOR   how much slower than usual this build is, for sanitizers
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("INFERD_BIN", ROOT / "build" / "bin")).resolve()
FACTOR = float(os.environ.get("TIMEOUT_FACTOR", "1"))
PATIENCE = 10 * FACTOR

SCRIPTED = {"kind": "mock", "name": "mock", "scripted": True}
MAX_LINE = 64 * 1024 * 1024
TERMINAL = ("done", "error")


def until(condition, what, seconds=None):
    """The first true value of `condition()`, which is asked again until it has one."""
    deadline = time.monotonic() + (PATIENCE if seconds is None else seconds)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what}")
        time.sleep(0.002)


def request(id, command, **more):
    """A v1 request; the scripted mock obeys its last message."""
    return {"id": id, "messages": [{"role": "user", "content": command}], **more}


class Client:
    """One connection; frames are dicts."""

    def __init__(self, path, name="client"):
        self.name = name
        self.pending = b""
        self.socket = socket.socket(socket.AF_UNIX)
        # A socket with a Python timeout does not wait while the listener's queue is full.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO,
                               struct.pack("ll", int(PATIENCE), 0))
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(PATIENCE)

    def send(self, data):
        """Bytes as they are, text as a line, anything else as JSON on a line."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            data = data if isinstance(data, str) else json.dumps(data)
            data = data.encode() + b"\n"
        self.socket.sendall(data)

    def ask(self, id, command, **more):
        self.send(request(id, command, **more))

    def receive(self):
        """The next frame, or None at the end."""
        while b"\n" not in self.pending:
            try:
                data = self.socket.recv(1 << 20)
            except TimeoutError:
                patience = self.socket.gettimeout()
                raise AssertionError(f"{self.name} heard nothing for {patience:g} s") from None
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self.pending, f"{self.name} got half a frame: {self.pending[:200]!r}"
                return None
            self.pending += data
        line, _, self.pending = self.pending.partition(b"\n")
        return json.loads(line)

    def frames(self, id):
        """Every frame of one answer, the terminal one last."""
        got = []
        while not got or got[-1]["type"] not in TERMINAL:
            frame = self.receive()
            assert frame is not None, f"{self.name} was closed before the end of {id!r}: {got[-3:]}"
            assert frame["id"] == id, f"{self.name} got a frame of {frame['id']!r}, not {id!r}"
            got.append(frame)
        return got

    def answer(self, id):
        """The text of one answer, after seeing that it is told the same way twice."""
        *tokens, last = self.frames(id)
        assert last["type"] == "done", last
        text = "".join(t["content"] for t in tokens)
        assert not tokens or text == last["content"]
        return last["content"]

    def error(self, id):
        """The error that an answer ends with, whatever came before it."""
        last = self.frames(id)[-1]
        assert last["type"] == "error", last
        return last

    def expect_end(self):
        frame = self.receive()
        assert frame is None, f"{self.name} should have been closed but got {frame}"

    def await_status(self, status):
        """For admin connections: the next frame of that status; those before are skipped."""
        while True:
            frame = self.receive()
            assert frame is not None, f"{self.name} was closed while waiting for {status!r}"
            if frame.get("status") == status:
                return frame

    def order(self, op, **more):
        """For admin connections: the reply to an order; frames before it are skipped."""
        self.send({"op": op, **more})
        return self.reply()

    def reply(self):
        while True:
            frame = self.receive()
            assert frame is not None, f"{self.name} was closed while waiting for a reply"
            if frame["type"] == "reply":
                return frame

    def shut(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def processes(parent):
    """The living children of a process: {pid: name}."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = pathlib.Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:].rsplit(")", 1)
        state, ppid = rest.split()[:2]
        if int(ppid) == parent and state not in "ZX":
            children[int(entry)] = name
    return children


def alive(pid):
    """Does that process still run?  A zombie does not."""
    try:
        stat = pathlib.Path("/proc", str(pid), "stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


class Daemon:
    """One `inferd-daemon` process.

    args      its flags, beside --runtime-dir
    config    a configuration (a dict, or text to be taken as it is); None: one scripted
              mock backend; False: none
    within    the Daemon whose directory this one shares
    ready     wait until it says so
    program   another copy of the daemon
    """

    def __init__(self, *args, config=None, within=None, ready=True, program=BIN / "inferd-daemon",
                 **popen):
        self.clients = []
        self.process = None
        self.expected_to_end = False
        self.owns_home = within is None
        self.home = within.home if within else pathlib.Path(
            tempfile.mkdtemp(prefix="inferd-", dir="/tmp"))
        self.runtime = self.home / "run"
        self.path = self.runtime / "infer.sock"
        self.admin_path = self.runtime / "admin.sock"
        self.lock_path = self.runtime / "inferd.lock"
        self.stderr_path = self.home / f"stderr.{len(list(self.home.glob('stderr.*')))}"
        try:
            self._start([program, "--runtime-dir", self.runtime, *args], config, popen)
            if ready:
                self.await_ready(after_kill=within is not None)
        except BaseException:
            self.__exit__(AssertionError)
            raise

    def _start(self, argv, config, popen):
        if config is not False:
            argv += ["--config", self._write_config(config)]
        with open(self.stderr_path, "wb") as stderr:
            self.process = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                **{"env": self._environment(), **popen})
        self.pid = self.process.pid

    def _write_config(self, config):
        if config is None:
            config = {"backends": [SCRIPTED]}
        path = self.home / f"config.{self.stderr_path.suffix[1:]}.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        self.config_path = path
        return path

    def configure(self, config):
        """Another configuration in the place of the one it has read."""
        self._write_config(config)

    def _environment(self):
        """Ours, with a home of its own, so that nothing of this user's is read or written.
        Sanitizers write to files, so that an engine's report is not lost; deaths that
        tests order are no reports."""
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("INFERD_", "XDG_"))}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            keep[name] = ":".join(filter(None, (
                keep.get(name), f"log_path={self.home}/sanitizer", "handle_segv=0",
                "handle_abort=0", "handle_sigill=0", "handle_sigbus=0", "handle_sigfpe=0")))
        return {**keep, "HOME": str(self.home), "TMPDIR": str(self.home)}

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    # --- talking to it ---

    def client(self, name="client"):
        return self._keep(Client(self.path, name))

    def admin(self, name="admin"):
        """A subscriber, as soon as there is something to subscribe to."""
        def connect():
            assert self.process.poll() is None, self._epitaph("before its admin socket was there")
            try:
                return Client(self.admin_path, name)
            except (FileNotFoundError, ConnectionRefusedError):
                return None
        return self._keep(until(connect, f"connect to {self.admin_path}"))

    def settle(self):
        """Wait until all that clients did so far has been noticed.

        The daemon is one thread: when it answers somebody who came later, it has seen
        what was there before.  What it answers here costs it no place and no slot.
        """
        with Client(self.path, "settle") as c:
            c.send({"messages": []})
            assert c.receive()["code"] == "invalid_request"

    def _keep(self, client):
        self.clients.append(client)
        return client

    def await_ready(self, after_kill=False):
        """After a kill, the first admin socket may be the dead daemon's: its child has that until it has a program."""
        with self.admin() as admin:
            admin.socket.settimeout(3 * PATIENCE)  # a model may have to be loaded
            try:
                admin.await_status("ready")
            except AssertionError as e:
                if not (after_kill and "was closed" in str(e) and self.process.poll() is None):
                    raise AssertionError(f"{e}\n{self._epitaph('before it was ready')}") from None
                self.await_ready()

    def _epitaph(self, when):
        return f"inferd-daemon (exit status {self.process.poll()}) {when} said:\n{self.stderr()}"

    # --- its engines ---

    def engines(self):
        """The pids of its engine processes, oldest first."""
        children = processes(self.pid).items()
        return sorted(pid for pid, name in children if name.startswith("inferd-engine"))

    def engine(self):
        """The pid of its only engine process, as soon as it has one."""
        pids = until(self.engines, "an engine process")
        assert len(pids) == 1, f"one engine was expected: {processes(self.pid)}"
        return pids[0]

    def kill_engine(self, sig=signal.SIGKILL):
        pid = self.engine()
        os.kill(pid, sig)
        return pid

    # --- its end ---

    def signal(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)

    def kill(self):
        """As a power cut would."""
        self.signal(signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL, self._epitaph("before it was killed")

    def wait(self, seconds=None):
        """Its exit status: what exit() was called with, or minus the signal."""
        self.expected_to_end = True
        try:
            return self.process.wait(PATIENCE if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._epitaph("should have ended; it")) from None

    def stop(self):
        """End it as a user would.  A daemon has no excuse for not ending well."""
        if not self.expected_to_end:
            assert self.process.poll() is None, self._epitaph("ended by itself; it")
            engines = self.engines()
            self.signal()
            status = self.wait(3 * PATIENCE)
            assert status == 0, self._epitaph("at its end")
            until(lambda: not any(alive(e) for e in engines), "its engines end with it")
        for report in self.home.glob("sanitizer.*"):
            # A leak check that a SIGKILL of ours interrupts can't read a dying thread.
            text = [line for line in report.read_text().splitlines()
                    if "Unable to get registers from thread" not in line]
            assert not text, "\n".join(text)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        for client in self.clients:
            client.close()
        try:
            if not failure:
                self.stop()
        finally:
            if self.process and self.process.poll() is None:
                engines = self.engines()
                self.process.kill()
                self.process.wait()
                for pid in filter(alive, engines):
                    os.kill(pid, signal.SIGKILL)
            if self.owns_home:
                shutil.rmtree(self.home)
