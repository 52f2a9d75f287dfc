#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mounts an in-memory filesystem at a directory with sshfs over our server, until it is unmounted.

    sshfs_mount.py SERVE_MEMFS MOUNTPOINT [--stdio]

For lists of rules that get a mounted directory. --stdio: without SSH in between. Exits with 0 when
everything was given back.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile

from sftp_server import SKIP, Server

# What sshfs keeps for itself is left out, so that the rules meet the server.
OPTIONS = "dir_cache=no,attr_timeout=0,entry_timeout=0,negative_timeout=0,default_permissions"


def serve(words):
    mount = subprocess.Popen(words)
    signal.signal(signal.SIGTERM, lambda *_: mount.send_signal(signal.SIGTERM))
    return mount.wait()


def main():
    serve_memfs, mountpoint = sys.argv[1:3]
    if not shutil.which("sshfs") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: no sshfs, or /dev/fuse cannot be used")
        return SKIP
    if sys.argv[3:] == ["--stdio"]:
        with tempfile.TemporaryDirectory(prefix="lafs-sshfs-") as work:
            script = os.path.join(work, "server")
            with open(script, "w") as out:
                out.write(f"#!/bin/sh\n{serve_memfs}\necho $? > {work}/status\n")
            os.chmod(script, 0o755)
            status = serve(["sshfs", "-f", "-o", f"{OPTIONS},ssh_command={script}", "x:/", mountpoint])
            with open(os.path.join(work, "status")) as ended:
                return status or int(ended.read())
    with Server(serve_memfs) as server:
        return serve(["sshfs", "-f", "-o", OPTIONS, "-o", f"ssh_command=ssh {' '.join(server.ssh_options())}",
                      f"alice@{server.host}:/", mountpoint])


if __name__ == "__main__":
    sys.exit(main())
