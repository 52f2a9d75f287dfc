#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenSSH's own regression scripts for sftp (Debian: openssh-tests) with our server behind `sftp -D`.

    regress_test.py SERVE_MEMFS LAFS

Over an in-memory filesystem; with LAFS_LONG_TESTS=1 all of them also through `lafs sftp-server --stdio` on a grid. The
scripts look for the results on the local disk: mirror_server.py.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

from sftp_server import SKIP, need, run

SCRIPTS = pathlib.Path("/usr/lib/openssh/regress")
# The others are about programs that are not ours (sftp-server's options, sshd's chroot, URIs).
NAMES = ["sftp-cmds.sh", "sftp-batch.sh", "sftp-badcmds.sh", "sftp-glob.sh", "sftp.sh"]
LONG = os.environ.get("LAFS_LONG_TESTS") == "1"

# What test-exec.sh gives the scripts, as far as they use it.
HARNESS = r"""
verbose() { echo "$@"; }
trace() { :; }
fatal() { echo "FAIL $@"; exit 1; }
fail() { echo "FAIL $@"; RESULT=1; }
cleanup() { :; }
config_defined() { false; }
RESULT=0
cd $OBJ
. "$1"
exit $RESULT
"""


# A directory of the grid holds content by value: it has no second name for a file.
NO_HARD_LINKS = {"FAIL missing file after ln", "FAIL created file is not equal after ln"}


def passes(script, server, allowed=()):
    with tempfile.TemporaryDirectory(prefix="lafs-regress-") as work:
        work = pathlib.Path(work).resolve()
        obj = work / "obj"
        obj.mkdir()
        (obj / "data").write_bytes(os.urandom(70_000))
        mirror = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "mirror_server.py"),
                  str(obj), "/bin/ls", "/bin/ln", "/bin/sh", "--", *server]
        (work / "server").write_text(f"#!/bin/sh\nexec {shlex.join(mirror)}\n")
        (work / "server").chmod(0o755)
        (work / "harness").write_text(HARNESS)
        environment = {**os.environ, "OBJ": str(obj), "DATA": str(obj / "data"), "DATANAME": "data", "COPY": str(obj / "copy"),
                       "SFTP": "sftp", "SFTPSERVER": str(work / "server"), "TEST_SSH_QUIET": "no",
                       "TEST_SHELL": "/bin/sh", "EXEEXT": ""}
        done = subprocess.run(["sh", str(work / "harness"), str(SCRIPTS / script)], env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500)
        failures = {line for line in done.stdout.splitlines()
                    if line.startswith(("FAIL", "Traceback", "still held"))}
        good = failures <= set(allowed) and (done.returncode == 0 or failures)
        if not good:
            print(f"{script}: {done.returncode}\n{done.stdout}")
        return good


def on_a_grid(lafs):
    with tempfile.TemporaryDirectory(prefix="lafs-regress-") as work:
        work = pathlib.Path(work)
        grid, node = work / "grid", work / "node"
        try:
            run(lafs, "grid", "start", "--servers", "1", "--dir", grid)
            run(lafs, "--node", node, "create-node", "--grid", grid / "servers.yaml", "--shares", "1,1,1")
            server = [lafs, "--node", str(node), "sftp-server", "--stdio"]
            return [name for name in NAMES if not passes(name, server, NO_HARD_LINKS)]
        finally:
            run(lafs, "grid", "stop", "--dir", grid)


def main():
    need("sftp")
    if not all((SCRIPTS / name).exists() for name in NAMES):
        print("SKIP: not installed: openssh-tests")
        return SKIP
    failed = [name for name in NAMES if not passes(name, [os.path.abspath(sys.argv[1])])]
    if LONG:
        failed += on_a_grid(os.path.abspath(sys.argv[2]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
