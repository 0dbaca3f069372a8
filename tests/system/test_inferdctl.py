"""What inferdctl promises (docs/inferdctl.md), against a daemon of a few lines."""
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

from daemon import BIN, FACTOR, PATIENCE, ROOT, until
from fake_daemon import FakeDaemon

INFERDCTL = BIN / "inferdctl"
CAPABILITIES = {"accelerator": "cpu", "backend": "mock", "cpu_variant": "haswell", "embed": False,
                "id": "admin", "model": "Tiny", "n_ctx": 4096, "slots": 4, "status": "capabilities",
                "tools": True, "type": "status", "v2": True}


def environment(**more):
    return {"PATH": os.environ["PATH"], "HOME": "/dev/null", **more}


class Run:
    """A run of inferdctl in the directory of a fake daemon, ended or not."""

    def __init__(self, directory, *args, stdin=None, stdout=subprocess.PIPE, **env):
        self.process = subprocess.Popen(
            [INFERDCTL, *args], stdout=stdout, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            env=environment(INFERD_RUNTIME_DIR=str(directory), **env))
        if stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it need not be read
                with self.process.stdin as pipe:
                    pipe.write(stdin)
            self.process.stdin = None

    def end(self):
        self.out, self.err = (s.decode() if s is not None else None
                              for s in self.process.communicate(timeout=2 * PATIENCE))
        self.code = self.process.returncode
        return self


@pytest.fixture
def ctl(tmp):
    """ctl(args): a finished run.  ctl.start(args): one that goes on."""
    runs = []

    def start(*args, **more):
        runs.append(Run(tmp, *args, **more))
        return runs[-1]

    def finish(*args, **more):
        return start(*args, **more).end()

    finish.start = start
    yield finish
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


@pytest.fixture
def daemon(tmp):
    """daemon(conversation): what answers on infer.sock; daemon.asked: the requests."""
    running = []

    def start(conversation, name="infer.sock"):
        running.append(FakeDaemon(tmp / name, conversation))
        return running[-1]

    yield start
    for d in running:
        d.__exit__(None)


def saying(*pieces, asked=None, **more):
    """A conversation: answer every request with these pieces."""
    def conversation(c):
        while (request := c.request()) is not None:
            if asked is not None:
                asked.append(request)
            c.tokens(request, *pieces)
            c.done(request, "".join(pieces), **more)
    return conversation


def telling(*frames, then=None):
    """A conversation: what an admin socket says."""
    def conversation(c):
        for frame in frames:
            c.frame(**frame)
        if then:
            then(c)
    return conversation


def state(status, **more):
    return {"id": "admin", "status": status, "type": "status", **more}


# --- generate: what is asked -------------------------------------------------------------


def user(content):
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize("args, stdin, messages", [
    (["why?"], None, user("why?")),
    (["why", "is it", "blue"], None, user("why is it blue")),
    (["why?"], b"not read", user("why?")),
    (["-"], b"from a file\n\n", user("from a file\n")),
    ([], "schön".encode(), user("schön")),
    (["--", "--json"], None, user("--json")),
    (["--system", "Be brief.", "why?"], None,
     [{"role": "system", "content": "Be brief."}, *user("why?")]),
])
def test_the_prompt_is_the_words_or_standard_input(ctl, daemon, args, stdin, messages):
    asked = []
    daemon(saying("ok", asked=asked))
    assert ctl("generate", *args, stdin=stdin).code == 0
    assert [r["messages"] for r in asked] == [messages]


@pytest.mark.parametrize("args, stdin, complaint", [
    ([], b"", "there is no prompt"),
    ([""], b"must not be read", "there is no prompt"),
    (["-"], b"a\0b", "standard input is not text: byte 1 is NUL"),
    (["x\udcff"], None, "messages[0].content is not valid UTF-8 at byte 1"),
])
def test_what_is_no_prompt_is_not_asked(ctl, daemon, args, stdin, complaint):
    daemon(saying("ok"))
    run = ctl("generate", *args, stdin=stdin)
    assert (run.code, run.out) == (2, "")
    assert complaint in run.err


def test_flags_become_fields(ctl, daemon, tmp):
    asked = []
    daemon(saying("ok", asked=asked))
    (tmp / "yes.gbnf").write_text('root ::= "yes"')
    assert ctl("generate", "x", "--max-tokens", "12", "--temperature=0", "--top-p", ".5", "--top-k",
               "7", "--seed", "4294967295", "--grammar", str(tmp / "yes.gbnf"), "--min-p", "0.25",
               "--repeat-penalty", "1.5", "--presence-penalty", "-2", "--frequency-penalty=.5",
               "--stop", "\n", "--stop=end", "--logit-bias", "7=1", "--logit-bias", "9=-100",
               "--logit-bias", "7=0.5", "--later").code == 0
    assert asked == [{"id": "", "max_tokens": 12, "temperature": 0.0, "top_p": 0.5, "top_k": 7,
                      "seed": 4294967295, "grammar": 'root ::= "yes"', "min_p": 0.25,
                      "repeat_penalty": 1.5, "presence_penalty": -2.0, "frequency_penalty": 0.5,
                      "stop": ["\n", "end"], "logit_bias": {"7": 0.5, "9": -100.0}, "priority": -1,
                      "messages": user("x")}]


@pytest.mark.parametrize("args, complaint", [
    (["--temperature", "hot"], "--temperature is 'hot'; it must be a number from 0 to 2"),
    (["--temperature", "-0.5"], "--temperature is '-0.5'"),
    (["--temperature", "nan"], "--temperature is 'nan'"),
    (["--max-tokens", "1.5"], "--max-tokens is '1.5'; it must be a whole number from 0 to 2147483647"),
    (["--seed", "4294967296"], "--seed is '4294967296'"),
    (["--seed", "99999999999999999999"], "--seed is '99999999999999999999'"),
    (["--wait", ""], "--wait is ''"),
    (["--presence-penalty", "-2.1"], "--presence-penalty is '-2.1'; it must be a number from -2 to 2"),
    (["--repeat-penalty", "0"], "--repeat-penalty is '0'; it must be a number from 0.01 to 10"),
    (["--logit-bias", "7"], "--logit-bias is '7'; it must be a token's number"),
    (["--logit-bias", "7=101"], "--logit-bias is '7=101'"),
    (["--logit-bias", "=1"], "--logit-bias is '=1'"),
    (["--stop", "x"] * 17, "--stop is there more than 16 times"),
    (["--grammar", "/dev/null/none"], "cannot open '/dev/null/none'"),
    (["--max-tokens"], "--max-tokens needs a value: --max-tokens N"),
    (["--json=yes"], "--json takes no value"),
    (["--max-token", "3"], "unknown option '--max-token'; did you mean '--max-tokens'?"),
    (["-q"], "unknown option '-q'"),
])
def test_a_wrong_flag_is_explained(ctl, daemon, args, complaint):
    d = daemon(saying("ok"))
    run = ctl("generate", "x", *args)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("inferdctl: ") and complaint in run.err
    assert d.accepted == 0


# --- generate: where the daemon is -------------------------------------------------------


@pytest.mark.parametrize("place, args, env", [
    ("infer.sock", [], {}),
    ("infer.sock", ["--runtime-dir", "{tmp}"], {"INFERD_RUNTIME_DIR": "/nonexistent"}),
    ("other", ["--socket", "{tmp}/other"], {}),
    ("inferd/infer.sock", [], {"INFERD_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": "{tmp}"}),
    (".inferd/run/infer.sock", [],
     {"INFERD_RUNTIME_DIR": "", "XDG_RUNTIME_DIR": "", "HOME": "{tmp}"}),
])
def test_the_socket_is_where_the_daemon_puts_it(tmp, place, args, env):
    (tmp / place).parent.mkdir(parents=True, exist_ok=True)
    env = {"INFERD_RUNTIME_DIR": str(tmp),
           **{name: value.format(tmp=tmp) for name, value in env.items()}}
    with FakeDaemon(tmp / place, saying("here")):
        run = subprocess.run([INFERDCTL, "generate", "x", *(a.format(tmp=tmp) for a in args)],
                             env=environment(**env), stdin=subprocess.DEVNULL,
                             capture_output=True, timeout=PATIENCE)
    assert (run.returncode, run.stdout) == (0, b"here\n")


def asleep(pid):
    """Is the process waiting for time to pass?  True where nobody can tell."""
    try:
        with open(f"/proc/{pid}/syscall") as file:
            number = file.read().split()[0]
    except OSError:
        return True
    return number in ("230", "115")  # clock_nanosleep on x86-64 and on arm64


def test_a_daemon_that_is_still_loading_is_waited_for(ctl, daemon):
    run = ctl.start("generate", "x")
    until(lambda: asleep(run.process.pid), "inferdctl to wait")
    daemon(saying("at last"))
    assert (run.end().code, run.out) == (0, "at last\n")


def test_a_daemon_that_does_not_come_is_not_waited_for_longer(ctl, tmp):
    start = time.monotonic()
    run = ctl("generate", "--wait", "0.2", "x")
    assert 0.2 <= time.monotonic() - start < 2 * FACTOR
    assert (run.code, run.out) == (2, "")
    assert run.err == (f"inferdctl: no daemon answers at '{tmp}/infer.sock': "
                       "No such file or directory\n")


# --- generate: what is printed -----------------------------------------------------------


@pytest.mark.parametrize("pieces, out", [
    (["one ", "two"], "one two\n"), (["one\n"], "one\n"), ([], ""), (["\x1b[2J\x07"], "\x1b[2J\x07\n"),
])
def test_an_answer_is_printed_and_its_line_ended(ctl, daemon, pieces, out):
    daemon(saying(*pieces))
    run = ctl("generate", "x")
    assert (run.code, run.out, run.err) == (0, out, "")


def test_each_piece_is_out_at_once(ctl, daemon):
    seen = threading.Event()

    def conversation(c):
        request = c.request()
        c.tokens(request, "one ")
        assert seen.wait(PATIENCE), "the first piece was kept back"
        c.tokens(request, "two")
        c.done(request, "one two")

    daemon(conversation)
    run = ctl.start("generate", "x")
    assert os.read(run.process.stdout.fileno(), 100) == b"one "
    seen.set()
    assert (run.end().code, run.out) == (0, "two\n")


def test_json_prints_the_frames_as_they_are(ctl, daemon):
    def conversation(c):
        c.request()
        c.raw(b'{"type":"token","id":"","content":"a\\u001b","new" : [1]}\n')
        c.raw(b'{"type":"error","id":"","code":"internal","message":"oops"}\n')

    daemon(conversation)
    run = ctl("generate", "--json", "x")
    assert run.out == ('{"type":"token","id":"","content":"a\\u001b","new" : [1]}\n'
                       '{"type":"error","id":"","code":"internal","message":"oops"}\n')
    assert (run.code, run.err) == (1, "inferdctl: oops (internal)\n")


TIMINGS = {"queue_ms": 4, "prompt_ms": 20, "first_token_ms": 30, "generate_ms": 40,
           "tokens_per_second": 51.25}
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "cached_tokens": 5}


def test_verbose_tells_what_the_answer_took(ctl, daemon):
    daemon(saying("x", timings=TIMINGS, usage=USAGE))
    daemon(telling(CAPABILITIES, state("ready")), "admin.sock")
    run = ctl("generate", "-v", "x")
    assert (run.code, run.out) == (0, "x\n")
    assert run.err == ("inferdctl: 12 prompt tokens (5 cached), 3 completion tokens, 51.2 tokens/s, "
                       "first token after 30 ms, prompt read in 20 ms, queued for 4 ms, "
                       "stop reason end, backend mock, CPU variant haswell\n")


@pytest.mark.parametrize("labels, told", [
    (["builtin"], True), (["other", "mock"], True), (["mock", "other"], True),
    (["one", "two"], False), ([], False),
])
def test_verbose_names_a_cpu_variant_only_if_it_is_the_right_one(ctl, daemon, labels, told):
    daemon(saying("x", usage=USAGE))
    daemon(telling(*({**CAPABILITIES, "backend": label,
                      "cpu_variant": "wrong" if label == "other" else "right"} for label in labels),
                   state("ready")), "admin.sock")
    run = ctl("generate", "--verbose", "x")
    end = ", CPU variant right" if told else ""
    assert run.err == ("inferdctl: 12 prompt tokens (5 cached), 3 completion tokens, "
                       f"stop reason end, backend mock{end}\n")


# --- generate: when it goes wrong --------------------------------------------------------


def test_a_refusal_ends_with_1(ctl, daemon):
    def conversation(c):
        request = c.request()
        c.tokens(request, "half an ans")
        c.error(request["id"], "backend_unavailable", "the engine died")

    daemon(conversation)
    run = ctl("generate", "x")
    assert (run.code, run.out) == (1, "half an ans\n")
    assert run.err == "inferdctl: the engine died (backend_unavailable)\n"


def test_a_full_queue_says_when_to_try_again(ctl, daemon):
    daemon(lambda c: c.error(c.request()["id"], "queue_full", "queue full", retry_after_ms=1240))
    run = ctl("generate", "x")
    assert run.code == 1
    assert run.err == "inferdctl: queue full (queue_full); try again in about 1.2 s\n"


def test_an_answer_that_breaks_off_ends_with_2(ctl, daemon):
    daemon(lambda c: c.tokens(c.request(), "half an ans"))
    run = ctl("generate", "x")
    assert (run.code, run.out) == (2, "half an ans\n")
    assert run.err == "inferdctl: the connection ended before the answer did\n"


def holding(*, told, gone):
    """A conversation that says something and then waits for the client to go."""
    def conversation(c):
        c.tokens(c.request(), "half an ans")
        told.set()
        c.wait_for_hangup()
        gone.set()
    return conversation


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_answer_and_its_line(ctl, daemon, number, code):
    told, gone = threading.Event(), threading.Event()
    daemon(holding(told=told, gone=gone))
    run = ctl.start("generate", "x")
    assert os.read(run.process.stdout.fileno(), 100) == b"half an ans"
    run.process.send_signal(number)
    assert (run.end().code, run.out, run.err) == (code, "\n", "")
    assert gone.wait(PATIENCE)


def test_a_signal_while_waiting_ends_the_program(ctl):
    run = ctl.start("generate", "x")
    until(lambda: asleep(run.process.pid), "inferdctl to wait")
    run.process.send_signal(signal.SIGINT)
    assert (run.end().code, run.out, run.err) == (130, "", "")


def test_a_closed_pipe_ends_the_answer_quietly(ctl, daemon):
    gone = threading.Event()

    def conversation(c):
        request = c.request()
        try:
            while True:
                c.tokens(request, "bla ")
        except (BrokenPipeError, ConnectionResetError):
            gone.set()

    daemon(conversation)
    run = ctl.start("generate", "x")
    assert os.read(run.process.stdout.fileno(), 4) == b"bla "
    run.process.stdout.close()
    run.process.stdout = None
    assert (run.end().code, run.err) == (141, "")
    assert gone.wait(PATIENCE)


def test_an_answer_that_can_not_be_written_ends_with_2(ctl, daemon):
    daemon(saying("x"))
    with open(os.devnull, "rb") as unwritable:
        run = ctl("generate", "x", stdout=unwritable)
    assert run.code == 2
    assert run.err == "inferdctl: cannot write to standard output: Bad file descriptor\n"


# --- terminals ---------------------------------------------------------------------------


def on_a_terminal(ctl, *args):
    """Run with a terminal as standard output; what it showed."""
    ours, theirs = pty.openpty()
    run = ctl.start(*args, stdout=theirs)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # EIO: the other side is closed
        pass
    os.close(ours)
    run.end()
    return run, shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_no_control_characters_from_a_model(ctl, daemon):
    daemon(saying("a\tb\n\x1b]0;title\x07", "\x9b2Jé\x7f", "c\rd"))
    run, shown = on_a_terminal(ctl, "generate", "x")
    assert (run.code, shown) == (0, "a\tb\n\ufffd]0;title\ufffd\ufffd2Jé\ufffdc\ufffdd\n")


def test_status_is_a_table_on_a_terminal_and_json_when_asked(ctl, daemon):
    daemon(telling(CAPABILITIES, state("ready")), "admin.sock")
    _, shown = on_a_terminal(ctl, "status")
    assert shown.splitlines()[-1] == "daemon       ready"
    _, shown = on_a_terminal(ctl, "status", "--json")
    assert [json.loads(line) for line in shown.splitlines()] == [CAPABILITIES, state("ready")]


# --- status and watch --------------------------------------------------------------------


@pytest.mark.parametrize("frames, code", [
    ([CAPABILITIES, {**CAPABILITIES, "backend": "b"}, state("ready")], 0),
    ([state("loading_model", phase="mmap", path="/m.gguf")], 1),
    ([CAPABILITIES, state("from_the_future")], 1),
])
def test_status_prints_every_frame_up_to_the_present_state(ctl, daemon, frames, code):
    daemon(telling(*frames, then=lambda c: c.wait_for_hangup()), "admin.sock")
    run = ctl("status")
    assert [json.loads(line) for line in run.out.splitlines()] == frames
    assert (run.code, run.err) == (code, "")


def test_status_for_people(ctl, daemon):
    daemon(telling(CAPABILITIES, state("loading_model", phase="mmap", path="/m.gguf")), "admin.sock")
    assert ctl("status", "--human").out == """\
backend      mock
model        Tiny
accelerator  cpu, CPU variant haswell
context      4096 tokens per request
slots        4 at a time
abilities    generate, v2, tools

daemon       loading_model
phase        mmap
path         /m.gguf
"""


def test_verbose_tells_times_without_a_speed(ctl, daemon):
    daemon(saying("x", timings={**TIMINGS, "tokens_per_second": 0}, usage=USAGE))
    assert ("3 completion tokens, first token after 30 ms, prompt read in 20 ms, queued for 4 ms, "
            "stop reason") in ctl("generate", "-v", "x").err


def test_status_without_a_daemon_ends_with_2(ctl, tmp):
    run = ctl("status")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith(f"inferdctl: no daemon answers at '{tmp}/admin.sock'")


@pytest.mark.parametrize("frames, code", [([], 2), ([CAPABILITIES], 1)])
def test_status_of_a_daemon_that_says_nothing_more(ctl, daemon, frames, code):
    daemon(telling(*frames, then=lambda c: c.wait_for_hangup()), "admin.sock")
    run = ctl("status")
    assert (run.code, run.err) == (code, "inferdctl: the daemon says nothing\n")


@pytest.mark.parametrize("args, env", [
    (["--admin-addr", "{tmp}/elsewhere", "status"], {}),
    (["status", "--admin-addr={tmp}/elsewhere"], {"INFERD_ADMIN_ADDR": "/nonexistent"}),
    (["status"], {"INFERD_ADMIN_ADDR": "{tmp}/elsewhere"}),
])
def test_the_admin_socket_can_be_elsewhere(ctl, daemon, tmp, args, env):
    daemon(telling(state("ready")), "elsewhere")
    run = ctl(*(a.format(tmp=tmp) for a in args), **{n: v.format(tmp=tmp) for n, v in env.items()})
    assert run.code == 0, run.err


def test_watch_prints_events_as_they_come_until_the_daemon_ends(ctl, daemon):
    seen = threading.Event()

    def conversation(c):
        c.frame(**state("starting"))
        assert seen.wait(PATIENCE), "the first event was kept back"
        c.frame(**state("ready"))
        c.frame(**state("draining"))

    daemon(conversation, "admin.sock")
    run = ctl.start("watch")
    assert json.loads(os.read(run.process.stdout.fileno(), 1000)) == state("starting")
    seen.set()
    run.end()
    assert [json.loads(line)["status"] for line in run.out.splitlines()] == ["ready", "draining"]
    assert (run.code, run.err) == (2, "error: admin socket closed\n")


def test_watch_without_a_daemon_ends_with_2(ctl):
    run = ctl("watch")
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("inferdctl: no daemon answers at ")


# --- the rest ----------------------------------------------------------------------------


def test_version(ctl):
    version = re.search(r"VERSION (\d+\.\d+\.\d+)", (ROOT / "CMakeLists.txt").read_text())[1]
    for args in (["version"], ["--version"], ["-V"], ["status", "-V"]):
        run = ctl(*args)
        assert (run.code, run.out) == (0, f"inferdctl {version}\n")


def commands(ctl):
    listed = re.findall(r"^  ([a-z]+) ", ctl("help").out, re.M)
    assert {"generate", "status", "watch", "version", "help"} <= set(listed)
    return listed


def test_help_is_there_for_every_command_and_asked_for_in_every_way(ctl):
    assert ctl("help").out == ctl("--help").out == ctl("-h").out
    for name in commands(ctl):
        page = ctl("help", name)
        assert (page.code, page.err) == (0, "")
        assert page.out.startswith(f"usage: inferdctl {name}")
        assert ctl(name, "--help").out == ctl("--runtime-dir", "/", name, "-h").out == page.out


def test_without_a_command_help_is_an_error(ctl):
    run = ctl()
    assert (run.code, run.out) == (2, "")
    assert run.err == ctl("help").out


@pytest.mark.parametrize("args, complaint", [
    (["statu"], "unknown command 'statu'; did you mean 'status'?"),
    (["frobnicate"], "unknown command 'frobnicate'\n"),
    (["help", "generat"], "unknown command 'generat'; did you mean 'generate'?"),
    (["help", "status", "watch"], "'watch' is one argument too many"),
    (["status", "now"], "'now' is one argument too many"),
    (["watch", "--human"], "unknown option '--human'"),
    (["--nothing", "status"], "unknown option '--nothing'"),
    (["status", "--runtime-dir"], "--runtime-dir needs a value: --runtime-dir DIR"),
])
def test_what_is_not_understood_is_explained(ctl, args, complaint):
    run = ctl(*args)
    assert (run.code, run.out) == (2, "")
    assert run.err.startswith("inferdctl: ") and complaint in run.err


def test_the_page_in_docs_knows_every_command_and_option(ctl):
    page = (ROOT / "docs" / "inferdctl.md").read_text()
    for name in commands(ctl):
        assert f"## inferdctl {name}" in page
        for flag in re.findall(r"^  .{4}(--[a-z-]+)", ctl("help", name).out, re.M):
            assert f"`{flag}" in page, f"{flag} of {name}"


# --- the library's page ------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler")
@pytest.mark.skipif(b"__asan_init" in INFERDCTL.read_bytes() or
                    b"__tsan_init" in INFERDCTL.read_bytes(),
                    reason="the example is compiled without the sanitizer")
def test_the_program_in_docs_compiles_and_works(tmp, daemon):
    page = (ROOT / "docs" / "client.md").read_text()
    program, = re.findall(r"^```c\n(.*?int main.*?)^```", page, re.M | re.S)
    (tmp / "ask.c").write_text(program)
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", "ask.c",
                    str(BIN.parent / "lib" / "libinferd.a"), "-ljansson", "-o", "ask"],
                   cwd=tmp, check=True, timeout=10 * PATIENCE)
    asked = []
    daemon(saying("Because ", "it scatters.", asked=asked, usage=USAGE, timings=TIMINGS))
    run = subprocess.run([tmp / "ask", "Why?"], capture_output=True, text=True, timeout=PATIENCE,
                         env=environment(INFERD_RUNTIME_DIR=str(tmp)))
    assert (run.returncode, run.stdout) == (0, "Because it scatters.\n")
    assert "3 tokens" in run.stderr
    assert asked[0]["messages"][-1]["content"] == "Why?"
