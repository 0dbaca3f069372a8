"""What libinferd promises (include/inferd/client.h), through its shared library."""
import ctypes as C
import json
import re
import threading

import pytest

from daemon import BIN, PATIENCE, ROOT
from fake_daemon import FakeDaemon

LIBRARY = BIN.parent / "lib" / "libinferd.so"
pytestmark = pytest.mark.skipif(
    any(s in LIBRARY.read_bytes() for s in (b"__asan_init", b"__tsan_init")),
    reason="a program without the sanitizer can't load a library with it")

(OK, REFUSED, CANCELLED, UNREACHABLE, UNTRUSTED, LOST, PROTOCOL, INVALID, FAILED) = range(9)
SYSTEM, USER, ASSISTANT = range(3)

PIECE = C.CFUNCTYPE(C.c_int, C.c_void_p, C.POINTER(C.c_char), C.c_size_t)


class Error(C.Structure):
    _fields_ = [("status", C.c_int), ("code", C.c_char * 32), ("message", C.c_char * 512),
                ("queue_depth", C.c_uint64), ("retry_after_ms", C.c_uint64)]


class Message(C.Structure):
    _fields_ = [("role", C.c_int), ("content", C.c_char_p)]


class Request(C.Structure):
    _fields_ = [("id", C.c_char_p), ("messages", C.POINTER(Message)), ("n_messages", C.c_size_t),
                ("temperature", C.c_double), ("top_p", C.c_double), ("top_k", C.c_int64),
                ("max_tokens", C.c_int64), ("seed", C.c_int64), ("grammar", C.c_char_p),
                ("min_p", C.c_double), ("repeat_penalty", C.c_double),
                ("presence_penalty", C.c_double), ("frequency_penalty", C.c_double),
                ("stop", C.POINTER(C.c_char_p)), ("n_stop", C.c_size_t),
                ("logit_bias", C.c_void_p), ("n_logit_bias", C.c_size_t),
                ("priority", C.c_int),
                ("on_text", PIECE), ("on_frame", PIECE), ("context", C.c_void_p)]


class Result(C.Structure):
    _fields_ = [("text", C.c_void_p), ("text_len", C.c_size_t), ("stop_reason", C.c_char * 16),
                ("backend", C.c_char * 64), ("prompt_tokens", C.c_uint64),
                ("completion_tokens", C.c_uint64), ("cached_tokens", C.c_uint64),
                ("queue_ms", C.c_double), ("prompt_ms", C.c_double),
                ("first_token_ms", C.c_double), ("generate_ms", C.c_double),
                ("tokens_per_second", C.c_double)]


@pytest.fixture(scope="module")
def lib():
    library = C.CDLL(str(LIBRARY))
    library.inferd_version.restype = C.c_char_p
    library.inferd_connect.argtypes = [C.c_char_p, C.c_int, C.POINTER(C.c_void_p), C.POINTER(Error)]
    library.inferd_close.argtypes = library.inferd_abort.argtypes = [C.c_void_p]
    library.inferd_generate.argtypes = [C.c_void_p, C.POINTER(Request), C.POINTER(Result),
                                        C.POINTER(Error)]
    library.inferd_result_done.argtypes = [C.POINTER(Result)]
    library.inferd_watch.argtypes = [C.c_char_p, C.c_int, PIECE, C.c_void_p, C.POINTER(Error)]
    return library


class Client:
    """One connection.  `pieces` and `frames` are what the callbacks got last."""

    def __init__(self, lib, path, wait_ms=0):
        self.lib = lib
        self.handle = C.c_void_p()
        self.error = Error()
        self.status = lib.inferd_connect(str(path).encode(), wait_ms, C.byref(self.handle),
                                         C.byref(self.error))

    def ask(self, content="hi", callbacks=True, on_text=None, **fields):
        self.pieces, self.frames, self.error, self.result = [], [], Error(), Result()
        raised = []

        def collect(into, more):
            def callback(_, at, n):
                try:
                    into.append(at[:n])
                    return int(more(at[:n]) or 0) if more else 0
                except BaseException as e:
                    raised.append(e)
                    return 1
            return PIECE(callback)

        content = content if isinstance(content, bytes) else content.encode()
        message = Message(USER, content)
        request = Request(temperature=-1, top_p=-1, top_k=-1, max_tokens=-1, seed=-1,
                          messages=C.pointer(message), n_messages=1)
        if callbacks:
            request.on_text = collect(self.pieces, on_text)
            request.on_frame = collect(self.frames, None)
        for name, value in fields.items():
            setattr(request, name, value)
        self.status = self.lib.inferd_generate(self.handle, C.byref(request),
                                               C.byref(self.result), C.byref(self.error))
        if raised:
            raise raised[0]
        self.text = None
        if self.status == OK:
            self.text = C.string_at(self.result.text, self.result.text_len).decode()
            self.said = Result.from_buffer_copy(self.result)
            self.lib.inferd_result_done(C.byref(self.result))
            assert self.result.text is None
        return self.status

    def abort(self):
        self.lib.inferd_abort(self.handle)

    def close(self):
        self.lib.inferd_close(self.handle)


@pytest.fixture
def connect(lib):
    """connect(path, wait_ms): a Client that is closed with the test."""
    clients = []

    def make(path, wait_ms=0):
        clients.append(Client(lib, path, wait_ms))
        return clients[-1]

    yield make
    for c in clients:
        c.close()


def answer_all(c):
    while (request := c.request()) is not None:
        c.tokens(request, "one ", "two")
        c.done(request, "one two")


def test_the_version_is_the_projects(lib):
    version = re.search(r"VERSION (\d+\.\d+\.\d+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert lib.inferd_version().decode() == version


def test_an_answer_arrives_piece_by_piece_and_whole(tmp, connect):
    def conversation(c):
        request = c.request()
        c.tokens(request, "schön ", "🙂")
        c.done(request, "schön 🙂")

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask() == OK
        assert [p.decode() for p in client.pieces] == ["schön ", "🙂"]
        assert client.text == "schön 🙂"
        assert [json.loads(f)["type"] for f in client.frames] == ["token", "token", "done"]


def test_the_result_holds_what_done_said(tmp, connect):
    def conversation(c):
        c.done(c.request(), "x", usage={"prompt_tokens": 11, "completion_tokens": 3, "cached_tokens": 7},
               timings={"queue_ms": 1.5, "prompt_ms": 2, "first_token_ms": 3.25,
                        "generate_ms": 4, "tokens_per_second": 50.5}, stop_reason="length")

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask() == OK
        assert {name: getattr(client.said, name) for name, _ in Result._fields_[1:]} == {
            "text_len": 1, "stop_reason": b"length", "backend": b"mock", "prompt_tokens": 11,
            "completion_tokens": 3, "cached_tokens": 7, "queue_ms": 1.5, "prompt_ms": 2,
            "first_token_ms": 3.25, "generate_ms": 4, "tokens_per_second": 50.5}


def test_numbers_that_only_inform_may_be_missing(tmp, connect):
    """Other releases of the daemon send no timings, and may say less."""
    def conversation(c):
        c.frame(type="done", id=c.request()["id"], content="x", usage="none", backend=None)

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert (client.ask(), client.text) == (OK, "x")
        assert (client.said.prompt_tokens, client.said.queue_ms, client.said.backend) == (0, 0, b"")


@pytest.mark.parametrize("chop", [1, 7])
def test_it_does_not_matter_how_frames_are_chopped(tmp, connect, chop):
    def conversation(c):
        c.chop = chop
        answer_all(c)

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        for _ in range(2):
            assert client.ask("ä") == OK
            assert (client.pieces, client.text) == ([b"one ", b"two"], "one two")
        client.close()
        client.handle = None


def test_an_answer_larger_than_any_buffer_arrives(tmp, connect):
    text = "0123456789abcdef" * (1 << 20)  # 16 MiB, the longest answer of the daemon

    def conversation(c):
        c.done(c.request(), text)

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(callbacks=False) == OK
        assert client.text == text


def test_only_what_is_set_is_sent(tmp, connect):
    seen = []

    def conversation(c):
        for _ in range(2):
            seen.append(c.request())
            c.done(seen[-1], "")

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        client.ask("hi", callbacks=False)
        client.ask("hi", id=b"a", temperature=0.0, top_p=0.5, top_k=0, max_tokens=9, seed=0,
                   grammar=b'root ::= "x"')
    messages = [{"role": "user", "content": "hi"}]
    assert seen == [
        {"id": "", "stream": False, "messages": messages},
        {"id": "a", "temperature": 0.0, "top_p": 0.5, "top_k": 0, "max_tokens": 9, "seed": 0,
         "grammar": 'root ::= "x"', "messages": messages}]


def test_frames_it_does_not_know_are_ignored(tmp, connect):
    def conversation(c):
        request = c.request()
        c.frame(type="status", id="admin", status="ready")
        c.frame(type="from_the_future", id=request["id"])
        c.raw(b"\r\n\n")
        c.frame(type="token", id="someone else's", content="no")
        c.frame(type="token", id=request["id"], content="yes", more={"a": [1]})
        c.frame(type="error", id="someone else's", code="internal", message="no")
        c.frame(type="done", id="someone else's", content="no")
        c.done(request, "yes", more=1)

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(id=b"mine") == OK
        assert (client.pieces, client.text) == ([b"yes"], "yes")


def test_a_nul_in_an_answer_cuts_nothing_off(tmp, connect):
    def conversation(c):
        request = c.request()
        c.tokens(request, "a\0b")
        c.done(request, "a\0b")

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask() == OK
        assert (client.pieces, client.text) == ([b"a\0b"], "a\0b")


# --- when it goes wrong ------------------------------------------------------------------


def test_a_refusal_has_the_daemons_words_and_the_connection_lives_on(tmp, connect):
    def conversation(c):
        c.error(c.request()["id"], "queue_full", "queue full", queue_depth=10, retry_after_ms=1200)
        c.error(c.request()["id"], "queue_full", "queue full", retry_after_ms=-1)
        answer_all(c)

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(id=b"q") == REFUSED
        assert (client.error.code, client.error.message) == (b"queue_full", b"queue full")
        assert client.error.status == REFUSED
        assert (client.error.queue_depth, client.error.retry_after_ms) == (10, 1200)
        assert client.ask() == REFUSED
        assert (client.error.queue_depth, client.error.retry_after_ms) == (0, 0)
        assert client.ask() == OK
        client.close()
        client.handle = None


def test_an_error_without_an_id_refuses_this_request(tmp, connect):
    def conversation(c):
        c.request()
        c.error("", "invalid_request", "not valid JSON")

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(id=b"q") == REFUSED
        assert client.error.message == b"not valid JSON"
        assert client.ask() == LOST, "the daemon has closed"


def test_a_daemon_that_closes_while_it_is_asked_is_still_heard(tmp, connect):
    """It stops reading a request that is too long, so sending fails; why is in its last words."""
    def conversation(c):
        assert c.socket.recv(1000)
        c.error("", "frame_too_large", "frame exceeds 67108864 byte cap")

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask("x" * (4 << 20)) == REFUSED
        assert client.error.code == b"frame_too_large"


@pytest.mark.parametrize("last_words", [b"", b'{"type":"token","id":"","content":"on',
                                        b'{"type":"done","id":"","content":"x"}'])
def test_an_end_before_the_terminal_frame_is_told(tmp, connect, last_words):
    def conversation(c):
        c.tokens(c.request(), "one ")
        c.raw(last_words) if last_words else None

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask() == LOST
        assert client.pieces == [b"one "]
        assert client.error.message == b"the connection ended before the answer did"
        assert client.ask() == LOST, "a connection that ended stays ended"


@pytest.mark.parametrize("nonsense, hint", [
    (b"HTTP/1.1 400 Bad Request\r\n", b"not JSON"), (b"[1]\n", b"not an object"),
    (b'{"type":"token","id":"","content":7}\n', b"token frame without content"),
    (b'{"type":"done","id":""}\n', b"done frame without content"),
    (b'{"type":"token","id":"","content":"\xff"}\n', b"not JSON"),
])
def test_nonsense_is_told_and_ends_the_connection(tmp, connect, nonsense, hint):
    def conversation(c):
        c.request()
        c.raw(nonsense)
        c.wait_for_hangup()

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask() == PROTOCOL
        assert hint in client.error.message
        assert client.ask() == LOST


def test_a_line_without_an_end_is_not_read_for_ever(tmp, connect):
    def conversation(c):
        c.request()
        for _ in range(66):
            c.raw(b" " * (1 << 20))

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask() == PROTOCOL
        assert b"68157440" in client.error.message


@pytest.mark.parametrize("content, where", [(b"ok \xff", b"byte 3"), (b"cut \xe2\x82", b"byte 6"),
                                            (b"\xed\xa0\x80", b"byte 1")])
def test_what_is_not_utf8_is_never_sent(tmp, connect, content, where):
    def conversation(c):
        answer_all(c)

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(content) == INVALID
        assert client.error.message.startswith(b"messages[0].content is not valid UTF-8 at " + where)
        assert client.ask("fine") == OK
        client.close()
        client.handle = None


def test_a_request_over_the_limit_is_never_sent(tmp, connect):
    seen = []

    def conversation(c):
        while (request := c.request()) is not None:
            seen.append(len(request["messages"][0]["content"]))
            c.done(request, "")

    limit = 64 << 20
    frame = len('{"id":"","stream":false,"messages":[{"role":"user","content":""}]}')
    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(b"x" * (limit - frame + 1), callbacks=False) == INVALID
        assert b"67108864" in client.error.message
        assert client.ask(b"x" * (limit - frame), callbacks=False) == OK
        client.close()
        client.handle = None
    assert seen == [limit - frame]


# --- cancelling --------------------------------------------------------------------------


def babble(c):
    """Talk until the client hangs up."""
    request = c.request()
    try:
        while True:
            c.tokens(request, "bla ")
    except (BrokenPipeError, ConnectionResetError):
        pass


def test_a_callback_that_says_no_hangs_up(tmp, connect):
    with FakeDaemon(tmp / "s", babble) as daemon:
        client = connect(tmp / "s")
        assert client.ask(on_text=lambda _: len(client.pieces) == 3) == CANCELLED
        assert client.pieces == [b"bla "] * 3
        for thread in daemon.threads[1:]:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the daemon was left talking"
        assert client.ask() == LOST


@pytest.mark.parametrize("stop", ["callback", "abort"])
def test_what_was_left_of_a_cancelled_answer_is_no_answer_to_the_next(tmp, connect, stop):
    def conversation(c):
        c.request()
        c.raw(b'{"type":"token","id":"","content":"old"}\n' * 2 +
              b'{"type":"done","id":"","content":"old"}\n')
        c.wait_for_hangup()

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        assert client.ask(on_text=lambda _: client.abort() if stop == "abort" else 1) == CANCELLED
        assert client.pieces == [b"old"], "nothing is told after the end"
        assert client.ask() == (CANCELLED if stop == "abort" else LOST)
        assert client.pieces == []


def test_abort_from_another_thread_ends_the_call_at_once(tmp, connect):
    asked, gone = threading.Event(), threading.Event()

    def conversation(c):
        c.request()
        asked.set()
        c.wait_for_hangup()
        gone.set()

    with FakeDaemon(tmp / "s", conversation):
        client = connect(tmp / "s")
        thread = threading.Thread(target=client.ask)
        thread.start()
        assert asked.wait(PATIENCE)
        client.abort()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        assert client.status == CANCELLED
        assert gone.wait(PATIENCE), "the daemon was not told before inferd_close()"
        assert client.ask() == CANCELLED, "nothing more can be asked"


def test_connections_are_independent(tmp, connect):
    both = threading.Barrier(2, timeout=PATIENCE)

    def conversation(c):
        request = c.request()
        both.wait()
        name = request["messages"][0]["content"]
        c.tokens(request, name)
        both.wait()
        c.done(request, name)

    with FakeDaemon(tmp / "s", conversation):
        clients = {name: connect(tmp / "s") for name in ("a", "b")}
        threads = [threading.Thread(target=c.ask, args=(name,)) for name, c in clients.items()]
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE)
        assert {name: c.text for name, c in clients.items()} == {"a": "a", "b": "b"}


# --- connecting --------------------------------------------------------------------------


def test_without_patience_one_try_is_enough(tmp, connect):
    client = connect(tmp / "nothing", 0)
    assert client.status == UNREACHABLE
    assert b"no daemon answers at '%s'" % bytes(tmp / "nothing") in client.error.message


def test_a_socket_that_is_not_allowed_is_not_waited_for(tmp, connect):
    """ENOTDIR stands for all that does not pass by itself: permission is root's anyway."""
    (tmp / "file").write_text("")
    client = connect(tmp / "file" / "s", 60000)
    assert client.status == UNREACHABLE
    assert client.error.message == b"cannot connect to '%s': Not a directory" % bytes(tmp / "file" / "s")


def test_a_path_has_at_most_107_bytes(tmp, connect):
    path = str(tmp / "s").ljust(108, "x")
    client = connect(path, 60000)
    assert client.status == INVALID
    assert b"has 108 bytes; it must have 1 to 107" in client.error.message
    assert connect(path[:107], 0).status == UNREACHABLE, "it is not there, but it could be"


def test_who_answers_must_be_trusted(tmp, connect, monkeypatch):
    monkeypatch.setenv("INFERD_SERVER_UID", "daemon")
    with FakeDaemon(tmp / "s", answer_all):
        client = connect(tmp / "s")
        assert client.status == INVALID
        assert b"INFERD_SERVER_UID is 'daemon'" in client.error.message


# --- the admin socket --------------------------------------------------------------------


def watch(lib, path, follow, stop=None):
    frames, error = [], Error()

    def callback(_, at, n):
        frames.append(json.loads(at[:n])["status"])
        return int(frames[-1] == stop)

    status = lib.inferd_watch(str(path).encode(), follow, PIECE(callback), None, C.byref(error))
    return status, frames, error.message


def hang(c):
    c.wait_for_hangup()


def tell(*statuses, then=None):
    def conversation(c):
        for status in statuses:
            c.frame(id="admin", status=status, type="status")
        if then:
            then(c)
    return conversation


def test_watch_ends_with_the_present_state(tmp, lib):
    with FakeDaemon(tmp / "a", tell("capabilities", "capabilities", "ready", then=hang)):
        assert watch(lib, tmp / "a", False)[:2] == (OK, ["capabilities", "capabilities", "ready"])


def test_watch_follows_until_it_is_told_to_stop(tmp, lib):
    with FakeDaemon(tmp / "a", tell("starting", "ready", "draining", then=hang)):
        assert watch(lib, tmp / "a", True, "draining")[:2] == (OK, ["starting", "ready", "draining"])


def test_watch_follows_until_the_daemon_ends(tmp, lib):
    with FakeDaemon(tmp / "a", tell("ready", "draining")):
        assert watch(lib, tmp / "a", True)[:2] == (LOST, ["ready", "draining"])


def test_watch_does_not_wait_for_a_daemon_that_says_nothing(tmp, lib):
    with FakeDaemon(tmp / "a", tell("capabilities", then=hang)):
        status, frames, message = watch(lib, tmp / "a", False)
        assert (status, frames) == (UNREACHABLE, ["capabilities"])
        assert b"says nothing" in message


def test_watch_tells_that_there_is_no_daemon(tmp, lib):
    assert watch(lib, tmp / "a", False)[0] == UNREACHABLE
