"""
inferd-fetch, and a TLS file server that does to it whatever a test wants.

    def test_something(server, fetch):
        server.serve(content)                       # a well-behaved file server
        result = fetch(content, server.url())       # runs inferd-fetch to its end
        assert result.code == 0

`server.answer` is a function from a Request to a Reply and may be replaced; what it does
by default is Server.file().  A reply with `chop` ends the connection in the middle, one
with `hold` waits for that event before its body, `pace` is in bytes per second.

The certificate is made for the test run, for "localhost" and 127.0.0.1, which are two
hosts for everything that goes by names.
"""
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import pytest

from daemon import BIN, FACTOR, until  # noqa: F401

MIB = 1024 * 1024
PROGRAM = BIN / "inferd-fetch"
PATIENCE = 60 * FACTOR
CHUNK = 64 * 1024

if not PROGRAM.exists():
    pytest.skip("this build has no inferd-fetch", allow_module_level=True)


def content_of(size, seed=1):
    """Bytes that repeat nowhere, the same in every run."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def sha256(content):
    return hashlib.sha256(content).hexdigest()


Request = collections.namedtuple("Request", "n path headers span connection")


class Reply:
    def __init__(self, status, headers=(), body=b"", chop=None, pace=None, hold=None, extra=b""):
        self.status, self.headers, self.body = status, dict(headers), memoryview(body)
        self.chop, self.pace, self.hold, self.extra = chop, pace, hold, extra


class Server:
    """HTTPS on a port of 127.0.0.1."""

    def __init__(self, certificate, address="127.0.0.1"):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate)
        self.content, self.etag = b"", '"one"'
        self.answer = self.file
        self.requests = []
        self.sent = 0
        self.on_sent = lambda sent: None
        self.problems = []
        self.lock = threading.Lock()
        self.open = set()
        self.closing = threading.Event()
        self.socket = socket.create_server((address, 0), backlog=64)
        self.port = self.socket.getsockname()[1]
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def close(self):
        self.closing.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self.lock:
            for c in self.open:
                with contextlib.suppress(OSError):
                    c.shutdown(socket.SHUT_RDWR)
        for t in self.threads:
            t.join(PATIENCE)

    def url(self, path="/model.gguf", host="localhost"):
        return f"https://{host}:{self.port}{path}"

    def serve(self, content):
        self.content = content

    def paths(self):
        return [r.path for r in self.requests]

    # --- well-behaved ------------------------------------------------------------

    def file(self, request):
        content = memoryview(self.content)
        headers = {"ETag": self.etag, "Accept-Ranges": "bytes"}
        if request.span is None:
            return Reply(200, headers, content)
        first, last = request.span
        if first >= len(content):
            return Reply(416, {"Content-Range": f"bytes */{len(content)}"})
        last = min(last, len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return Reply(206, headers, content[first:last + 1])

    def whole(self, request):
        return self.file(request._replace(span=None))

    # --- the wire ----------------------------------------------------------------

    def accept(self):
        for n in range(1, 1000000):
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            t = threading.Thread(target=self.connection, args=(plain, n), daemon=True)
            with self.lock:
                self.open.add(plain)
                self.threads.append(t)
            t.start()

    def connection(self, plain, n):
        try:
            # Little lies in the kernel's buffers, so `sent` is nearly what was received.
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            with self.context.wrap_socket(plain, server_side=True) as s:
                with self.lock:
                    self.open.discard(plain)
                    self.open.add(s)
                reader = s.makefile("rb")
                while self.one(s, reader, n):
                    pass
        except OSError:
            pass  # the client has gone, or was never happy
        except Exception as e:  # a mistake of the test's
            self.problems.append(repr(e))
        finally:
            plain.close()

    def one(self, s, reader, connection):
        words = reader.readline().split()
        if len(words) != 3:
            return False
        headers = {}
        while (line := reader.readline().strip()):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        span = None
        if "range" in headers:
            first, _, last = headers["range"].removeprefix("bytes=").partition("-")
            span = (int(first), int(last))
        with self.lock:
            request = Request(len(self.requests), words[1].decode(), headers, span, connection)
            self.requests.append(request)
        reply = self.answer(request)
        return self.send(s, reply)

    def send(self, s, reply):
        headers = {"Content-Length": len(reply.body), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} X"]
        lines += [f"{k}: {v}" for k, v in headers.items() if v is not None]
        s.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        if reply.hold:
            reply.hold.wait(PATIENCE)
        body = reply.body if reply.chop is None else reply.body[:reply.chop]
        started, step = time.monotonic(), CHUNK
        if reply.pace:
            step = max(1, min(CHUNK, reply.pace // 20))
        for at in range(0, len(body), step):
            piece = body[at:at + step]
            s.sendall(piece)
            with self.lock:
                self.sent += len(piece)
                sent = self.sent
            self.on_sent(sent)
            if reply.pace:
                ahead = (at + len(piece)) / reply.pace - (time.monotonic() - started)
                if ahead > 0 and self.closing.wait(ahead):
                    return False
        if reply.extra:
            s.sendall(reply.extra)
        if reply.chop is not None or headers["Content-Length"] is None:
            s.unwrap().close()
            return False
        return True


class Result:
    def __init__(self, code, out, err):
        self.code, self.stdout, self.stderr = code, out, err
        self.events = [json.loads(line) for line in out.splitlines()]
        self.last = self.events[-1] if self.events else {}

    def phases(self):
        """Each phase once per stretch."""
        phases = [e["phase"] for e in self.events if e["type"] == "status"]
        return [p for i, p in enumerate(phases) if i == 0 or phases[i - 1] != p]

    def of(self, phase):
        return [e for e in self.events if e.get("phase") == phase]

    def failed(self, code, name, *words):
        """Assert that it ended so, with these words in the message."""
        assert (self.code, self.last.get("type"), self.last.get("code")) == (code, "error", name), \
            self.stderr
        for word in words:
            assert word in self.last["message"], self.last
        assert self.last["message"] in self.stderr
        return True


class Fetch:
    """fetch(content, url, flags…) runs the program; the digest is that of `content`."""

    def __init__(self, root, certificate):
        self.root = root
        self.store = root / "store"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(root),
                    "INFERD_CA_FILE": str(certificate)}
        for name in ("ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "LD_LIBRARY_PATH"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def command(self, content, url, *flags, name="model"):
        digest = content if isinstance(content, str) else sha256(content)
        command = [str(PROGRAM), "--store", str(self.store), "--name", name, "--sha256", digest]
        return command + (["--url", url] if url else []) + [str(f) for f in flags]

    def start(self, content, url, *flags, env=(), name="model", **more):
        return subprocess.Popen(self.command(content, url, *flags, name=name), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env={**self.env, **dict(env)}, **more)

    def finish(self, process):
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"inferd-fetch does not end: {out} {err}") from None
        print(f"--- inferd-fetch ended with {process.returncode}\n{out}{err}")
        return Result(process.returncode, out, err)

    def __call__(self, content, url=None, *flags, **more):
        return self.finish(self.start(content, url, *flags, **more))

    # --- what is in the store ------------------------------------------------------

    def blob(self, content):
        h = content if isinstance(content, str) else sha256(content)
        return self.store / "blobs" / "sha256" / h[:2] / h / "data"

    def partial(self, content):
        h = content if isinstance(content, str) else sha256(content)
        return self.store / "blobs" / "sha256" / h[:2] / f".partial-{h}" / "data.tmp"

    def manifest(self, name="model"):
        return json.loads((self.store / "manifests" / f"{name}.json").read_text())

    def quarantined(self):
        return sorted((self.store / "locks" / "quarantine").glob("*"))

    def has(self, content, name="model"):
        """It is published, whole, and nothing else of it is left."""
        assert self.blob(content).read_bytes() == content
        assert self.manifest(name)["blob"] == "sha256:" + sha256(content)
        assert self.manifest(name)["size_bytes"] == len(content)
        assert not self.partial(content).parent.exists()
        return True

    def lacks(self, content):
        """Nothing is published under the digest."""
        assert not self.blob(content).exists()
        assert not list((self.store / "manifests").glob("*"))
        return True


def make_certificate(folder, *names):
    path = pathlib.Path(folder) / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", f"{path}.key", "-out", path,
         "-addext", "subjectAltName=" + ",".join(names)],
        check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(f"{path}.key", "rb") as key, open(path, "ab") as out:
        out.write(key.read())
    return path


@pytest.fixture(scope="session")
def certificate():
    folder = tempfile.mkdtemp(prefix="inferd-")
    yield make_certificate(folder, "DNS:localhost", "IP:127.0.0.1", "IP:192.0.2.1")
    shutil.rmtree(folder)


@pytest.fixture
def servers(certificate):
    """servers() makes one more."""
    made = []

    def make(*args, **more):
        made.append(Server(certificate, *args, **more))
        return made[-1]

    yield make
    for s in made:
        s.close()
    assert not [p for s in made for p in s.problems]


@pytest.fixture
def server(servers):
    return servers()


@pytest.fixture
def fetch(certificate):
    root = pathlib.Path(tempfile.mkdtemp(prefix="inferd-"))
    yield Fetch(root, certificate)
    shutil.rmtree(root)
