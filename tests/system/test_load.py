"""inferd-load counts what it is answered, and sees what is lost or mixed up."""
import json
import pathlib
import socket
import subprocess
import tempfile
import threading

import pytest

from daemon import BIN, PATIENCE


def token(id):
    return json.dumps({"type": "token", "id": id, "content": '"id":"x" {'}) + "\n"


def done(id):
    return json.dumps({"usage": {"id": ["}", 1]}, "type": "done", "id": id}) + "\n"


def refusal(id, code="queue_full"):
    return json.dumps({"type": "error", "code": code, "id": id, "message": "no"}) + "\n"


class Server:
    """Answers the Nth request, from 1, with what `answers(n, id)` returns: text, or None
    to hang up.  `parting` is sent to whoever asks no more."""

    def __init__(self, path, answers, parting):
        self.answers, self.parting, self.asked, self.accepted = answers, parting, 0, 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self.threads.append(threading.Thread(target=self.serve, args=(s,)))
            self.threads[-1].start()

    def serve(self, s):
        with s, s.makefile("r") as lines:
            for line in lines:
                id = "PING" if line == "PING\n" else json.loads(line)["id"]
                with self.lock:
                    self.asked += 1
                    answer = self.answers(self.asked, id)
                if answer is None:
                    return
                s.sendall(answer.encode())
            if self.parting:
                s.sendall(self.parting.encode())

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for t in self.threads:
            t.join(PATIENCE)


@pytest.fixture
def load():
    """load(answers, *options): the exit code, the figures, and standard error."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        path = str(pathlib.Path(directory) / "s")
        servers = []

        def run(answers, *options, parting=""):
            servers.append(Server(path, answers, parting))
            ran = subprocess.run(
                [BIN / "inferd-load", "--json", "--socket", path, "--patience", "1", *options],
                capture_output=True, text=True, timeout=2 * PATIENCE)
            return ran.returncode, json.loads(ran.stdout), ran.stderr

        run.servers = servers
        yield run
        for s in servers:
            s.close()


def counts(figures):
    return tuple(figures[k] for k in ("answered", "lost", "mixed_up"))


def test_every_request_is_counted(load):
    code, figures, _ = load(lambda n, id: token(id) + done(id), "--requests", "100",
                            "--connections", "7")
    assert (code, counts(figures)) == (0, (100, 0, 0))
    assert figures["refused"] == {}
    assert figures["frames_per_second"] == pytest.approx(2 * figures["per_second"])
    for kind in ("answer_us", "first_us"):
        t = figures[kind]
        assert 0 < t["p50"] <= t["p90"] <= t["p99"] <= t["max"]


def test_refusals_are_counted_by_code_and_are_no_answers(load):
    def answers(n, id):
        return refusal(id, "internal") if n == 1 else refusal(id) if n % 2 else done(id)
    code, figures, _ = load(answers, "--requests", "10")
    assert (code, counts(figures)) == (0, (5, 0, 0))
    assert figures["refused"] == {"internal": 1, "queue_full": 4}


@pytest.mark.parametrize("wrong, lost, mixed_up", [
    (lambda id: None, 1, 0),                        # hung up
    (lambda id: token(id), 1, 0),                   # and then silence
    (lambda id: done("0"), 1, 1),                   # another's
    (lambda id: done(""), 1, 1),
    (lambda id: done(id) + done(id), 0, 1),         # twice
    (lambda id: done(id) + token(id), 0, 1),
    (lambda id: '{"type":"done","id":"%s"\n' % id, 1, 1),
    (lambda id: '{"type":"news","id":"%s"}\n' % id, 1, 1),
])
def test_what_is_wrong_is_seen_and_the_others_go_on(load, wrong, lost, mixed_up):
    code, figures, said = load(lambda n, id: wrong(id) if n == 5 else done(id),
                               "--requests", "20", "--connections", "2")
    assert (code, counts(figures)) == (1, (20 - lost, lost, mixed_up))
    assert said.count("\n") == 1


def test_one_more_frame_after_the_very_last_is_seen(load):
    code, figures, _ = load(lambda n, id: done(id), "--requests", "3", parting=done("3"))
    assert (code, counts(figures)) == (1, (3, 0, 1))


def test_redis(load):
    code, figures, _ = load(lambda n, _: "-BUSY wait\r\n" if n == 2 else "+PONG\r\n",
                            "--requests", "10", "--protocol", "redis")
    assert (code, counts(figures)) == (0, (9, 0, 0))
    assert figures["refused"] == {"BUSY": 1}


def test_without_a_server_it_fails():
    ran = subprocess.run([BIN / "inferd-load", "--socket", "/nonexistent/s"], capture_output=True)
    assert ran.returncode == 1 and ran.stdout == b""


@pytest.mark.parametrize("arguments", [[], ["--socket"], ["--sock", "x", "y"], ["--wrong"],
                                       ["--socket", "x", "--connections", "0"],
                                       ["--socket", "x", "--protocol", "http"]])
def test_wrong_usage(arguments):
    assert subprocess.run([BIN / "inferd-load", *arguments], capture_output=True).returncode == 2


def test_a_connection_for_each_request(load):
    code, figures, _ = load(lambda n, id: done(id), "--requests", "20", "--connections", "2",
                            "--reconnect")
    assert code == 0 and figures["answered"] == 20
    assert load.servers[-1].accepted == 20


def test_the_same_connection_for_all(load):
    code, figures, _ = load(lambda n, id: done(id), "--requests", "20", "--connections", "2")
    assert code == 0 and figures["answered"] == 20
    assert load.servers[-1].accepted == 2
