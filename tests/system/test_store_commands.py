"""What inferdctl promises about the model store (docs/inferdctl.md, docs/store.md)."""
import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from daemon import BIN, PATIENCE, ROOT
from terminal import Terminal

INFERDCTL = BIN / "inferdctl"
CONTENT = b"not quite a model\n" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIB = 1 << 30


class Store:
    """Runs of inferdctl on a store of their own, and what lies in that."""

    def __init__(self, home):
        self.home = home
        self.root = home / "store"
        self.program = INFERDCTL
        self.file = home / "some.gguf"
        self.file.write_bytes(CONTENT)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "MODELS_HOME": str(self.root)}

    def __call__(self, *args, **env):
        run = subprocess.run([str(a) for a in (self.program, *args)], capture_output=True,
                             text=True, errors="surrogateescape", stdin=subprocess.DEVNULL,
                             timeout=4 * PATIENCE, cwd=self.home, env={**self.env, **env})
        print(ascii(args), "ended with", run.returncode, ascii(run.stdout), ascii(run.stderr))
        return run

    def json(self, *args, code=0):
        run = self(*args, "--json")
        assert (run.returncode, run.stderr) == (code, "")
        lines = run.stdout.splitlines()
        objects = [json.loads(line) for line in lines]
        assert lines == [json.dumps(o, sort_keys=True, separators=(",", ":")) for o in objects]
        return objects

    def have(self, name="mine", content=CONTENT):
        """Import it."""
        file = self.home / f"{name}.gguf"
        file.write_bytes(content)
        run = self("import", file, "--name", name)
        assert run.returncode == 0
        return pathlib.Path(run.stdout.strip())

    def blob(self, sha256=SHA256):
        return self.root / "blobs" / "sha256" / sha256[:2] / sha256 / "data"

    def files(self):
        return sorted(str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()
                      and p.suffix != ".lock" and p.name != ".gc")

    @contextlib.contextmanager
    def locked(self, name):
        (self.root / "locks").mkdir(parents=True, exist_ok=True)
        with open(self.root / "locks" / f"{name}.lock", "w") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            yield


@pytest.fixture
def store(tmp):
    return Store(tmp)


# --- where the store is ------------------------------------------------------------------


@pytest.mark.parametrize("args, env, place", [
    (["--store", "{home}/there"], {}, "there"),
    (["--store=~/there"], {}, "there"),
    ([], {}, "store"),
    ([], {"MODELS_HOME": "", "XDG_DATA_HOME": "{home}/data"}, "data/models"),
    ([], {"MODELS_HOME": ""}, ".local/share/models"),
])
def test_the_store_is_where_everybody_looks_for_it(store, args, env, place):
    fill = str.format
    run = store("import", store.file, "--name", "mine", *(fill(a, home=store.home) for a in args),
                **{k: fill(v, home=store.home) for k, v in env.items()})
    assert run.returncode == 0
    assert (store.home / place / "manifests" / "mine.json").exists()


@pytest.mark.parametrize("args, code, out", [
    (["list"], 0, ""), (["gc"], 0, ""), (["gc", "--yes"], 0, ""), (["verify"], 0, ""),
    (["show", "x"], 2, ""), (["rm", "x"], 2, ""), (["df"], 2, ""),
])
def test_looking_makes_nothing(store, args, code, out):
    run = store(*args)
    assert (run.returncode, run.stdout) == (code, out) and run.stderr.startswith("inferdctl: there ")
    assert not store.root.exists()


@pytest.mark.parametrize("name", ["../../x", "CON", "", ".x", "a/b", "x" * 129, "\udcff"])
def test_what_is_no_name_is_refused_before_anything_is_made(store, name):
    for args in (["show", "--", name], ["rm", "--", name], ["verify", "--repair", "--", name],
                 ["import", store.file, f"--name={name}"],
                 ["pull", f"--name={name}", "--url", "https://localhost/x", "--sha256", SHA256]):
        run = store(*args)
        assert run.returncode == 2 and run.stdout == ""
        assert 'invalid model name "' in run.stderr
    assert not store.root.exists()


# --- import ------------------------------------------------------------------------------


def test_import_says_what_it_does_and_prints_the_path(store):
    run = store("import", store.file, "--name", "mine")
    assert (run.returncode, run.stdout) == (0, f"{store.blob()}\n")
    first, second = run.stderr.splitlines()
    assert first == f'inferdctl: importing {store.file} as "mine" -> {store.root}'
    assert second.startswith('inferdctl: imported; set "model": { "name": "mine", "sha256": '
                             f'"{SHA256}" }} for a backend')
    assert store.blob().read_bytes() == store.file.read_bytes() == CONTENT
    manifest = json.loads((store.root / "manifests" / "mine.json").read_text())
    assert manifest["source"]["registry"] == "local-import"
    assert manifest["source"]["filename"] == "some.gguf"
    assert re.fullmatch(r"inferdctl/\d+\.\d+\.\d+", manifest["produced_by"])


def test_importing_again_changes_nothing(store):
    store.have()
    before = store.files()
    assert store("import", store.file, "--name", "mine").returncode == 0
    assert store.files() == before


def test_a_link_is_made_only_where_it_is_safe(store):
    store.file.chmod(0o400)
    how = store.json("import", store.file, "--name", "a", "--link")[0]["how"]
    assert how in ("linked", "shared")
    assert (how == "shared") or os.path.samefile(store.file, store.blob())
    other = store.home / "other.gguf"
    other.write_bytes(b"other")
    other.chmod(0o666)
    assert store.json("import", other, "--name", "b", "--link")[0]["how"] != "linked"
    said = "copied: a link would not have been safe" in store("import", other, "--name", "b",
                                                              "--link").stderr
    assert said == (how != "shared")
    assert store.json("import", store.file, "--name", "c", "--link", "--copy")[0]["how"] != "linked"


def test_import_as_json(store):
    assert store.json("import", store.file, "--name", "mine") == [
        {"how": "copied", "name": "mine", "path": str(store.blob()), "sha256": SHA256,
         "size_bytes": len(CONTENT), "was_there": False}]


@pytest.mark.parametrize("digest", [SHA256, SHA256.upper()])
def test_an_expected_digest_may_be_of_either_case(store, digest):
    assert store("import", store.file, "--name", "mine", "--expect-sha256", digest).returncode == 0


@pytest.mark.parametrize("args, complaint", [
    (["{home}", "--name", "m"], "{home} is not a regular file"),
    (["/nonexistent", "--name", "m"], "/nonexistent"),
    (["{home}/some.gguf", "--name", "m", "--expect-sha256", "xyz"],
     '--expect-sha256 must be 64 hex characters (got "xyz")'),
    (["{home}/some.gguf", "--name", "m", "--expect-sha256", "0" * 64],
     f"SHA-256 mismatch: expected {'0' * 64}, file is {SHA256} (nothing imported)"),
])
def test_an_import_that_fails_leaves_nothing(store, args, complaint):
    run = store("import", *(a.format(home=store.home) for a in args))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.splitlines()[-1].startswith("error: import failed: ")
    assert complaint.format(home=store.home) in run.stderr
    assert store.files() == []
    assert store.file.read_bytes() == CONTENT


def test_one_process_at_a_time_writes_a_name(store):
    with store.locked("mine"):
        run = store("import", store.file, "--name", "mine")
        assert run.returncode == 2
        assert run.stderr.endswith('error: import failed: model "mine" is being written by '
                                   "another process\n")
        assert store("import", store.file, "--name", "other").returncode == 0


@pytest.mark.parametrize("args, complaint", [
    ([], "which file? (inferdctl import FILE --name NAME)"),
    (["x.gguf"], "what is it to be called?"),
    (["x.gguf", "y.gguf", "--name", "m"], "'y.gguf' is one argument too many"),
    (["x.gguf", "--name"], "--name needs a value"),
    (["x.gguf", "--name", "m", "--lnik"], "unknown option '--lnik'; did you mean '--link'?"),
])
def test_a_wrong_order_is_explained(store, args, complaint):
    run = store("import", *args)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("inferdctl: ") and complaint in run.stderr
    assert not store.root.exists()


def large_file(store):
    file = store.home / "large.gguf"
    with open(file, "wb") as f:
        f.truncate(4 * GIB)
    file.chmod(0o400)
    return file


def test_ctrl_c_ends_an_import_and_leaves_line_and_store_clean(store):
    with Terminal([INFERDCTL, "import", large_file(store), "--name", "large", "--link"],
                  store.env) as t:
        t.await_text("large  [")
        t.await_text("of 4.0 GiB")
        t.type("\x03")
        assert t.end() == 130
        assert [line for line in t.screen() if "[" in line or "GiB" in line] == []
    assert store.files() == []


def test_a_bar_is_only_drawn_on_a_terminal_that_can(store):
    command = [INFERDCTL, "import", store.file, "--name", "mine"]
    with Terminal(command, {**store.env, "TERM": "dumb"}) as t:
        assert t.end() == 0 and b"\x1b" not in t.raw
    with Terminal([*command, "--json"], store.env) as t:
        assert t.end() == 0 and b"\x1b" not in t.raw
    with Terminal(command, store.env, stdout=subprocess.DEVNULL) as t:
        assert t.end() == 0 and b"mine  [====" in t.raw
        assert t.screen()[0].startswith("inferdctl: importing ")
        assert t.screen()[1].startswith("inferdctl: imported; ") and len(t.screen()) <= 8
    assert b"\x1b" not in store("import", store.file, "--name", "mine").stderr.encode()


@pytest.mark.parametrize("columns", [1, 20, 60, 80, 200])
def test_a_bar_is_narrower_than_its_terminal(store, columns):
    with Terminal([INFERDCTL, "import", store.file, "--name", "mine"], store.env, columns) as t:
        assert t.end() == 0
        drawn = re.findall(rb"\r\x1b\[K([^\r\n]+)\r", t.raw)
        assert drawn and all(len(line) < columns for line in drawn if b"mine  " in line)


# --- list, show --------------------------------------------------------------------------


def test_list_and_show(store):
    store.have("mine")
    store.have("a-longer-name", b"x" * 2000)
    gone = store.have("gone", b"y")
    gone.unlink()
    (store.root / "manifests" / "broken.json").write_text("{")
    lines = store("list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "SIZE", "SHA-256", "STATE"]
    x = hashlib.sha256(b"x" * 2000).hexdigest()[:12]
    y = hashlib.sha256(b"y").hexdigest()[:12]
    assert [line.split() for line in lines[1:]] == [
        ["a-longer-name", "2.0", "KiB", x, "present"], ["broken", "-", "-", "unreadable"],
        ["gone", "1", "B", y, "missing"], ["mine", "17.6", "KiB", SHA256[:12], "present"]]
    assert len({line.index(s) for line, s in zip(lines, ["STATE", "present", "unreadable",
                                                         "missing", "present"])}) == 1

    objects = {o["name"]: o for o in store.json("list")}
    assert {n: o["state"] for n, o in objects.items()} == {
        "a-longer-name": "present", "broken": "unreadable", "gone": "missing", "mine": "present"}
    assert "malformed manifest at" in objects["broken"]["error"]
    mine = objects["mine"]
    assert (mine["sha256"], mine["size_bytes"], mine["path"], mine["license"]) == \
        (SHA256, len(CONTENT), str(store.blob()), None)
    assert store.json("show", "mine") == [mine]

    shown = dict(re.split(r"  +| (?=/)", line, maxsplit=1) for line in
                 store("show", "mine").stdout.splitlines())
    assert shown["name"] == "mine" and shown["sha256"] == SHA256
    assert shown["size"] == "17.6 KiB (18000 bytes)" and shown["state"] == "present"
    assert store("show", "broken").returncode == 2


def test_a_manifest_does_not_get_at_the_terminal(store):
    store.have()
    path = store.root / "manifests" / "mine.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "license": "\x1b[2Jmine", "from-the-future": 1}))
    with Terminal([INFERDCTL, "show", "mine"], store.env) as t:
        assert t.end() == 0 and b"\x1b" not in t.raw
        assert "license      \ufffd[2Jmine" in t.screen()


# --- verify ------------------------------------------------------------------------------


def test_verify_tells_what_is_not_right(store):
    store.have("right")
    bad = store.have("bad", b"x" * 1000)
    store.have("gone", b"y").unlink()
    bad.chmod(0o600)
    bad.write_bytes(b"z" * 1000)
    wanted, found = (hashlib.sha256(c * 1000).hexdigest() for c in (b"x", b"z"))
    wrong = f"bad: wrong: expected {wanted}, found {found}"
    before = store.files()
    for args in ([], ["--all"]):
        run = store("verify", *args)
        assert run.returncode == 1
        assert run.stdout.splitlines() == [wrong, "gone: missing", "right: right"]
    assert (store("verify", "right").returncode, store("verify", "bad").returncode) == (0, 1)
    verdicts = store.json("verify", code=1)
    assert [(v["type"], v["name"], v["verdict"]) for v in verdicts] == [
        ("verified", "bad", "wrong"), ("verified", "gone", "missing"),
        ("verified", "right", "right")]
    assert (verdicts[0]["expected_sha256"], verdicts[0]["actual_sha256"]) == (wanted, found)
    assert verdicts[1]["actual_sha256"] is None
    assert store.files() == before


def test_verify_goes_on_behind_what_it_can_not_read(store):
    store.have("mine")
    (store.root / "manifests" / "broken.json").write_text("{")
    run = store("verify")
    assert (run.returncode, run.stdout) == (2, "mine: right\n")
    assert "broken: malformed manifest at" in run.stderr


@pytest.mark.parametrize("args, complaint", [
    (["mine", "--all"], "--all and 'mine': which of the two?"),
    (["--url", "https://localhost/x"], "--url goes with --repair"),
    (["nobody"], "nobody"),
])
def test_what_can_not_be_verified(store, args, complaint):
    run = store("verify", *args)
    assert run.returncode == 2 and complaint in run.stderr


def test_ctrl_c_ends_verify(store):
    file = large_file(store)
    blob = store.have("other", b"small")
    blob.unlink()
    os.link(file, blob)
    with Terminal([INFERDCTL, "verify"], store.env) as t:
        t.await_text("of 4.0 GiB")
        t.type("\x03")
        assert t.end() == 130 and t.screen() in ([], [""])
    assert blob.exists()


# --- rm, gc, df --------------------------------------------------------------------------


def test_rm_keeps_what_others_need(store):
    store.have("a")
    store.have("b")
    assert store("rm", "a").stderr == \
        "inferdctl: removed a; its blob stays: another model needs it\n"
    assert store.blob().exists()
    assert store.json("rm", "b") == [{"blob": "removed", "freed_bytes": len(CONTENT), "name": "b"}]
    assert store.files() == []
    run = store("rm", "b")
    assert run.returncode == 2 and 'there is no model "b"' in run.stderr


def test_rm_waits_for_nobody(store):
    store.have()
    with store.locked("mine"):
        run = store("rm", "mine")
        assert run.returncode == 2
        assert 'model "mine" is being written by another process' in run.stderr
    assert store.blob().exists()


@pytest.fixture
def later(tmp):
    """The environment of a program for which it is two hours later."""
    if shutil.which("cc") is None or any(
            mark in INFERDCTL.read_bytes() for mark in (b"__asan_init", b"__tsan_init")):
        pytest.skip("needs a compiler, and a program without a sanitizer")
    (tmp / "later.c").write_text(
        "#define _GNU_SOURCE\n#include <time.h>\n"
        "time_t time(time_t *t) { struct timespec s; clock_gettime(CLOCK_REALTIME, &s);\n"
        "    s.tv_sec += 7200; if (t) *t = s.tv_sec; return s.tv_sec; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp / "later.so", tmp / "later.c"], check=True,
                   timeout=10 * PATIENCE)
    return {"LD_PRELOAD": str(tmp / "later.so")}


def litter(store):
    """What gc is for: {kind: path}."""
    store.have("mine")
    blob = store.have("forgotten", b"x" * 3000)
    (store.root / "manifests" / "forgotten.json").unlink()
    partial = store.root / "blobs" / "sha256" / "aa" / (".partial-" + "aa" * 32)
    partial.mkdir(parents=True)
    (partial / "data.tmp").write_bytes(b"y" * 2048)
    quarantine = store.root / "locks" / "quarantine"
    quarantine.mkdir(exist_ok=True)
    (quarantine / "20260101T000000Z-sha-mismatch.bin").write_bytes(b"z" * 100)
    return blob, partial, quarantine


def test_gc_shows_first_and_removes_only_when_told(store, later):
    litter(store)
    before = store.files()
    assert store("gc", "--yes").stderr == "inferdctl: there is nothing to remove\n", "all is young"
    for args in ([], ["--dry-run"], ["--yes", "--dry-run"]):
        run = store("gc", *args, **later)
        assert run.returncode == 0
        assert {line.split()[0]: " ".join(line.split()[1:3]) for line in run.stdout.splitlines()} \
            == {"blob": "2.9 KiB", "partial": "2.0 KiB", "quarantine": "100 B"}
        assert run.stderr == "inferdctl: inferdctl gc --yes would remove this: 5.0 KiB\n"
        assert store.files() == before
    store.env.update(later)
    df, = store.json("df")
    assert df["garbage"] == {"bytes": 3000 + 2048 + 100, "count": 3}

    run = store("gc", "--yes")
    assert (run.returncode, run.stderr) == (0, "inferdctl: 5.0 KiB are free\n")
    assert len(run.stdout.splitlines()) == 3
    assert store.files() == [str(store.blob().relative_to(store.root)), "manifests/mine.json"]
    assert store.json("gc", "--yes") == []


def test_gc_as_json(store, later):
    litter(store)
    store.env.update(later)
    for args, removed in (["gc"], False), (["gc", "--yes"], True):
        assert {(o["kind"], o["bytes"], o["removed"]) for o in store.json(*args)} == {
            ("blob", 3000, removed), ("partial", 2048, removed), ("quarantine", 100, removed)}


def test_gc_removes_nothing_where_a_manifest_can_not_be_read(store, later):
    litter(store)
    (store.root / "manifests" / "broken.json").write_text("{")
    before = store.files()
    run = store("gc", "--yes", **later)
    assert run.returncode == 2 and "malformed manifest at" in run.stderr
    assert store.files() == before


def test_df(store):
    litter(store)
    lines = {line.split()[0]: line.split()[1:] for line in store("df").stdout.splitlines()}
    assert lines["store"] == [str(store.root)]
    assert lines["blob"] == ["2", "20.5", "KiB"] and lines["partial"] == ["1", "2.0", "KiB"]
    assert lines["quarantine"] == ["1", "100", "B"] and lines["for"] == ["gc", "0", "0", "B"]
    df, = store.json("df")
    assert df["store"] == str(store.root) and 0 < df["free_bytes"] < df["total_bytes"]
    assert df["kinds"]["blob"] == {"bytes": len(CONTENT) + 3000, "count": 2}
    assert df["kinds"]["staging"] == {"bytes": 0, "count": 0}


# --- pull, as far as it goes without a download ----------------------------------------------


@pytest.mark.parametrize("args, complaint", [
    ([], "which model? give a name of the catalog, or --name, --url and --sha256"),
    (["gemma-4-e5b"], "the catalog has no 'gemma-4-e5b'; did you mean 'gemma-4-e4b'?"),
    (["something-else"], "for a model of your own give --name, --url and --sha256"),
    (["gemma-4-e4b", "--sha256", SHA256], "give --name instead"),
    (["--name", "mine"], "needs --name, --url and --sha256"),
    (["--name", "mine", "--sha256", SHA256[1:]], "SHA-256"),
    (["--name", "mine", "--sha256", SHA256 + "0"], "SHA-256"),
    (["--name", "mine", "--sha256", SHA256.upper()], "SHA-256"),
    (["--name", "mine", "--sha256", "../" * 20 + "etc/"], "SHA-256"),
])
def test_a_pull_that_can_not_be_is_explained(store, args, complaint):
    run = store("pull", *args)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("inferdctl: ") and complaint in run.stderr
    assert not store.root.exists()


@pytest.fixture
def alone(store, tmp):
    """An installation of inferdctl in which nothing else is.  PATH is no way around that."""
    (tmp / "bin").mkdir()
    store.program = tmp / "bin" / "inferdctl"
    shutil.copy(INFERDCTL, store.program)
    store.env["PATH"] = f"{BIN}:{os.environ['PATH']}"
    return store


def test_an_airgapped_installation_says_what_to_do_instead(alone):
    run = alone("pull", "gemma-4-e4b")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        f"inferdctl: pulling gemma-4-e4b -> {alone.root}\n"
        'error: fetch failed: model "gemma-4-e4b" is not in the model store and this is an '
        "airgapped build (no model-fetch feature); import it with `inferdctl import --name "
        "gemma-4-e4b <path.gguf>`\n")
    assert not alone.root.exists()


def test_an_airgapped_installation_finds_what_is_there(alone):
    alone.have()
    order = ["pull", "--name", "mine", "--sha256", SHA256, "--url", "https://localhost/x"]
    run = alone(*order)
    assert (run.returncode, run.stdout) == (0, f"{alone.blob()}\n")
    assert run.stderr.endswith(f"inferdctl: blob ready at {alone.blob()}\n")
    done, = alone.json(*order)
    assert (done["type"], done["how"], done["path"]) == ("done", "manifest", str(alone.blob()))


def test_an_airgapped_installation_takes_no_other_bytes_for_a_name(alone):
    alone.have()
    alone.have("other", b"x")
    run = alone("pull", "--name", "mine", "--sha256", hashlib.sha256(b"x").hexdigest())
    assert run.returncode == 2 and "this is an airgapped build" in run.stderr


def test_an_airgapped_installation_repairs_nothing(alone):
    alone.have().unlink()
    run = alone("verify", "--repair")
    assert run.returncode == 2 and "this is an airgapped build" in run.stderr


@pytest.mark.parametrize("script, complaint", [
    ("echo help me >&2; kill -9 $$", "help me\nerror: fetch failed: inferd-fetch was ended by "
                                     "signal 9 (Killed)\n"),
    ("echo not json; exit 7", "error: fetch failed: inferd-fetch ended with 7 and did not say why\n"),
    ("exit 0", "error: fetch failed: inferd-fetch ended with 0 and did not say why\n"),
    ("head -c 1000000 /dev/zero; echo '{\"type\":\"error\",\"message\":\"oh no\"}'; exit 5",
     "error: fetch failed: inferd-fetch ended with 5 and did not say why\n"),
    ("echo '{\"type\":\"error\",\"message\":\"oh no\"}'; exit 5", "error: fetch failed: oh no\n"),
])
def test_a_download_that_dies_is_no_success(alone, tmp, script, complaint):
    (tmp / "libexec" / "inferd").mkdir(parents=True)
    program = tmp / "libexec" / "inferd" / "inferd-fetch"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    run = alone("pull", "gemma-4-e4b")
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == f"inferdctl: pulling gemma-4-e4b -> {alone.root}\n" + complaint


def test_the_catalog_is_pinned_and_all_of_it_is_in_the_docs(alone, tmp):
    """Every URL names a revision, every name its digest and size."""
    program = tmp / "bin" / "inferd-fetch"
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\" >args; exit 3\n")
    program.chmod(0o700)
    page = (ROOT / "docs" / "inferdctl.md").read_text()
    names = re.findall(r"the catalog has (\S+)", alone("pull").stderr)
    assert names == ["gemma-4-e4b", "gemma-4-e4b-mmproj", "gemma-4-12b", "embeddinggemma-300m"]
    for name in names:
        alone("pull", name)
        words = (alone.home / "args").read_text().split()
        order = dict(zip(words[::2], words[1::2]))
        assert order["--name"] == name and order["--store"] == str(alone.root)
        assert re.fullmatch(r"https://huggingface\.co/\S+/resolve/[0-9a-f]{40}/\S+\.gguf",
                            order["--url"])
        assert re.fullmatch("[0-9a-f]{64}", order["--sha256"]) and int(order["--size"]) > 1e8
        assert f"`{name}`" in page and name in alone("help", "pull").stdout


# --- the rest --------------------------------------------------------------------------------


def test_a_closed_pipe_and_a_full_disk(store):
    store.have()
    with open("/dev/full", "w") as full:
        run = subprocess.run([INFERDCTL, "list"], env=store.env, stdout=full, text=True,
                             stderr=subprocess.PIPE, timeout=PATIENCE)
    assert (run.returncode, run.stderr) == \
        (2, "inferdctl: cannot write to standard output: No space left on device\n")
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([INFERDCTL, "list"], env=store.env, stdout=write, timeout=PATIENCE)
    os.close(write)
    assert run.returncode == 141


def test_a_short_command_is_not_taken_for_another(store):
    assert "did you mean" not in store("xx").stderr
    assert "did you mean 'list'?" in store("ls").stderr
    assert "did you mean 'rm'?" in store("rmm").stderr
