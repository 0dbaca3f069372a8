"""
Peers that stand still, come in crowds or hold too much: what they cost is bounded, in time
and in memory.
"""
import os
import pathlib
import resource
import socket
import subprocess
import time

import pytest

from daemon import BIN, FACTOR, MAX_LINE, PATIENCE, Client, request, until

MIB = 1024 * 1024


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")


# --- reading nothing ------------------------------------------------------------------

def test_who_takes_no_byte_of_its_answer_is_closed_and_its_slot_is_free(start):
    d = start("--write-timeout-secs", "1", "--active-permits", "1")
    lazy = d.client("lazy")
    lazy.ask("1", "babble 100000 200")
    with d.client("next") as c:  # waits for the only slot
        c.ask("2", "say hi")
        assert c.answer("2") == "hi"
    assert "did not accept a response frame within 1 s" in d.stderr()


def test_who_reads_slowly_is_not_closed(start):
    d = start("--write-timeout-secs", "1")
    slow = d.client("slow")
    slow.ask("1", "babble 20000 100")
    until_then = time.monotonic() + 2.5
    while time.monotonic() < until_then:  # a byte now and then is progress
        slow.pending += slow.socket.recv(65536)
        time.sleep(0.1)
    while b'"type":"done"' not in slow.pending or not slow.pending.endswith(b"\n"):
        slow.pending += slow.socket.recv(1 << 20)  # looked at only now: that takes a while
    assert len(slow.answer("1")) == 20000 * 100


# --- sending half ------------------------------------------------------------------------

def test_half_a_request_is_not_waited_for(start):
    d = start("--read-timeout-secs", "1")
    idle, half = d.client("idle"), d.client("half")
    half.send(b'{"id":"1","messages":')
    frame = half.receive()
    assert frame["code"] == "invalid_request" and "within 1 s" in frame["message"]
    half.expect_end()
    idle.ask("1", "say hi")  # who sent nothing may wait for as long as it likes
    assert idle.answer("1") == "hi"


def test_trickling_does_not_help(start):
    d = start("--read-timeout-secs", "1")
    c = d.client()
    c.send(b'{"id":"')
    c.socket.settimeout(0.05)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            c.send(b"x")
            assert b"invalid_request" in c.socket.recv(4096)
            return
        except TimeoutError:
            pass
    raise AssertionError("half a request was waited for")


def test_a_long_answer_is_no_half_request(start):
    d = start("--read-timeout-secs", "1", config={"backends": [
        {"kind": "mock", "name": "m", "tokens": ["a"] * 15, "token_delay_ms": 100}]})
    with d.client() as c:
        c.ask("1", "")
        assert c.answer("1") == "a" * 15


def test_unfinished_requests_of_one_caller_hold_only_so_much(start):
    d = start()
    before = resident(d.pid)
    clients = [d.client(str(i)) for i in range(5)]
    part = b'{"id":"1","messages":[{"role":"user","content":"' + b"x" * (60 * MIB)
    refused = None
    for c in clients:
        c.socket.settimeout(6 * PATIENCE)
        try:
            c.send(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        d.settle()
        refused = c
    frame = refused.receive()
    assert frame["code"] == "queue_full" and str(256 * MIB) in frame["message"]
    assert resident(d.pid) - before < (256 + 40) * MIB * FACTOR
    clients[0].close()  # what it held is free for others
    d.settle()
    last = d.client("last")
    last.send(b'{"id":"1","messages":[{"role":"user","content":"say hi"}]' + b" " * MIB + b"}\n")
    assert last.answer("1") == "hi"


# --- crowds ---------------------------------------------------------------------------

CROWD = 10000


def test_ten_thousand_idle_connections(start):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < CROWD + 500:
        pytest.skip(f"at most {hard} descriptors may be open here")
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = []
    try:
        d = start("--connections-per-caller", "20000")
        d.settle()
        before = resident(d.pid)
        for _ in range(CROWD):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(d.path))
            crowd.append(s)
        # Half of them have asked something before.
        for s in crowd[::2]:
            s.sendall(b'{"id":"1","messages":[]}\n')
        for s in crowd[::2]:
            assert b"invalid_request" in s.recv(4096)
        d.settle()
        grown = resident(d.pid) - before
        began = time.monotonic()
        with d.client() as c:
            c.ask("1", "say hi")
            assert c.answer("1") == "hi"
        took = time.monotonic() - began
        print(f"{grown / CROWD:.0f} bytes a connection, an answer in {took * 1000:.1f} ms")
        assert grown < 40 * MIB * FACTOR
        assert took < 0.5 * FACTOR
    finally:
        for s in crowd:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_descriptors_it_waits_instead_of_spinning(start):
    few = 64
    d = start(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few)))
    first = d.client("first")
    crowd = [d.client(str(i)) for i in range(2 * few)]

    def processor_time():
        fields = pathlib.Path(f"/proc/{d.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = processor_time()
    first.ask("1", "say hi")  # those who are in are served
    assert first.answer("1") == "hi"
    first.socket.settimeout(1)
    with pytest.raises(AssertionError):
        first.receive()  # a second goes by
    assert processor_time() - before < 0.3 * FACTOR
    for c in crowd[:-1]:
        c.close()
    crowd[-1].ask("2", "say hi")  # and who waited gets in
    assert crowd[-1].answer("2") == "hi"


def test_memory_does_not_grow_with_requests(start):
    load = BIN / "inferd-load"
    if not load.exists():
        pytest.skip("this build has no inferd-load")
    if FACTOR > 1:
        pytest.skip("sanitizers keep what was freed")
    # Without the log: its lines may wait for a slow disk in memory, which is bounded by itself.
    d = start("--active-permits", "16", "--queue-depth", "100", "--log-level", "off",
              config={"backends": [{"kind": "mock", "name": "m"}]})

    def ask(n):
        subprocess.run([load, "--socket", d.path, "--connections", "16", "--requests", str(n)],
                       check=True, stdout=subprocess.DEVNULL, timeout=120 * FACTOR)

    ask(10000)
    before = resident(d.pid)
    ask(90000)
    assert resident(d.pid) - before < MIB * FACTOR
