#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that speak SFTP by libraries of their own, one at a time.

    clients_test.py CLIENT SERVE_MEMFS      CLIENT: curl, lftp, psftp, rclone, paramiko
"""

import filecmp
import json
import os
import subprocess
import sys

from sftp_server import SKIP, Server, need, random_file, run


def same(a, b):
    assert filecmp.cmp(a, b, shallow=False), f"{a} and {b} differ"


def curl(server):
    big, back = random_file(server.dir / "big", 3_000_001), server.dir / "back"
    url = f"sftp://{server.host}:{server.port}/"
    bob = ["curl", "-sSk", "--user", "bob:secret", "--ftp-create-dirs"]
    run(*bob, "-T", big, url + "a/b/c")
    run(*bob, url + "a/b/c", "-o", back)
    same(big, back)
    back.write_bytes(big.read_bytes()[:1_000_000])
    run(*bob, "-C", "-", url + "a/b/c", "-o", back)
    same(big, back)
    run(*bob, "-r", "100-199", url + "a/b/c", "-o", back)
    assert back.read_bytes() == big.read_bytes()[100:200]
    assert run(*bob, "--list-only", url + "a/b/").text.split() == [".", "..", "c"]
    run(*bob, "-Q", "-rename /a/b/c /a/b/d", "-Q", "-chmod 600 /a/b/d", url, "-o", os.devnull)
    assert "-rw-------" in run(*bob, url + "a/b/").text
    assert run("curl", "-sSk", "--user", "bob:wrong", url, check=False).returncode == 67
    assert "wrong password" in server.logged()
    assert 'account "bob" from 127.0.0.1' in server.logged()


def lftp(server):
    big = random_file(server.dir / "big", 3_000_001)
    tree = server.dir / "tree"
    (tree / "x").mkdir(parents=True)
    for i in range(20):
        random_file(tree / "x" / f"file {i} é", 5000 + i)
    connect = (f"set sftp:connect-program 'ssh -a -x -F /dev/null -o StrictHostKeyChecking=no "
               f"-o UserKnownHostsFile={server.dir}/known -i {server.key}'; set cmd:fail-exit yes; "
               f"set net:max-retries 2; set net:timeout 10; "
               f"open sftp://alice:@{server.host}:{server.port}; ")

    def do(script):
        return run("lftp", "-c", connect + script).text

    do(f"put {big} -o big; get big -o {server.dir}/back; mirror -R --parallel=3 {tree} tree; "
       f"mirror tree {server.dir}/tree2")
    same(big, server.dir / "back")
    assert not filecmp.dircmp(tree / "x", server.dir / "tree2" / "x").diff_files
    assert len(os.listdir(server.dir / "tree2" / "x")) == 20
    (server.dir / "back").write_bytes(big.read_bytes()[:2_000_000])
    do(f"get -c big -o {server.dir}/back; pget -n 4 big -o {server.dir}/back4; ")
    same(big, server.dir / "back")
    same(big, server.dir / "back4")
    (server.dir / "half").write_bytes(big.read_bytes()[:1_000_000])
    do(f"put {server.dir}/half -o resumed; put -c {big} -o resumed; get resumed -o {server.dir}/r")
    same(big, server.dir / "r")
    assert "big" in do("ls -l; mv big big2; chmod 640 big2; ln -s big2 link; rm -r tree; du")


def psftp(server):
    big = random_file(server.dir / "big", 3_000_001)
    script = server.dir / "script"
    script.write_text(f"put {big} a\nget a {server.dir}/back\nmkdir d\nmv a d/b\nchmod 600 d/b\n"
                      f"ls d\nreget d/b {server.dir}/back\n")
    # It asks about the host key unless it is told.
    print_of_key = [line.split()[-1] for line in run(
        "ssh-keygen", "-l", "-f", server.dir / "ssh_host_ed25519_key.pub").text.splitlines()] \
        if (server.dir / "ssh_host_ed25519_key.pub").exists() else \
        [run("ssh-keygen", "-l", "-f", server.dir / "ssh_host_ed25519_key").text.split()[1]]
    done = run("psftp", "-batch", "-hostkey", print_of_key[0], "-pw", "secret", "-P",
               str(server.port), "-b", script, f"bob@{server.host}", env={**os.environ,
                                                                          "HOME": str(server.dir)})
    same(big, server.dir / "back")
    assert "-rw-------" in done.text and " b" in done.text, done.text


def rclone(server):
    tree = server.dir / "tree"
    (tree / "sub").mkdir(parents=True)
    for i in range(10):
        random_file(tree / "sub" / f"file{i}", 200_000 + i)
    random_file(tree / "big", 5_000_001)
    config = server.dir / "rclone.conf"
    config.write_text(f"[s]\ntype = sftp\nhost = {server.host}\nport = {server.port}\nuser = alice\n"
                      f"key_file = {server.key}\n")
    words = ["rclone", "--config", config, "--retries", "1", "-q"]
    run(*words, "copy", tree, "s:tree")
    run(*words, "check", "--download", tree, "s:tree")
    listed = json.loads(run(*words, "lsjson", "-R", "--hash", "s:tree").text)
    assert len(listed) == 12, listed
    # Without downloading, by the commands that the server allows.
    big = next(e for e in listed if e["Name"] == "big")
    assert big["Hashes"]["md5"] == run("md5sum", tree / "big").text.split()[0], big
    run(*words, "check", tree, "s:tree")
    assert "Total" in run(*words, "about", "s:").text
    run(*words, "copyto", "s:tree/big", server.dir / "back")
    same(tree / "big", server.dir / "back")
    run(*words, "moveto", "s:tree/big", "s:tree/moved")
    run(*words, "purge", "s:tree")
    info = run(*words, "test", "info", "--all", "s:info", timeout=120).text
    assert "canReadUnnormalized   = true" in info and "maxFileLength = 255" in info, info


def paramiko(server):
    try:
        import paramiko as library
    except ImportError:
        system = "/usr/bin/python3"  # Debian's modules are its own Python's
        if os.path.exists(system) and not os.path.samefile(system, sys.executable):
            server.__exit__(None, None, None)
            os.execv(system, [system, *sys.argv])
        print("SKIP: not installed: python3-paramiko")
        sys.exit(SKIP)
    import hashlib
    import stat
    transport = library.Transport((server.host, server.port))
    transport.connect(username="bob", password="secret")
    client = library.SFTPClient.from_transport(transport)
    data = os.urandom(3_000_001)
    with client.open("a", "wb") as f:
        f.set_pipelined(True)
        for i in range(0, len(data), 32768):
            f.write(data[i:i + 32768])
    with client.open("a", "rb") as f:
        f.prefetch(len(data))
        assert f.read() == data
        assert f.readv([(5, 10), (2_999_000, 5000)]).__next__() == data[5:15]
        assert f.check("sha256") == hashlib.sha256(data).digest()
        blocks = f.check("md5", 0, 0, 1_000_000)
        assert blocks == b"".join(
            hashlib.md5(data[i:i + 1_000_000]).digest() for i in range(0, len(data), 1_000_000))
    client.symlink("/a", "link")
    assert client.readlink("link") == "/a"
    assert stat.S_ISLNK(client.lstat("link").st_mode)
    client.truncate("a", 10)
    client.utime("a", (1_000_000_000, 1_100_000_000))
    attributes = client.stat("link")
    assert (attributes.st_size, attributes.st_mtime) == (10, 1_100_000_000)
    client.chdir("/")
    assert client.normalize(".//../link") == "/a"
    for wrong, code in (("none/x", 2), ("a/x", 2)):
        try:
            client.stat(wrong)
            raise AssertionError(wrong)
        except IOError as error:
            assert error.errno == code, error
    try:
        client.rename("a", "link")
        raise AssertionError("replaced what was there")
    except IOError as error:
        assert "exists" in str(error), error
    client.posix_rename("a", "b")
    broken_packets(transport)
    # After all that the first session still answers.
    assert client.listdir("/") == ["b", "link"] or sorted(client.listdir("/")) == ["b", "link"]
    transport.close()


def broken_packets(transport):
    """What no client sends: each is answered or ends its own channel, and nothing else."""
    import struct

    def channel():
        opened = transport.open_session()
        opened.invoke_subsystem("sftp")
        opened.settimeout(10)
        return opened

    def packet(body):
        return struct.pack(">I", len(body)) + body

    def answer(opened):
        head = b""
        while len(head) < 4:
            more = opened.recv(4 - len(head))
            if not more:
                return None
            head += more
        size, body = struct.unpack(">I", head)[0], b""
        while len(body) < size:
            body += opened.recv(size - len(body))
        return body

    hello = packet(b"\x01\x00\x00\x00\x03")
    text = lambda s: struct.pack(">I", len(s)) + s
    cases = {
        b"\x03\x00\x00\x00\x07\xff\xff\xff\xff": 5,              # a string that ends nowhere
        b"\x07\x00\x00\x00\x07": 5,                              # no path
        b"\xc8\x00\x00\x00\x07" + text(b"nobody@knows"): 8,      # an extension
        b"\x63\x00\x00\x00\x07": 8,                              # a type
        b"\x04\x00\x00\x00\x07" + text(b"\0" * 8): 4,            # a handle that is not open
        b"\x05\x00\x00\x00\x07" + text(b"long handle") + b"\xff" * 12: 4,
        b"\x07\x00\x00\x00\x07" + text(b"a\0b"): 4,              # a NUL in a name
        b"\x07\x00\x00\x00\x07" + text(b"x" * 5000): 4,          # too long
        b"\x07\x00\x00\x00\x07" + text(b"\xff\xfe"): 2,          # not UTF-8: not there
    }
    opened = channel()
    opened.sendall(hello)
    assert answer(opened)[0] == 2
    for sent, expected in cases.items():
        opened.sendall(packet(sent))
        got = answer(opened)
        assert got[0] == 101 and got[1:5] == b"\0\0\0\7", (sent, got)
        code = struct.unpack(">I", got[5:9])[0]
        assert code == expected or expected in (2, 4) and code in (2, 4), (sent, got)
    for sent in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff\x01"):
        opened = channel()
        opened.sendall(hello + sent)
        assert answer(opened)[0] == 2
        assert answer(opened) is None, sent
    opened = channel()  # no greeting
    opened.sendall(packet(b"\x07\x00\x00\x00\x07" + text(b"/")))
    assert answer(opened)[0] == 101
    opened = channel()  # ends within a packet
    opened.sendall(hello + b"\x00\x00\x10\x00half")
    opened.shutdown_write()
    assert answer(opened)[0] == 2
    assert answer(opened) is None


CLIENTS = {"curl": curl, "lftp": lftp, "psftp": psftp, "rclone": rclone, "paramiko": paramiko}


def main():
    name, serve_memfs = sys.argv[1:3]
    need("ssh-keygen", *([name] if name != "paramiko" else []))
    with Server(serve_memfs, "--slow") as server:
        CLIENTS[name](server)


if __name__ == "__main__":
    main()
