#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a drive does in its own way: the rules of docs/SEMANTICS.md that other filesystems do not share.

usage: semantics_test.py LAFS        Exit status 77 (skip) where FUSE cannot be used.
"""
import ctypes
import errno
import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile

from drive_test import Failed, Grid, check

RENAME_WHITEOUT = 4
FICLONE = 0x40049409
OFD_SETLK = 37
AT_FDCWD = -100
libc = ctypes.CDLL(None, use_errno=True)


def fails(code, act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        check(error.errno == code, f"{error} instead of {errno.errorcode[code]}")
        return
    raise Failed(f"{act.__name__}{arguments} did not fail with {errno.errorcode[code]}")


def make(path, text="text"):
    with open(path, "w") as file:
        file.write(text)
    return path


def case_link_counts_of_directories_are_two(grid):
    top = os.path.join(grid.drive, "links")
    os.makedirs(os.path.join(top, "a"))
    os.makedirs(os.path.join(top, "b"))
    check(os.stat(top).st_nlink == 2, f"{os.stat(top).st_nlink} links")
    found = subprocess.run(["find", top, "-type", "d"], capture_output=True, text=True, check=True)
    check(len(found.stdout.split()) == 3, "find is misled: " + found.stdout)


def case_whiteouts_are_refused(grid):
    path = make(os.path.join(grid.drive, "white"))
    done = libc.renameat2(AT_FDCWD, path.encode(), AT_FDCWD, (path + "2").encode(), RENAME_WHITEOUT)
    check(done == -1 and ctypes.get_errno() == errno.EINVAL, os.strerror(ctypes.get_errno()))
    check(os.path.exists(path), "it moved")


def case_reflinks_are_refused(grid):
    source = make(os.path.join(grid.drive, "source"))
    with open(source) as old, open(source + "2", "w") as new:
        fails(errno.EOPNOTSUPP, fcntl.ioctl, new.fileno(), FICLONE, old.fileno())


def case_the_roots_attributes_last_as_long_as_the_mount(grid):
    before = os.stat(grid.drive).st_mode & 0o7777
    os.chmod(grid.drive, 0o711)
    check(os.stat(grid.drive).st_mode & 0o7777 == 0o711, "chmod of the root")
    grid.unmount()
    grid.mount()
    check(os.stat(grid.drive).st_mode & 0o7777 == before, "the root's mode lasted")


def case_our_own_attributes(grid):
    path = make(os.path.join(grid.drive, "shown"), "shown " * 100)
    grid.command("flush")
    cap = os.getxattr(path, "user.lafs.cap")
    check(cap.startswith(b"URI:CHK:"), f"cap {cap}")
    check(os.getxattr(path, "user.lafs.verifycap").startswith(b"URI:CHK-Verifier:"), "verifycap")
    check(os.getxattr(path, "user.lafs.readcap") == cap, "readcap of a file")
    check(os.getxattr(path, "user.lafs.state") == b"clean", "state")
    check(os.getxattr(grid.drive, "user.lafs.node") == grid.node.encode(), "node of the mountpoint")
    check(os.listxattr(path) == [], f"listed: {os.listxattr(path)}")
    fails(errno.EPERM, os.setxattr, path, "user.lafs.cap", b"x")


def case_locks_of_open_files(grid):
    path = make(os.path.join(grid.drive, "locked"))
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with open(path, "r+") as one, open(path, "r+") as two:
        fcntl.fcntl(one.fileno(), OFD_SETLK, lock)
        with open(path, "r+"):
            pass  # the end of a third open file ends no lock of the first
        fails(errno.EAGAIN, fcntl.fcntl, two.fileno(), OFD_SETLK, lock)
    with open(path, "r+") as two:
        fcntl.fcntl(two.fileno(), OFD_SETLK, lock)


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]


def main():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return 77
    work = os.path.realpath(tempfile.mkdtemp(prefix="lafs-semantics-"))
    grid = Grid(os.path.abspath(sys.argv[1]), work)
    failed = 0
    try:
        grid.start()
        grid.mount()
        for case in CASES:
            name = case.__name__[5:].replace("_", " ")
            if len(sys.argv) > 2 and case.__name__[5:] not in sys.argv[2:]:
                continue
            try:
                case(grid)
                print(f"ok    {name}", flush=True)
            except (Failed, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"FAIL  {name}: {error}", flush=True)
        grid.unmount()
    finally:
        grid.close()
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
