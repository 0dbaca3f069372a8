"""
A rogue engine: it loads and answers like an engine, until it is told to break a rule.

The daemon looks for engines beside itself, so rogue_daemon() puts a copy of the daemon
into a directory with this program under the name of the mock engine.  It breaks the
rule that the last message of a request names, or, while loading, the one that the key
"x-rogue" of its backend names.
"""
import json
import os
import shutil
import signal
import socket
import sys
import time

JSON, BLOB, TEXT = 1, 2, 3


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes([*out, n])


def frame(kind, payload):
    return varint(len(payload)) + bytes([kind]) + payload


def event(type, **fields):
    return frame(JSON, json.dumps({"type": type, **fields}).encode())


def text(serial, content, kind=0):
    return frame(TEXT, varint(serial) + bytes([kind]) + content)


def done(serial, **fields):
    return event("done", serial=serial, **{"stop_reason": "end", "prompt_tokens": 1,
                                           "completion_tokens": 1, **fields})


READY = event("ready", accelerator="cpu", slots=1)


def answer(serial):
    return text(serial, b"ok") + done(serial)


# What breaks the protocol; the daemon must end this engine.
FATAL = {
    "a length without an end": lambda s: b"\xff" * 20,
    "a frame of 4 GiB": lambda s: varint(2**32 - 1) + bytes([JSON]),
    "an unknown frame type": lambda s: frame(9, b"x"),
    "a blob that nobody asked for": lambda s: frame(BLOB, b"x" * 100),
    "no JSON": lambda s: frame(JSON, b"{"),
    "a quotation": lambda s: frame(JSON, b'{"type": plover-xyzzy}'),
    "no object": lambda s: frame(JSON, b"[1]"),
    "deep JSON": lambda s: frame(JSON, b"[" * 100_000),
    "an unknown event": lambda s: event("bogus", serial=s),
    "a number that is none": lambda s: event("done", serial="one", stop_reason="end"),
    "a negative count": lambda s: done(s, completion_tokens=-5),
    "an unknown stop reason": lambda s: done(s, stop_reason="bored"),
    "an unknown error": lambda s: event("error", serial=s, code="bogus", message="x"),
    "half a character": lambda s: text(s, b"\xe2\x82"),
    "an unknown kind of text": lambda s: text(s, b"x", kind=7),
    "an empty text frame": lambda s: frame(TEXT, b""),
}

# What is odd but can be lived with: news of strangers may have crossed a cancellation.
HARMLESS = {
    "text for a stranger": lambda s: text(s + 1000, b"no") + answer(s),
    "an end for a stranger": lambda s: done(s + 1000) + answer(s),
    "two ends": lambda s: answer(s) + done(s),
    "an error behind the end":
        lambda s: answer(s) + event("error", serial=s, code="internal", message="x"),
    "text behind the end": lambda s: answer(s) + text(s, b"no"),
    "a pong out of the blue": lambda s: event("pong", progress=1, busy=True) + answer(s),
    "stats out of the blue": lambda s: event("stats", context_used=2**62) + answer(s),
    "unknown fields": lambda s: text(s, b"ok") + done(s, mood="fine"),
    "an empty piece of text": lambda s: text(s, b"") + answer(s),
}

# What ends the engine by itself.
ENDS = ("exit", "exit in the middle of a frame", "close the socket and stay", "abort")


class Rogue:
    def __init__(self):
        self.socket = socket.socket(fileno=3)
        self.stream = self.socket.makefile("rb")
        self.pause = 0

    def read(self, length):
        payload = b""
        while len(payload) < length:
            payload += self.stream.read(min(1 << 20, length - len(payload)))
            if len(payload) < length:
                time.sleep(self.pause)
        return payload

    def orders(self):
        while True:
            length, shift = 0, 0
            while True:
                byte = self.stream.read(1)
                if not byte:
                    return
                length |= (byte[0] & 0x7F) << shift
                shift += 7
                if byte[0] < 0x80:
                    break
            kind, payload = self.stream.read(1)[0], self.read(length)
            if kind == JSON:
                order = json.loads(payload)
            else:  # the text of a `generate`; its last message is what counts here
                order["command"] = payload[len(payload) - order["messages"][-1]["bytes"]:].decode()
            if kind != JSON or order["type"] != "generate":
                yield order

    def end(self, how):
        if how == "exit in the middle of a frame":
            self.socket.sendall(varint(1000) + bytes([JSON]) + b'{"type":')
        if how == "close the socket and stay":
            self.socket.shutdown(socket.SHUT_RDWR)
            time.sleep(600)
        if how == "abort":
            os.kill(os.getpid(), signal.SIGABRT)
        os._exit(0)

    def load(self, rule):
        if rule == "refuse":
            self.socket.sendall(event("error", serial=0, code="internal", message="no such luck"))
            return
        if rule in FATAL:
            self.socket.sendall(FATAL[rule](0))
        if rule in ENDS:
            self.end(rule)
        if rule == "read slowly":
            self.pause = 0.25  # after each mebibyte
        self.socket.sendall(READY)

    def generate(self, serial, rule):
        if rule in FATAL or rule in HARMLESS:
            self.socket.sendall((FATAL.get(rule) or HARMLESS[rule])(serial))
        elif rule in ENDS:
            self.end(rule)
        elif rule == "say nothing":
            pass
        else:
            self.socket.sendall(answer(serial))

    def run(self):
        for order in self.orders():
            kind, serial = order["type"], order.get("serial")
            if kind == "load":
                self.load(order["options"].get("x-rogue"))
            elif kind == "generate":
                self.generate(serial, order["command"])
            elif kind == "cancel":
                self.socket.sendall(done(serial, stop_reason="cancelled"))
            elif kind == "ping":
                self.socket.sendall(event("pong", progress=0, busy=False))
            elif kind == "drain":
                return


def rogue_daemon(directory, daemon_program):
    """A copy of the daemon whose mock engine is this file; its path."""
    shutil.copy(daemon_program, directory / "inferd-daemon")
    engine = directory / "inferd-engine-mock"
    with open(__file__) as source:
        engine.write_text(f"#!{sys.executable} -IB\n{source.read()}")
    engine.chmod(0o755)
    return directory / "inferd-daemon"


if __name__ == "__main__":
    Rogue().run()
