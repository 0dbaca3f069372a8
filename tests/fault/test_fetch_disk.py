"""inferd-fetch on disks that are full, read-only or broken: what was downloaded is kept, the
message says what to do, and the next run goes on."""
import os
import resource
import subprocess
import sys

import pytest

from fetching import (BIN, FACTOR, MIB, certificate, content_of, fetch, server,  # noqa: F401
                      servers)

LARGE = content_of(20 * MIB + 12345)
FAULTS = BIN.parent / "lib" / "libfaulty-disk.so"


def goes_on(server, fetch, most):
    """The next run succeeds and asks for at most so many bytes."""
    before = server.sent
    r = fetch(LARGE, server.url())
    assert r.code == 0 and fetch.has(LARGE)
    assert server.sent - before <= most


def test_no_file_may_grow_beyond(server, fetch):
    server.serve(LARGE)
    limit = 9 * MIB + 4321
    r = fetch(LARGE, server.url(), "--connections", 1, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (limit, limit)))
    assert r.failed(13, "no_space", "data.tmp", "more bytes are needed", "is kept", "next run")
    assert fetch.lacks(LARGE) and fetch.partial(LARGE).exists()
    goes_on(server, fetch, len(LARGE) - limit)


@pytest.mark.skipif(FACTOR != 1, reason="a sanitizer's library wants to be the first")
@pytest.mark.parametrize("call,code,kind", [("pwrite ENOSPC", 13, "no_space"),
                                            ("pwrite EIO", 6, "io"), ("fdatasync EIO", 6, "io"),
                                            ("pread EIO", 6, "io")])
def test_the_disk_says_no(server, fetch, call, code, kind):
    server.serve(LARGE)
    env = {"LD_PRELOAD": str(FAULTS), "FAULTY_DISK": call + f" {10 * MIB}"}
    r = fetch(LARGE, server.url(), "--connections", 1, env=env)
    assert r.failed(code, kind)
    assert fetch.lacks(LARGE) and fetch.partial(LARGE).exists()
    goes_on(server, fetch, len(LARGE) - 9 * MIB)


@pytest.mark.skipif(FACTOR != 1, reason="a sanitizer's library wants to be the first")
def test_the_last_flush_fails(server, fetch):
    server.serve(LARGE)
    env = {"LD_PRELOAD": str(FAULTS), "FAULTY_DISK": f"fsync EIO {len(LARGE)}"}
    r = fetch(LARGE, server.url(), env=env)
    assert r.failed(8, "finalise") and fetch.lacks(LARGE)
    goes_on(server, fetch, 0)


def in_a_mount(*words):
    """Runs the tests of this file named so where /mnt is a tmpfs of 10 MiB of our own."""
    own = ["unshare", "-Urm", "sh", "-c",
           "mount -t tmpfs -o size=10m tmpfs /mnt && exec \"$@\"", "sh"]
    if subprocess.run(own + ["true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    run = subprocess.run(own + ["/usr/bin/env", "INFERD_TEST_MOUNT=/mnt", sys.executable, "-m",
                                "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", *words],
                         capture_output=True, text=True)
    print(run.stdout)
    assert run.returncode == 0 and "1 passed" in run.stdout


only_inside = pytest.mark.skipif("INFERD_TEST_MOUNT" not in os.environ,
                                 reason="run by another test")


def test_a_small_disk():
    in_a_mount("inside_small")


def test_a_read_only_disk():
    in_a_mount("inside_read_only")


@only_inside
def test_inside_small(server, fetch):
    """It is refused before the first byte; it fills up under way; then there is room."""
    server.serve(LARGE)
    fetch.store = fetch.root.__class__("/mnt/store")
    r = fetch(LARGE, server.url())
    assert r.failed(13, "no_space") and server.sent < 9 * MIB
    assert fetch.partial(LARGE).stat().st_size == 0

    subprocess.run(["mount", "-o", "remount,size=40m", "/mnt"], check=True)
    filler = fetch.root.__class__("/mnt/filler")

    def fill(sent):
        if not filler.exists():
            filler.write_bytes(bytes(28 * MIB))
    server.on_sent = fill
    server.sent = 0
    r = fetch(LARGE, server.url())
    assert r.failed(13, "no_space", "more bytes are needed", "is kept")
    server.on_sent = lambda sent: None
    filler.unlink()
    goes_on(server, fetch, len(LARGE) - 4 * MIB)


@only_inside
def test_inside_read_only(server, fetch):
    server.serve(LARGE)
    fetch.store = fetch.root.__class__("/mnt/store")
    fetch.store.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", "/mnt"], check=True)
    r = fetch(LARGE, server.url())
    assert r.failed(6, "io", "Read-only file system") and server.requests == []
