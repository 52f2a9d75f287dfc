#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the conformance list.

    run.py LIST [--only NAME]... [--not NAME]...                        in a directory of the plain OS
    run.py LIST [--only NAME]... [--not NAME]... -- COMMAND... {} ...   on what COMMAND mounts at {}

LIST is the program conformance_paths. After the list, the mount is unmounted: the mounting program
must then end with 0, and nothing may stay mounted. Exit codes: 0, 1, or 77 for "cannot mount here".
"""

import os
import subprocess
import sys
import tempfile

from mounted import SKIP, MountFailed, Mounted, mounts_at, unmount


def run_plain(command):
    with tempfile.TemporaryDirectory(prefix="lafs-plain-") as path:
        os.chmod(path, 0o755)
        return subprocess.run(command + [path]).returncode


def run_mounted(command, mount_command):
    try:
        mounted = Mounted(mount_command)
    except MountFailed as failed:
        print(failed)
        return SKIP if failed.code == SKIP else 1
    with mounted:
        result = subprocess.run(command + [mounted.path]).returncode
        done = unmount(mounted.path)
        if done.returncode != 0:
            print("FAIL cannot unmount:", done.stderr)
            return 1
        code = mounted.ended()
        if code != 0:
            print("FAIL the mounting program ended with", code)
            return 1
        if mounts_at(mounted.path):
            print("FAIL something is still mounted at", mounted.path)
            return 1
        return result


def main():
    words = sys.argv[1:]
    if not words:
        print(__doc__)
        return 2
    if "--" in words:
        at = words.index("--")
        return run_mounted(words[:at], words[at + 1:])
    return run_plain(words)


if __name__ == "__main__":
    sys.exit(main())
