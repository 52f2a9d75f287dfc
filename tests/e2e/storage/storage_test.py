#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The storage server as an operator meets it: figures, logs, systemd, a full disk, kills, collection.

usage: storage_test.py LAFS

Starts its own server on free ports in a temporary directory and ends only what it started. The
full disk is a small tmpfs; where none can be mounted, that case is skipped.
"""
import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server, its node directory, and a client's node directory that knows it."""

    def __init__(self, lafs, work, name, storage=(), plugin=()):
        self.lafs, self.dir = lafs, os.path.join(work, name)
        self.client = os.path.join(work, name + "-client")
        self.port, self.metrics = free_port(), free_port()
        self.notify = os.path.join(work, name + ".sock")
        self.process = None
        os.makedirs(self.dir, mode=0o700)
        with open(os.path.join(self.dir, "tahoe.cfg"), "w") as f:
            f.write("[node]\nnickname = test\n"
                    f"tub.port = tcp:{self.port}:interface=127.0.0.1\n"
                    f"tub.location = tcp:127.0.0.1:{self.port}\n"
                    "[storage]\nenabled = true\n" + "".join(f"{line}\n" for line in storage) +
                    "[storageserver.plugins.lafs]\nlog_format = json\n"
                    f"metrics_port = {self.metrics}\n" + "".join(f"{line}\n" for line in plugin))

    def start(self):
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.exists(self.notify):
            os.unlink(self.notify)
        heard.bind(self.notify)
        heard.settimeout(30)
        self.log = open(os.path.join(self.dir, "log"), "ab")
        self.process = subprocess.Popen(
            [self.lafs, "--node", self.dir, "--log", "debug", "serve", "storage"],
            stdout=subprocess.DEVNULL, stderr=self.log, env=dict(os.environ, NOTIFY_SOCKET=self.notify))
        self.heard = heard
        while b"READY=1" not in heard.recv(1000).split(b"\n"):  # a status may come first, and with it
            pass
        if not os.path.exists(self.client):
            self.run("create-node", "--grid", os.path.join(self.dir, "private/storage.yaml"),
                     "--shares", "1,1,1", node=self.client)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(30)
        self.log.close()
        self.heard.close()
        self.process = None
        return status

    def run(self, *words, node=None, stdin=b"", status=0):
        done = subprocess.run([self.lafs, "--node", node or self.dir, *words], input=stdin,
                              capture_output=True, timeout=120)
        check(done.returncode == status, f"{words}: {done.returncode}: {done.stderr[-500:]}")
        return done.stdout.decode()

    def put(self, data, status=0):
        return self.run("put", "-", node=self.client, stdin=data, status=status).strip()

    def get(self, cap):
        done = subprocess.run([self.lafs, "--node", self.client, "cat", cap], capture_output=True,
                              timeout=120)
        return done.stdout

    def json(self, *words):
        return json.loads(self.run("storage", *words, "--json"))

    def figures(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=10) as r:
            lines = r.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    def log_lines(self):
        with open(os.path.join(self.dir, "log")) as f:
            return [json.loads(line) for line in f if line.startswith("{")]

    def share_files(self):
        top = os.path.join(self.dir, "storage", "shares")
        return [os.path.join(d, f) for d, _, files in os.walk(top) for f in files]


def case_operations(server):
    data = os.urandom(300_000)
    server.start()
    cap = server.put(data)
    check(server.get(cap) == data, "what was put is not what is got")
    figures = server.figures()
    wrote = figures['lafs_storage_requests_total{endpoint="write",status="201"}']
    check(int(wrote) >= 1, f"{wrote} finished uploads")
    check(float(figures["lafs_storage_received_bytes_total"]) > 300_000, "bytes are not counted")
    time.sleep(1.5)  # the index is committed every second
    usage = server.json("usage")
    check(usage["total"]["immutable"]["shares"] >= 1, f"usage: {usage}")
    own = json.loads(server.run("storage", "usage", "--json", "--account",
                                f"me={server.client}/private/secret"))
    check(own["accounts"][0]["shares"] == own["total"]["immutable"]["shares"] +
          own["total"]["mutable"]["shares"], f"leases of this client: {own['accounts']}")
    check(server.end() == 0, "SIGTERM is not a clean end")
    lines = server.log_lines()
    check(any(line["message"] == "request" and line.get("endpoint") == "write" for line in lines),
          "requests are not in the log")
    text = json.dumps(lines)
    with open(os.path.join(server.dir, "private/storage.furl")) as f:
        swissnum = f.read().strip().rsplit("/", 1)[1]
    check(swissnum not in text, "the swissnum is in the log")
    # Settings change while it runs.
    server.start()
    config = os.path.join(server.dir, "tahoe.cfg")
    with open(config) as f:
        before = f.read()
    for text, refused in ((before.replace("[storage]", "[storage]\nreadonly = true"), True),
                          (before.replace("[storage]", "[storage]\nreadonly = perhaps"), True),
                          (before, False)):
        with open(config, "w") as f:
            f.write(text)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.time() + 10
        while (float(server.figures()["lafs_storage_available_bytes"]) == 0) != refused:
            check(time.time() < deadline, f"SIGHUP is not heard: {text}")
            time.sleep(0.05)
        time.sleep(0.1)
    server.end()
    # Killed at any moment, everything acknowledged is there.
    server.start()
    caps = {}
    for i in range(5):
        data = os.urandom(20_000 + i)
        caps[server.put(data)] = data
    server.end(signal.SIGKILL)
    server.start()
    for cap, data in caps.items():
        check(server.get(cap) == data, "lost by kill -9")
    server.end()


def case_collection(server):
    server.start()
    cap = server.put(os.urandom(50_000))
    server.end()
    before = server.share_files()
    time.sleep(1.1)  # older than 0 seconds
    report = server.json("gc", "--age", "0s")
    check(report["tally"]["expired"]["immutable"]["shares"] >= 1, f"{report}")
    check(report["tally"]["removed"]["immutable"]["shares"] == 0, "a report removes nothing")
    check(sorted(server.share_files()) == sorted(before), "a report changes nothing")
    check(server.json("gc")["tally"]["expired"]["immutable"]["shares"] == 0, "too young to go")
    done = server.json("gc", "--age", "0s", "--collect")
    check(done["tally"]["removed"]["immutable"]["shares"] >= 1, f"{done}")
    check(server.share_files() == [], f"left: {server.share_files()}")
    check(server.json("usage")["total"]["immutable"]["shares"] == 0, "usage after collection")
    check(len(server.json("gc", "--history")) >= 1, "no history")
    server.start()
    check(server.get(cap) == b"", "a collected file is gone")
    # The same beside a running server, which does it.
    cap = server.put(os.urandom(50_000))
    time.sleep(1.1)
    check(server.json("gc")["tally"]["expired"]["immutable"]["shares"] == 0, "too young to go")
    kept = server.json("gc", "--age", "3600 s", "--collect")
    check(kept["tally"]["removed"]["immutable"]["shares"] == 0, f"{kept}")
    check(kept["enabled"] and "3600" in kept["policy"], f"{kept}")
    check(server.get(cap) != b"", "what is younger stays")
    os.unlink(server.share_files()[0])  # by hand, without a word
    files = len(server.share_files())
    usage = server.json("usage", "--rebuild")
    check(usage["complete"], f"{usage}")
    check(usage["total"]["immutable"]["shares"] + usage["total"]["mutable"]["shares"] == files,
          f"{files} files: {usage}")
    server.put(os.urandom(50_000))
    time.sleep(1.1)
    done = server.json("gc", "--age", "0s", "--collect")
    check(server.share_files() == [], f"left: {server.share_files()}")
    check(done["tally"]["removed"]["immutable"]["shares"] >= 1, f"{done}")
    numbers = [walk["number"] for walk in server.json("gc", "--history")]
    check(len(set(numbers)) == len(numbers) and done["number"] in numbers, f"{numbers}")
    server.end()


def request(server, method, path, body=b"", **headers):
    with open(os.path.join(server.dir, "private/storage.furl")) as f:
        swissnum = f.read().strip().rsplit("/", 1)[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = urllib.request.Request(
        f"https://127.0.0.1:{server.port}{path}", data=body, method=method,
        headers={"Authorization": "Tahoe-LAFS " + base64.b64encode(swissnum.encode()).decode(),
                 "Accept": "application/json", "Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, context=context, timeout=30) as reply:
        return reply.status, reply.read()


def case_advisories(server):
    server.start()
    server.put(os.urandom(50_000))
    path = max(server.share_files(), key=os.path.getsize)  # the others are directories
    _, si, number = os.path.relpath(path, os.path.join(server.dir, "storage/shares")).split("/")
    for expected in (True, False):
        if not expected:  # one bit in the middle of the blocks
            with open(path, "r+b") as f:
                f.seek(20_000)
                byte = f.read(1)
                f.seek(20_000)
                f.write(bytes([byte[0] ^ 1]))
        status, _ = request(server, "POST", f"/storage/v1/immutable/{si}/{number}/corrupt",
                            json.dumps({"reason": "looks bad"}).encode())
        check(status == 200, f"status {status}")
        deadline = time.time() + 20
        while time.time() < deadline:
            all_of_them = server.json("advisories")
            if all_of_them[-1]["check"]:
                break
            time.sleep(0.1)
        check(all_of_them[-1]["storage_index"] == si, f"{all_of_them}")
        check(all_of_them[-1]["check"]["sound"] == expected, f"{all_of_them}")
    # Asked again: of the server, and of the command when there is no server.
    def look(*words):
        return [one["check"]["result"] for one in server.json("advisories", "--check", *words)]
    check(look() == ["damaged", "damaged"], f"{look()}")
    with open(path, "r+b") as f:
        f.seek(20_000)
        f.write(byte)
    check(look(f"{si}/{number}") == ["sound", "sound"], f"{look()}")
    server.end()
    os.unlink(path)
    check(look(si) == ["gone", "gone"], f"{look()}")
    server.run("storage", "advisories", "--check", "a" * 26, status=3)
    # Mutable shares, of one block and of several.
    for kind in ("sdmf", "mdmf"):
        server.start()
        before = set(server.share_files())
        server.run("put", "--mutable", f"--format={kind}", "-", node=server.client,
                   stdin=os.urandom(300_000))
        path, = set(server.share_files()) - before
        _, si, number = os.path.relpath(path, os.path.join(server.dir, "storage/shares")).split("/")
        status, _ = request(server, "POST", f"/storage/v1/mutable/{si}/{number}/corrupt",
                            json.dumps({"reason": "looks bad"}).encode())
        check(status == 200, f"status {status}")
        server.end()
        check(set(look(si)) == {"sound"}, f"{kind}: {look(si)}")
        with open(path, "r+b") as f:
            f.seek(200_000)
            byte = f.read(1)
            f.seek(200_000)
            f.write(bytes([byte[0] ^ 1]))
        check(look(si) == ["damaged"], f"{kind}: {look(si)}")


def case_full_disk(server):
    storage = os.path.join(server.dir, "storage")
    os.makedirs(storage)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", storage],
                             capture_output=True)
    if mounted.returncode != 0:
        print("SKIP full disk: no tmpfs can be mounted here")
        return
    try:
        server.start()
        small = os.urandom(100_000)
        cap = server.put(small)
        server.run("mkdir", "tahoe:kept", node=server.client)
        server.put(os.urandom(8_000_000), status=4)  # too large: refused at once
        used = 0
        while used < 100:  # fill it
            used += 1
            done = subprocess.run([server.lafs, "--node", server.client, "put", "-"],
                                  input=os.urandom(200_000), capture_output=True, timeout=60)
            if done.returncode != 0:
                break
        check(5 < used < 40, f"{used} files of 200 kB on a disk of 4 MB")
        check(server.get(cap) == small, "what was there before is there")
        check("kept" in server.run("ls", "tahoe:", node=server.client), "the directory is whole")
        server.end()
        server.start()
        check(server.get(cap) == small, "and after a restart")
        server.end()
    finally:
        if server.process:
            server.end(signal.SIGKILL)
        subprocess.run(["umount", storage], check=True)


def main():
    lafs = os.path.abspath(sys.argv[1])
    work = tempfile.mkdtemp(prefix="lafs-storage-test-")
    failed = 0
    cases = [("operations", case_operations, [], []), ("collection", case_collection, [], []),
             ("advisories", case_advisories, [], []), ("full-disk", case_full_disk, [], [])]
    try:
        for name, case, storage, plugin in cases:
            server = Server(lafs, work, name, storage, plugin)
            begin = time.time()
            try:
                case(server)
                print(f"ok   {name} ({time.time() - begin:.1f} s)")
            except Exception:
                failed += 1
                print(f"FAIL {name}")
                traceback.print_exc()
            finally:
                if server.process:
                    server.process.kill()
                    server.process.wait()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
