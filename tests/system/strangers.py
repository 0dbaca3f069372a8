"""
Another user of the machine, for tests that root runs.

    @needs_root
    def test_…(start):
        frame = ask_as(start(), STRANGER, 77, groups=[88])
"""
import json
import os
import subprocess
import sys

import pytest

from daemon import PATIENCE

STRANGER = 54321

# Becomes another user, connects, and prints what it is told, byte for byte.
AS_ANOTHER = """
import os, socket, sys
path, uid, gid, groups = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), eval(sys.argv[4])
s = socket.socket(socket.AF_UNIX)
os.setgroups(groups); os.setgid(gid); os.setuid(uid)
s.connect(path)
s.settimeout(10)
try:
    s.sendall(b'{"id":"x","messages":[{"role":"user","content":"say hi"}],"stream":false}\\n')
    s.shutdown(socket.SHUT_WR)
except BrokenPipeError:
    pass
data = b""
while True:
    try:
        more = s.recv(65536)
    except ConnectionResetError:
        break
    if not more:
        break
    data += more
sys.stdout.buffer.write(data)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


def ask_as(daemon, uid, gid, groups=()):
    # Let it through the directories; who may is then up to the daemon.
    for path in (daemon.home, daemon.runtime):
        os.chmod(path, 0o711)
    os.chmod(daemon.path, 0o666)
    out = subprocess.run([sys.executable, "-c", AS_ANOTHER, str(daemon.path), str(uid), str(gid),
                          repr(list(groups))], capture_output=True, timeout=3 * PATIENCE, check=True)
    return json.loads(out.stdout.splitlines()[-1])
