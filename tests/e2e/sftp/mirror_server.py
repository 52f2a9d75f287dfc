#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A server for `sftp -D` that seems to serve the local disk: for scripts that look for the results there.

    mirror_server.py DIRECTORY FILE... -- SERVER [WORD...]

Starts SERVER, which speaks SFTP on standard input and output, and first puts copies of DIRECTORY (with all below it)
and the FILEs into it, under the same paths. Then the client talks to it; what it names and has made itself meanwhile is
put there first. When the client has ended, DIRECTORY gets what the server changed, and only that.
"""

import os
import pathlib
import queue
import stat
import struct
import subprocess
import sys
import threading

OURS = 0xFFFFFF00  # request ids that no client reaches


def text(value):
    value = os.fsencode(value)
    return struct.pack(">I", len(value)) + value


class Sftp:
    """SFTP by hand: one request, one reply."""

    def __init__(self, server):
        self.out, self.into = server.stdout, server.stdin
        self.packet(1, struct.pack(">I", 3))
        assert self.receive()[0] == 2
        self.replies = queue.Queue()
        threading.Thread(target=self.relay, daemon=True).start()

    def packet(self, kind, body):
        self.into.write(struct.pack(">IB", len(body) + 1, kind) + body)
        self.into.flush()

    def receive(self):
        head = self.out.read(4)
        return self.out.read(struct.unpack(">I", head)[0]) if len(head) == 4 else b""

    def relay(self):
        """Replies to the client, but for those to ourselves."""
        while packet := self.receive():
            if len(packet) >= 5 and packet[0] != 2 and struct.unpack_from(">I", packet, 1)[0] == OURS:
                self.replies.put(packet)
            else:
                os.write(1, struct.pack(">I", len(packet)) + packet)

    def ask(self, kind, body):
        """The reply without its id; nothing for a status, true for a good one."""
        self.packet(kind, struct.pack(">I", OURS) + body)
        reply = self.replies.get()
        if reply[0] == 101:
            return struct.unpack_from(">I", reply, 5)[0] == 0
        return reply[5:]

    def make_parents(self, path):
        for parent in reversed(path.parents):
            self.ask(14, text(parent) + struct.pack(">I", 0))

    def put(self, path, mode, content):
        handle = self.ask(3, text(path) + struct.pack(">III", 0x1A, 4, mode))
        for at in range(0, len(content), 30_000):
            piece = content[at:at + 30_000]
            assert self.ask(6, handle + struct.pack(">QI", at, len(piece)) + piece)
        assert self.ask(4, handle)

    def get(self, path):
        handle, out = self.ask(3, text(path) + struct.pack(">II", 1, 0)), b""
        while piece := self.ask(5, handle + struct.pack(">QI", len(out), 30_000)):
            out += piece[4:]
        self.ask(4, handle)
        return out

    def entries(self, path):
        handle, out = self.ask(11, text(path)), {}
        while reply := self.ask(12, handle):
            at, count = 4, struct.unpack_from(">I", reply)[0]
            for _ in range(count):
                words = []
                for _ in range(2):
                    size = struct.unpack_from(">I", reply, at)[0]
                    words.append(os.fsdecode(reply[at + 4:at + 4 + size]))
                    at += 4 + size
                flags, mode = struct.unpack_from(">I", reply, at)[0], 0
                at += 4
                for flag, size in (1, 8), (2, 8), (4, 4), (8, 8):
                    if flags & flag and flag == 4:
                        mode = struct.unpack_from(">I", reply, at)[0]
                    at += size if flags & flag else 0
                if words[0] not in (".", ".."):
                    out[words[0]] = mode
        self.ask(4, handle)
        return out

    def link_target(self, path):
        reply = self.ask(19, text(path))
        return os.fsdecode(reply[8:8 + struct.unpack_from(">I", reply, 4)[0]])


def bring(sftp, path, known):
    """A copy of what is there; `known` remembers it."""
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        sftp.ask(14, text(path) + struct.pack(">I", 0))
        known[path] = "directory"
        for entry in path.iterdir():
            bring(sftp, entry, known)
    elif stat.S_ISLNK(mode):
        known[path] = os.readlink(path)
        sftp.ask(20, text(known[path]) + text(path))
    elif os.access(path, os.R_OK):
        known[path] = path.read_bytes()
        sftp.put(path, stat.S_IMODE(mode), known[path])


def take(sftp, directory, known, seen):
    for name, mode in sftp.entries(directory).items():
        path = directory / name
        seen.add(path)
        if stat.S_ISDIR(mode):
            if known.get(path) != "directory":
                path.mkdir(exist_ok=True)
            take(sftp, path, known, seen)
        elif stat.S_ISLNK(mode):
            target = sftp.link_target(path)
            if known.get(path) != target:
                path.unlink(missing_ok=True)
                path.symlink_to(target)
        else:
            content = sftp.get(path)
            if known.get(path) != content:
                path.write_bytes(content)
                path.chmod(stat.S_IMODE(mode))


# OPEN, LSTAT, REMOVE, STAT, RENAME: the requests whose first path may be one that the client has just made.
NAMES_A_PATH = (3, 7, 13, 17, 18)


def named_by(packet):
    if packet[0] not in NAMES_A_PATH:
        return None
    return pathlib.Path(os.fsdecode(packet[9:9 + struct.unpack_from(">I", packet, 5)[0]]))


def requests():
    """The client's packets."""
    with os.fdopen(0, "rb", closefd=False) as client:
        while len(head := client.read(4)) == 4:
            yield client.read(struct.unpack(">I", head)[0])


def main():
    border = sys.argv.index("--")
    paths = [pathlib.Path(p) for p in sys.argv[1:border]]
    server = subprocess.Popen(sys.argv[border + 1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    sftp, known = Sftp(server), {}
    for path in paths:
        if path.exists():
            sftp.make_parents(path)
            bring(sftp, path, known)
    for packet in requests():
        path = named_by(packet)
        if path and paths[0] in path.parents and path not in known and os.path.lexists(path):
            bring(sftp, path, known)
        sftp.packet(packet[0], packet[1:])
    seen = set()
    take(sftp, paths[0], known, seen)
    for path in sorted(known, reverse=True):
        if paths[0] in path.parents and path not in seen:
            path.rmdir() if known[path] == "directory" else path.unlink(missing_ok=True)
    server.stdin.close()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
