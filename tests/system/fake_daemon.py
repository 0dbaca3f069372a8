"""
A daemon of a few lines, for tests of what is on the other end of the socket.

    def conversation(c):
        request = c.request()
        c.tokens(request, "one ", "two")
        c.done(request, "one two")

    with FakeDaemon(path, conversation) as d:
        ...

Each connection gets a thread that runs `conversation` and then closes.  It may misbehave
as no real daemon would: chop its frames, break off, talk nonsense.  What goes wrong in a
conversation (a failed assertion, a client that says nothing for too long) fails the test
when the `with` block ends.
"""
import json
import os
import socket
import threading

from daemon import PATIENCE


class Connection:
    def __init__(self, socket):
        self.socket = socket
        self.socket.settimeout(PATIENCE)
        self.pending = bytearray()
        self.chop = None

    def line(self):
        """The next line, or None at the end."""
        end = self.pending.find(b"\n")
        while end < 0:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            end = data.find(b"\n")
            end = end if end < 0 else end + len(self.pending)
            self.pending += data
        line = bytes(self.pending[:end])
        del self.pending[:end + 1]
        return line

    def request(self):
        line = self.line()
        return None if line is None else json.loads(line)

    def raw(self, data):
        """Bytes as they are; in pieces of `chop` bytes, if that is set."""
        step = self.chop or len(data)
        for at in range(0, len(data), step):
            self.socket.sendall(data[at:at + step])

    def frame(self, **fields):
        self.raw(json.dumps(fields, ensure_ascii=False).encode() + b"\n")

    def tokens(self, request, *pieces):
        for piece in pieces:
            self.frame(type="token", id=request["id"], content=piece)

    def done(self, request, content, **more):
        self.frame(**{"type": "done", "id": request["id"], "content": content,
                      "usage": {"prompt_tokens": 5, "completion_tokens": 2},
                      "stop_reason": "end", "backend": "mock", **more})

    def error(self, id, code, message, **more):
        self.frame(type="error", id=id, code=code, message=message, **more)

    def wait_for_hangup(self):
        """Until the client is gone; anything else it does is a mistake."""
        assert self.line() is None, "the client said something instead of hanging up"


class FakeDaemon:
    def __init__(self, path, conversation):
        self.path = os.fspath(path)
        self.conversation = conversation
        self.threads = []
        self.problems = []
        self.accepted = 0
        self.listener = socket.socket(socket.AF_UNIX)
        # Never half there: bound beside its place, then moved into it.
        self.listener.bind(self.path + "~")
        self.listener.listen(16)
        os.rename(self.path + "~", self.path)
        self._start(self._accept)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._start(self._talk, peer)

    def _talk(self, peer):
        try:
            with peer:
                self.conversation(Connection(peer))
        except BrokenPipeError:
            pass
        except BaseException as e:
            self.problems.append(e)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        os.unlink(self.path)
        for thread in list(self.threads):
            thread.join(PATIENCE + 1)
            assert not thread.is_alive(), "a conversation did not end"
        if kind is None and self.problems:
            raise self.problems[0]
