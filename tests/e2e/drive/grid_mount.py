#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mounts the root of a fresh little grid at a directory, in the foreground, until it is unmounted.

usage: grid_mount.py LAFS MOUNTPOINT

For lists of rules that get a mounted directory. Exits with the mounting program's status; the
servers are stopped and everything is removed before.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile


def main():
    lafs, mountpoint = sys.argv[1:]
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return 77
    work = tempfile.mkdtemp(prefix="lafs-grid-")
    grid, node = os.path.join(work, "grid"), os.path.join(work, "node")
    daemon = None

    def stop(*_):
        if daemon:
            daemon.send_signal(signal.SIGTERM)
        else:
            sys.exit(1)

    signal.signal(signal.SIGTERM, stop)
    try:
        subprocess.run([lafs, "grid", "start", "--servers", "5", "--dir", grid], check=True)
        subprocess.run([lafs, "--node", node, "create-node", "--grid",
                        os.path.join(grid, "servers.yaml"), "--shares", "3,4,5"], check=True)
        daemon = subprocess.Popen([lafs, "--node", node, "mount", "-f", mountpoint])
        return daemon.wait()
    finally:
        subprocess.run([lafs, "grid", "stop", "--dir", grid])
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
