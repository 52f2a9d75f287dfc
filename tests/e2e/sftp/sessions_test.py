#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Many sessions at once, some that do not read, some that are killed, and a server that stops or asks for new keys.

    sessions_test.py SERVE_MEMFS
"""

import filecmp
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading

from sftp_server import SKIP, Server, need, random_file, run, wait_until

MANY = 200
STUCK = 8
LARGE = 16 * 1024 * 1024


def resident(server):
    """Bytes of memory that the server has, in MiB."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


class Packets:
    """SFTP by hand, over the ssh program."""

    def __init__(self, server):
        self.ssh = subprocess.Popen(["ssh", *server.ssh_options(), "-s", f"alice@{server.host}", "sftp"],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.send(1, struct.pack(">I", 3))
        assert self.receive()[0] == 2

    def send(self, kind, body):
        self.ssh.stdin.write(struct.pack(">IB", len(body) + 1, kind) + body)
        self.ssh.stdin.flush()

    def receive(self):
        size = struct.unpack(">I", self.ssh.stdout.read(4))[0]
        packet = self.ssh.stdout.read(size)
        return packet[0], packet[1:]

    def open(self, name):
        self.send(3, struct.pack(">II", 1, len(name)) + name + struct.pack(">II", 1, 0))
        kind, body = self.receive()
        assert kind == 102, body
        return body[8:]

    def ask_and_never_read(self, handle, requests):
        for number in range(requests):
            self.send(5, struct.pack(">II", number, len(handle)) + handle +
                      struct.pack(">QI", number * 261120 % LARGE, 261120))

    def end(self):
        self.ssh.kill()
        self.ssh.wait()
        self.ssh.stdin.close()
        self.ssh.stdout.close()


def who_does_not_read_delays_nobody(server):
    """Each of them asks for 100 MiB and reads nothing; half of them do not even read from the network."""
    server.sftp(f"put {random_file(server.dir / 'large', LARGE)} large")
    before = resident(server)
    stuck = []
    try:
        for number in range(STUCK):
            client = Packets(server)
            stuck.append(client)
            handle = client.open(b"/large")
            if number % 2:
                client.ask_and_never_read(handle, 300)
                client.ssh.send_signal(signal.SIGSTOP)
            else:
                client.ask_and_never_read(handle, 400)
        # Somebody else works as if they were not there.
        back = server.dir / "back"
        server.sftp(f"get large {back}\n" + "ls -l large\n" * 200)
        assert filecmp.cmp(server.dir / "large", back, shallow=False)
        grown = resident(server) - before
        # 4 MiB being read, 4 MiB waiting, the requests, a window of libssh: for each of them.
        assert grown < 16 * STUCK, f"{grown} MiB for {STUCK} sessions that do not read"
    finally:
        for client in stuck:
            client.end()


def two_hundred_at_once(server):
    import paramiko
    key = paramiko.Ed25519Key.from_private_key_file(str(server.key))
    before = resident(server)
    sessions, trouble = [None] * MANY, []

    def begin(numbers):
        for number in numbers:
            try:
                transport = paramiko.Transport((server.host, server.port))
                transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = 120
                sessions[number] = transport
                transport.connect(username="alice", pkey=key)
                transport.sftp = paramiko.SFTPClient.from_transport(transport)
            except Exception as error:  # pylint: disable=broad-except
                trouble.append(f"session {number}: {error!r}")

    def work(numbers):
        for number in numbers:
            try:
                with sessions[number].sftp.open(f"many{number}", "w") as out:
                    out.write(f"I am {number}".encode() * 1000)
                with sessions[number].sftp.open(f"many{number}") as back:
                    assert back.read() == f"I am {number}".encode() * 1000
            except Exception as error:  # pylint: disable=broad-except
                trouble.append(f"session {number}: {error!r}")

    try:
        for job in (begin, work):
            threads = [threading.Thread(target=job, args=(range(first, MANY, 10),)) for first in range(10)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert not trouble, trouble[:5]
        assert len(sessions[0].sftp.listdir()) >= MANY
        grown = (resident(server) - before) / MANY
        assert grown < 1, f"{grown} MiB for a session that waits"
    finally:
        for transport in sessions:
            if transport:
                transport.close()


def killed_sshfs(server):
    """What sshfs had sent is there, and the server holds nothing of it."""
    if not shutil.which("sshfs") or not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("skipped: no sshfs, or no /dev/fuse")
        return
    mountpoint = tempfile.mkdtemp(prefix="lafs-sshfs-")
    mount = subprocess.Popen(["sshfs", "-f", f"alice@{server.host}:/", mountpoint, "-o",
                              f"ssh_command=ssh {' '.join(server.ssh_options())}"])
    try:
        wait_until("mounted", lambda: os.path.ismount(mountpoint), 60)
        with open(f"{mountpoint}/by-sshfs", "wb", buffering=0) as out:
            for _ in range(64):
                out.write(bytes(range(256)) * 256)
            os.fsync(out.fileno())
            out.write(b"on its way" * 1000)
            mount.kill()
            mount.wait()
            try:
                out.close()
            except OSError:
                pass
    finally:
        subprocess.run(["fusermount3", "-uz", mountpoint], check=False)
        mount.kill()
        mount.wait()
        os.rmdir(mountpoint)
    back = server.dir / "by-sshfs"
    server.sftp(f"get by-sshfs {back}")
    assert back.read_bytes().startswith(bytes(range(256)) * 256 * 64)


def new_keys(serve_memfs):
    """The server asks for new keys each MiB, in both directions."""
    with Server(serve_memfs, "--rekey-bytes", "1000000") as server:
        big, back = random_file(server.dir / "big", 9_000_000), server.dir / "back"
        text = server.sftp(f"put {big} x\nget x {back}", options=["-vv"]).text
        assert filecmp.cmp(big, back, shallow=False)
        count = text.count("SSH2_MSG_KEXINIT received")
        assert count > 4, f"{count} key exchanges"


def stop_with_time_to_finish(serve_memfs):
    """Who is at work when the server is told to stop finishes; nobody new comes in."""
    with Server(serve_memfs, "--grace", "60") as server:
        big = random_file(server.dir / "big", 3_000_000)
        client = subprocess.Popen(["sftp", "-l", "8000", *server.ssh_options(), "-b", "-", f"alice@{server.host}"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        client.stdin.write(f"put {big} x\n!touch {server.dir}/through\n".encode())
        client.stdin.close()
        wait_until("begun", lambda: server.sftp("ls x", check=False).returncode == 0, 60)
        server.process.send_signal(signal.SIGTERM)
        said = client.stdout.read().decode()
        client.wait()
        client.stdout.close()
        assert (server.dir / "through").exists(), said
        refused = run("sftp", *server.ssh_options(), "-b", "-", f"alice@{server.host}", input=b"ls\n", check=False)
        assert refused.returncode != 0
        server.process.wait(60)


def main():
    need("sftp", "ssh", "ssh-keygen")
    try:
        import paramiko  # noqa: F401 pylint: disable=unused-import
    except ImportError:
        print("SKIP: not installed: python3-paramiko")
        return SKIP
    serve_memfs = sys.argv[1]
    with Server(serve_memfs, "--sessions", "300", "--grace", "5") as server:
        who_does_not_read_delays_nobody(server)
        two_hundred_at_once(server)
        killed_sshfs(server)
    new_keys(serve_memfs)
    stop_with_time_to_finish(serve_memfs)
    return 0


if __name__ == "__main__":
    sys.path.append("/usr/lib/python3/dist-packages")  # Debian's paramiko, should another Python come first
    sys.exit(main())
