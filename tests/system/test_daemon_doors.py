"""
Who gets in, and by which door: lists of users and groups, TCP with its key, sockets that
systemd made, and what systemd is told.
"""
import json
import os
import signal
import socket
import stat
import sys

import pytest

from daemon import BIN, PATIENCE, SCRIPTED, Client, Daemon, alive, until
from strangers import STRANGER, ask_as, needs_root

KEY = "sesame-0123456789"

# --- lists --------------------------------------------------------------------------

@needs_root
@pytest.mark.parametrize("args, served", [
    ([], True),
    (["--allow-uid", f"7,{STRANGER}"], True),
    (["--allow-gid", "77"], True),
    (["--allow-gid", "88"], True),
    (["--allow-uid", "7"], False),
    (["--allow-gid", "7"], False),
])
def test_users_and_groups_that_are_listed_are_served_and_no_others(start, args, served):
    d = start(*args)
    frame = ask_as(d, STRANGER, 77, [88])
    if served:
        assert frame["type"] == "done" and frame["content"] == "hi"
    else:
        assert frame["type"] == "error" and frame["code"] == "invalid_request"
        assert str(STRANGER) in frame["message"]
        log = d.home / ".inferd" / "logs" / "inferd.ndjson"
        until(lambda: log.exists() and '"not_allowed"' in log.read_text(),
              "the refusal is in the log")


@needs_root
def test_the_daemons_own_user_is_always_served(start):
    d = start("--allow-uid", "7")
    with d.client() as c:
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"


def test_the_runtime_directory_is_as_narrow_as_it_can_be(start):
    mode = lambda d: stat.S_IMODE(d.runtime.stat().st_mode)
    assert mode(start()) == 0o700
    assert mode(start("--allow-uid", "7")) == 0o710


# --- TCP ------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class TcpClient(Client):
    def __init__(self, port):
        self.name, self.pending = "tcp", b""
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)


@pytest.fixture
def tcp(start, tmp):
    port = free_port()
    d = start("--tcp", f"127.0.0.1:{port}", "--read-timeout-secs", "1",
              env={**os.environ, "INFERD_API_KEY": KEY, "HOME": str(tmp),
                   "INFERD_LOG_DIR": str(tmp)})
    return d, lambda: d._keep(TcpClient(port))


def auth(key):
    return json.dumps({"type": "auth", "key": key})


def test_who_owes_the_key_keeps_nobody_out(start, tmp):
    port = free_port()
    d = start("--tcp", f"127.0.0.1:{port}", "--connections-per-caller", "3",
              env={**os.environ, "INFERD_API_KEY": KEY, "HOME": str(tmp),
                   "INFERD_LOG_DIR": str(tmp)})
    silent = [d._keep(TcpClient(port)) for _ in range(3)]
    d.settle()
    for i in range(3):
        c = d._keep(TcpClient(port))
        c.send(auth(KEY))
        c.ask("1", f"say c{i}")
        assert c.answer("1") == f"c{i}"
        silent[i].expect_end()
    late = d._keep(TcpClient(port))  # those who said it stay
    late.expect_end()
    c.ask("2", "say hi")
    assert c.answer("2") == "hi"


def test_the_key_comes_first_and_is_not_answered(tcp):
    _, connect = tcp
    c = connect()
    c.send(auth(KEY) + "\n" + json.dumps({"id": "1", "messages": [
        {"role": "user", "content": "say one"}]}))
    assert c.answer("1") == "one"
    c.ask("2", "say two")
    assert c.answer("2") == "two"


@pytest.mark.parametrize("line", [
    auth(KEY[:-1]), auth(KEY + "x"), auth(KEY * 2), auth(""), auth("x" + KEY[1:]),
    json.dumps({"type": "auth"}), json.dumps({"type": "auth", "key": 5}),
    json.dumps({"type": "Auth", "key": KEY}), json.dumps([KEY]), KEY, "{", "\x00",
    json.dumps({"id": "1", "messages": [{"role": "user", "content": "say hi"}]}),
    "x" * 20000,
], ids=lambda line: line[:24])
def test_whoever_does_not_know_the_key_is_told_nothing(tcp, line):
    _, connect = tcp
    c = connect()
    try:
        c.send(line)
    except (BrokenPipeError, ConnectionResetError):
        pass
    c.expect_end()


def test_nor_is_who_says_nothing(tcp):
    _, connect = tcp
    silent, ends = connect(), connect()
    ends.shut()
    ends.expect_end()
    silent.expect_end()


def test_with_a_key_unix_sockets_still_ask_for_none(tcp):
    d, _ = tcp
    with d.client() as c:
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"


def test_tcp_after_a_half_close_is_answered(tcp):
    _, connect = tcp
    c = connect()
    c.send(auth(KEY))
    c.ask("1", "say hi")
    c.shut()
    assert c.answer("1") == "hi"
    c.expect_end()


def test_without_a_key_only_if_asked_for(start):
    port = free_port()
    d = start("--tcp", f"127.0.0.1:{port}", "--tcp-without-key")
    assert "TCP without a key" in d.stderr()
    c = d._keep(TcpClient(port))
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


@pytest.mark.parametrize("args, why", [
    (["--tcp", "127.0.0.1:1234"], "needs a key"),
    (["--tcp", "0.0.0.0:1234", "--tcp-without-key"], "other machines"),
    (["--tcp", "[::]:1234", "--tcp-without-key"], "other machines"),
    (["--tcp", "192.0.2.1:1234", "--tcp-without-key"], "other machines"),
    (["--tcp", "localhost", "--tcp-without-key"], "not an address"),
    (["--tcp", "127.0.0.1:0", "--tcp-without-key"], "not an address"),
    (["--tcp", "127.0.0.1:70000", "--tcp-without-key"], "not an address"),
])
def test_addresses_that_are_refused(start, args, why):
    d = start(*args, ready=False)
    assert d.wait() == 1
    assert why in d.stderr()


# --- systemd ---------------------------------------------------------------------------

class Systemd:
    """Its end of the notification socket."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(PATIENCE)

    def hear(self, what):
        while True:
            told = self.socket.recv(4096).decode()
            if what in told:
                return told


@pytest.fixture
def systemd(tmp_path):
    s = Systemd(tmp_path / "n")
    yield s
    s.socket.close()


def with_systemd(systemd, **more):
    return {**{k: v for k, v in os.environ.items() if not k.startswith(("INFERD_", "XDG_"))},
            "HOME": os.path.dirname(systemd.path), "NOTIFY_SOCKET": systemd.path, **more}


def test_systemd_hears_how_it_goes(start, systemd):
    d = start(config={"backends": [{**SCRIPTED, "load_delay_ms": 300}]},
              env=with_systemd(systemd))
    systemd.hear("STATUS=starting")
    assert "EXTEND_TIMEOUT_USEC=40000000" in systemd.hear("STATUS=loading")
    systemd.hear("READY=1")
    with d.client() as c:  # the sockets are there when it says so
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"
    d.signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in systemd.hear("RELOADING=1")
    systemd.hear("READY=1")
    d.signal()
    systemd.hear("STOPPING=1")
    assert d.wait() == 0


def test_the_watchdog_is_fed_while_engines_are_well(start, systemd):
    d = start(env=with_systemd(systemd, WATCHDOG_USEC="200000"))
    systemd.hear("READY=1")
    for _ in range(3):
        systemd.hear("WATCHDOG=1")
    killed = d.kill_engine()
    until(lambda: not alive(killed), "the engine's end")
    d.kill_engine()  # and while it comes back
    for _ in range(3):
        systemd.hear("WATCHDOG=1")


def test_a_watchdog_of_another_process_is_not_fed(start, systemd):
    start(env=with_systemd(systemd, WATCHDOG_USEC="50000", WATCHDOG_PID="1"))
    systemd.hear("READY=1")
    systemd.socket.settimeout(0.3)
    with pytest.raises(TimeoutError):
        systemd.hear("WATCHDOG=1")


# Hands over a listening socket as systemd does.
LAUNCHER = """
import os, sys
fd, name, program = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if fd != 3:
    os.dup2(fd, 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=name)
os.execv(program, sys.argv[3:])
"""


class Activated(Daemon):
    """A daemon whose generation socket was there before it."""

    def __init__(self, name, *args, path="infer.sock", **more):
        self.handed, self.fd_name, self.at = socket.socket(socket.AF_UNIX), name, path
        super().__init__(*args, **more)

    def _start(self, argv, config, popen):
        self.runtime.mkdir(mode=0o700)
        self.handed.bind(str(self.runtime / self.at))
        self.handed.listen()
        launch = [sys.executable, "-c", LAUNCHER, self.handed.fileno(), self.fd_name]
        super()._start(launch + argv, config, {**popen, "pass_fds": [self.handed.fileno()]})

    def __exit__(self, *failure):
        self.handed.close()
        super().__exit__(*failure)


@pytest.mark.parametrize("name", ["generate", "whatever"])
def test_a_socket_of_systemd_is_served_and_left_alone(name):
    with Activated(name, config={"backends": [{**SCRIPTED, "load_delay_ms": 300}]},
                   ready=False) as d:
        with d.client() as early:  # waits in the socket until there is an engine
            early.ask("1", "say hi")
            assert early.answer("1") == "hi"
        d.stop()
        assert d.path.exists()


def test_a_socket_that_is_for_nothing_is_said_to_be(start):
    with Activated("nonsense", path="other.sock") as d:
        until(lambda: "'nonsense' is for nothing" in d.stderr(), "a word about it")
        with d.client() as c:
            c.ask("1", "say hi")
            assert c.answer("1") == "hi"


# --- itself ----------------------------------------------------------------------------

@needs_root
def test_others_of_its_user_can_not_read_its_memory(start):
    d = start()
    assert os.stat(f"/proc/{d.pid}/mem").st_uid == 0
    with open(f"/proc/{d.pid}/limits") as f:
        line = next(l for l in f if l.startswith("Max open files"))
    soft, hard = line.split()[3:5]
    assert soft == hard
