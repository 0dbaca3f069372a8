"""
The daemon's end of the engine protocol (docs/engine-protocol.md), for tests that talk
to an engine without a daemon.

    with Engine("inferd-engine-mock") as e:
        e.load({"scripted": True})
        e.generate(1, "say one two")
        assert e.answer(1) == ("one two", ...)

An event is a dict as it was sent, or for text {"type": "text", "serial":…, "kind":…,
"text":…}.  Reading waits at most PATIENCE; leaving the `with` block ends the engine by
hanging up, as a daemon's death would, and insists on exit code 0 unless the test has
waited for another end itself.
"""
import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile

from daemon import BIN, PATIENCE

JSON, BLOB, TEXT = 1, 2, 3
ANSWER, THINKING = 0, 1
PROTOCOL_FD, MODEL_FD = 3, 4
SETTINGS = {"GGML_NO_BACKTRACE": "1", "GOMP_SPINCOUNT": "1000"}  # the daemon's, for libraries


def uvarint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_uvarint(data, at=0):
    """(value, where it ended), or None if it is cut short."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    return None


def frame(type, payload):
    return uvarint(len(payload)) + bytes([type]) + payload


def order(type, **members):
    return frame(JSON, json.dumps({"type": type, **members}).encode())


def generate(serial, messages, **more):
    """The two frames of a request; messages are (role, content)."""
    texts = [content.encode() for _, content in messages]
    return order("generate", **{
        "serial": serial, "temperature": 1, "top_p": 0.95, "top_k": 64, "max_tokens": 1000,
        "uid": os.getuid(), "program": 1,
        "messages": [{"role": role, "bytes": len(text)}
                     for (role, _), text in zip(messages, texts)],
        **more}) + frame(BLOB, b"".join(texts))


def decode(type, payload):
    if type == TEXT:
        serial, at = read_uvarint(payload)
        return {"type": "text", "serial": serial, "kind": payload[at],
                "text": payload[at + 1:].decode()}
    assert type == JSON, f"an engine sent a frame of type {type}"
    return json.loads(payload)


class Engine:
    """One engine process.  `model` is the path of its model file, if it shall have one."""

    def __init__(self, program, model=None, model_offset=0):
        self.pending = b""
        self.usage = None  # the last "stats"
        self.waited = False
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(PATIENCE)
        self.stderr_file = tempfile.TemporaryFile()
        model_fd = os.open(model, os.O_RDONLY) if model else None
        if model:
            os.lseek(model_fd, model_offset, os.SEEK_SET)

        # Above 4, so that putting one in place can't overwrite the other.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
                for fd in (theirs.fileno(), model_fd) if fd is not None]

        def put_in_place():
            for target, fd in zip((PROTOCOL_FD, MODEL_FD), high):
                os.dup2(fd, target)

        self.process = subprocess.Popen(
            [str(BIN / program)], stdin=subprocess.DEVNULL, stdout=self.stderr_file,
            stderr=self.stderr_file, close_fds=False, preexec_fn=put_in_place,
            env={**os.environ, **SETTINGS})
        theirs.close()
        for fd in high + ([model_fd] if model else []):
            os.close(fd)

    # --- orders ---

    def send(self, data):
        self.socket.sendall(data)

    def order(self, type, **members):
        self.send(order(type, **members))

    def load(self, options=None, slots=4, **more):
        """Load, and the phases and the ready (or error) that came of it."""
        self.order("load", protocol=1, name="test", slots=slots, options=options or {}, **more)
        events = [self.event()]
        while events[-1]["type"] not in ("ready", "error"):
            events.append(self.event())
        return events

    def generate(self, serial, command, **more):
        self.send(generate(serial, [("user", command)], **more))

    # --- events ---

    def event(self):
        """The next event that is no "stats"; None when the engine has hung up."""
        while True:
            got = self._cut()
            event = decode(*got) if got else None
            if event and event["type"] == "stats":
                self.usage = event
                continue
            if event:
                return event
            try:
                data = self.socket.recv(1 << 20)
            except TimeoutError:
                raise AssertionError(f"the engine said nothing for {PATIENCE:g} s") from None
            except ConnectionResetError:
                data = b""
            if not data:
                assert not self.pending, "the engine went in the middle of a frame"
                return None
            self.pending += data

    def _cut(self):
        head = read_uvarint(self.pending)
        if not head:
            return None
        length, at = head
        if len(self.pending) < at + 1 + length:
            return None
        type, payload = self.pending[at], self.pending[at + 1:at + 1 + length]
        self.pending = self.pending[at + 1 + length:]
        return type, payload

    def pieces(self, serial):
        """The texts of one answer, and the event it ended with."""
        texts = []
        while True:
            event = self.event()
            assert event, f"the engine went before the end of {serial}"
            assert event["serial"] == serial, event
            if event["type"] != "text":
                return texts, event
            texts.append(event["text"])

    def ping(self):
        """The pong, and all that came before it."""
        self.order("ping")
        before = []
        while True:
            event = self.event()
            assert event, "the engine went instead of answering"
            if event["type"] == "pong":
                return event, before
            before.append(event)

    # --- the end ---

    def stderr(self):
        self.stderr_file.seek(0)
        return self.stderr_file.read().decode(errors="replace")

    def wait(self):
        """Its exit code, or minus the signal that killed it."""
        self.waited = True
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the engine did not end; it said: {self.stderr()}") from None

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        self.socket.close()
        try:
            if not failure and not self.waited:
                status = self.wait()
                assert status == 0, f"exit code {status}; it said: {self.stderr()}"
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.stderr_file.close()
