#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our clients, storage servers and introducer against Foolscap itself, in both roles: what Tahoe's
own nodes speak. Skipped without Debian's python3-foolscap and python3-cryptography.

usage: foolscap_test.py LAFS
"""
import base64
import datetime
import hashlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

SKIP = 77
PYTHON = "/usr/bin/python3"
HERE = os.path.dirname(os.path.abspath(__file__))


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def wait_until(what, condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"never: {what}")
        time.sleep(0.05)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def base32(data):
    return base64.b32encode(data).decode().lower().rstrip("=")


class Server:
    """Somebody who signs announcements."""

    def __init__(self, seed):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.key = "v0-" + base32(
            self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def announce(self, number, nickname="made up", furl="pb://" + "a" * 32 + "@tcp:127.0.0.1:9/x"):
        message = json.dumps({
            "version": 0, "nickname": nickname, "app-versions": [], "my-version": "tahoe-lafs/1.20.0",
            "oldest-supported": "1.0.0", "service-name": "storage", "seqnum": number,
            "nonce": "n" * 52, "anonymous-storage-FURL": furl,
            "anonymous-storage-NURLs": ["pb://" + "A" * 43 + "@127.0.0.1:9/x#v=1"]})
        return [message, "v0-" + base32(self.private.sign(message.encode())), self.key]


def tub_file(folder, first):
    """A certificate whose tub id begins with `first`: the greater of two ids decides the negotiation,
    so that "2" never does and "z" always."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "newpb_thingy")])
    now = datetime.datetime(2026, 1, 1)
    while True:
        certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                       .public_key(key.public_key()).serial_number(x509.random_serial_number())
                       .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=365))
                       .sign(key, hashes.SHA256()))
        der = certificate.public_bytes(serialization.Encoding.DER)
        if base32(hashlib.sha1(der).digest()).startswith(first):
            break
    with open(os.path.join(folder, "tub.pem"), "wb") as f:
        f.write(certificate.public_bytes(serialization.Encoding.PEM))
        f.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                  serialization.NoEncryption()))


class Peer:
    def __init__(self, *words):
        self.process = subprocess.Popen(
            [PYTHON, os.path.join(HERE, "foolscap_peer.py"), *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events, self.seen = queue.Queue(), []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def next(self, event, fits=lambda e: True, seconds=90):
        """The first event of that name that was not asked for yet."""
        end = time.monotonic() + seconds
        while True:
            for i, one in enumerate(self.seen):
                if one["event"] == event and fits(one):
                    return self.seen.pop(i)
            try:
                self.seen.append(self.events.get(timeout=max(0.01, end - time.monotonic())))
            except queue.Empty:
                raise Failed(f"never: {event}; seen {self.seen}") from None

    def send(self, verb, triple):
        self.process.stdin.write(json.dumps([verb, triple]) + "\n")
        self.process.stdin.flush()

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class World:
    def __init__(self, lafs, work):
        self.lafs, self.work, self.grid = lafs, work, os.path.join(work, "grid")
        self.peers, self.daemons = [], []

    def folder(self, name):
        path = os.path.join(self.work, name)
        os.makedirs(path, exist_ok=True)
        return path

    def peer(self, *words):
        self.peers.append(Peer(*words))
        return self.peers[-1]

    def run(self, *words, node="node", status=0):
        env = dict(os.environ, LAFS_NODE=os.path.join(self.work, node), NO_COLOR="1")
        done = subprocess.run([self.lafs, *map(str, words)], capture_output=True, env=env,
                              timeout=120, stdin=subprocess.DEVNULL)
        check(status is None or done.returncode == status,
              f"lafs {words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def start(self, *words, node):
        env = dict(os.environ, LAFS_NODE=os.path.join(self.work, node), NO_COLOR="1")
        log = open(os.path.join(self.work, node + ".log"), "ab")
        daemon = subprocess.Popen([self.lafs, "--log", "info", *words], env=env, stdout=log,
                                  stderr=log, stdin=subprocess.DEVNULL)
        self.daemons.append(daemon)
        return daemon

    def log(self, node):
        with open(os.path.join(self.work, node + ".log")) as f:
            return f.read()

    def clear(self):
        for one in self.daemons:
            if one.poll() is None:
                one.terminate()
        for one in self.daemons:
            try:
                one.wait(30)
            except subprocess.TimeoutExpired:
                one.kill()
        for one in self.peers:
            one.close()


def server_node(w, name, furl):
    w.run("create-node", "--no-root", "--introducer", furl, "--nickname", name, node=name)
    node = os.path.join(w.work, name)
    with open(os.path.join(node, "tahoe.cfg")) as f:
        text = f.read()
    port = free_port()
    text = text.replace("tub.port = disabled", f"tub.port = tcp:{port}:interface=127.0.0.1")
    text = text.replace("tub.location = disabled", f"tub.location = tcp:127.0.0.1:{port}")
    text = text.replace("enabled = false", "enabled = true")
    text += "\n[storageserver.plugins.lafs]\nnotice = back up on Sundays\nfeedback = true\n"
    with open(os.path.join(node, "tahoe.cfg"), "w") as f:
        f.write(text)
    return w.start("serve", "storage", node=name)


def our_nodes_at_its_introducer(w):
    folder, port = w.folder("theirs"), free_port()
    tub_file(folder, "z")  # it decides
    theirs = w.peer("introducer", folder, port)
    w.theirs_furl = theirs.next("listening")["furl"]
    for name in ("one", "two"):
        server_node(w, name, w.theirs_furl)
    heard = [theirs.next("published")["announcement"] for _ in range(2)]
    check({json.loads(m)["nickname"] for m, _, _ in heard} == {"one", "two"}, heard)
    w.run("create-node", "--introducer", w.theirs_furl, "--shares", "1,2,2")
    check(theirs.next("subscribed", lambda e: e["nickname"] == "lafs")["service"] == "storage", "?")
    source = os.path.join(w.work, "hello")
    with open(source, "w") as f:
        f.write("hello " * 1000)
    w.run("put", source, "tahoe:hello")
    check(w.run("cat", "tahoe:hello").stdout == b"hello " * 1000, "content")
    check(b"back up on Sundays" in w.run("status").stdout, "the servers' notice")
    # Lost, and back under the same address: the servers say the same again.
    theirs.close()
    check(w.run("cat", "tahoe:hello").stdout == b"hello " * 1000, "from memory, without it")
    again = w.peer("introducer", folder, port)
    check(again.next("listening")["furl"] == w.theirs_furl, "another address")
    back = [again.next("published")["announcement"] for _ in range(2)]
    check(sorted(back) == sorted(heard), "said something else after a loss")


def one_that_lies(w):
    tub_file(w.folder("liar"), "2")  # we decide
    theirs = w.peer("introducer", w.folder("liar"), free_port())
    furl = theirs.next("listening")["furl"]
    alice, mallory = Server(1), Server(2)
    w.run("create-node", "--no-root", "--introducer", furl, node="listener")
    with open(os.path.join(w.work, "listener", "tahoe.cfg"), "a") as f:
        f.write("\n[sftpd]\nenabled = true\nport = tcp:%d:interface=127.0.0.1\n" % free_port())
    w.start("run", node="listener")
    theirs.next("subscribed")
    theirs.send("tell", alice.announce(5, "five"))
    cache = os.path.join(w.work, "listener", "private", "introducer_introducer_cache.yaml")

    def remembered(text):
        return os.path.exists(cache) and text in open(cache).read()
    wait_until("the true one is remembered", lambda: remembered("five"))
    forged = alice.announce(9, "forged")
    forged[1] = mallory.announce(9, "forged")[1]
    theirs.send("tell", forged)                          # signed by somebody else
    theirs.send("tell", alice.announce(5, "same number"))  # other words under the same number
    theirs.send("tell", alice.announce(4, "replayed"))   # older than what is known
    theirs.send("tell", ["{nonsense", forged[1], alice.key])
    theirs.send("tell", alice.announce(6, "six"))
    wait_until("the newer one is remembered", lambda: remembered("six"))
    text = open(cache).read()
    for lie in ("forged", "same number", "replayed"):
        check(lie not in text, f"{lie} was believed")
    check("signature" in w.log("listener"), "the forgery was not logged")
    theirs.send("tell", mallory.announce(1, "another"))
    wait_until("the connection goes on", lambda: remembered("another"))


def feedback_needs_both(w):
    """A server that asks hears what its clients are and met, from those whose owner agreed."""
    check("a client reports" not in w.log("one") + w.log("two"), "reported without being asked to")
    config = os.path.join(w.work, "node", "tahoe.cfg")
    with open(config) as f:
        before = f.read()
    with open(config, "w") as f:
        f.write(before + "\n[feedback]\nenabled = true\n")
    w.run("status", status=None)
    for name in ("one", "two"):
        wait_until(f"{name} hears", lambda: "a client reports" in w.log(name))
        line = next(line for line in w.log(name).splitlines() if "a client reports" in line)
        check("lafs/" in line and "URI:" not in line and "pb://" not in line, line)
    with open(config, "w") as f:
        f.write(before)


def grid_managers_are_heard(w):
    """Certificates decide where new files go, their end is warned of in time, notices are shown."""
    manager = Server(9)
    ids = {}
    for name in ("one", "two"):
        with open(os.path.join(w.work, name, "node.pubkey")) as f:
            ids[name] = f.read().strip()

    def certificate(name, days, public_key=None):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
        text = json.dumps({"expires": until.isoformat(), "notice": "the grid closes in May",
                           "public_key": public_key or ids[name], "version": 1})
        signature = base32(manager.private.sign(text.encode()))
        with open(os.path.join(w.work, name, "manager.cert"), "w") as f:
            json.dump({"certificate": text, "signature": signature}, f)
        with open(os.path.join(w.work, name, "lafs.pid")) as f:
            os.kill(int(f.read()), signal.SIGHUP)
    for name in ("one", "two"):
        with open(os.path.join(w.work, name, "tahoe.cfg")) as f:
            text = f.read()
        text = text.replace("[storage]\n", "[storage]\ngrid_management = true\n")
        with open(os.path.join(w.work, name, "tahoe.cfg"), "w") as f:
            f.write(text + "\n[grid_manager_certificates]\nalice = manager.cert\n")
    certificate("one", 10.5)
    certificate("two", 400, public_key=ids["one"])  # somebody else's
    with open(os.path.join(w.work, "node", "tahoe.cfg"), "a") as f:
        f.write("\n[grid_managers]\nalice = pub-%s\n" % manager.key)
    def status():
        out = json.loads(w.run("status", "--json", status=None).stdout)
        return {one["nickname"]: one for one in out["servers"]}
    # Each time by an introducer that is asked again: what is remembered is good for an hour.
    cache = os.path.join(w.work, "node", "private", "introducer_introducer_cache.yaml")

    def fresh():
        if os.path.exists(cache):
            os.unlink(cache)
        return status()
    wait_until("its end is warned of", lambda: "expires in 10 days" in
               fresh().get("one", {}).get("certificate", ""))
    seen = fresh()
    check(seen["one"]["manager_notice"].endswith("the grid closes in May"), seen)
    check("no grid manager vouches" in seen["two"]["certificate"], seen)
    check("vouches for " + ids["one"] in w.log("two") and "manager.cert" in w.log("two"), w.log("two"))
    text = w.run("status", status=None)
    check(b"the grid manager says: the grid closes in May" in text.stdout, text.stdout)
    check(b"expires in 10 days" in w.run("doctor", status=None).stdout, "doctor")
    certificate("two", 400)
    wait_until("one that is long good is only shown", lambda: "is good until" in
               fresh().get("two", {}).get("certificate", ""))
    certificate("one", -1)
    wait_until("one that has ended", lambda: "expired on" in fresh().get("one", {}).get("certificate", ""))
    check("has expired" in w.log("one"), w.log("one"))


def its_client_at_our_introducer(w):
    w.run("create-node", "--no-root", node="ours")
    port = free_port()
    ours = w.start("serve", "introducer", "--addr", f"127.0.0.1:{port}", node="ours")
    furl_file = os.path.join(w.work, "ours", "private", "introducer.furl")
    wait_until("our introducer's address", lambda: os.path.exists(furl_file))
    furl = open(furl_file).read().strip()
    tub_file(w.folder("first"), "2")
    tub_file(w.folder("second"), "z")
    first = w.peer("client", w.folder("first"), furl)
    check(first.next("subscribed")["version"].startswith("lafs/"), "version")
    alice, mallory = Server(3), Server(4)
    told = alice.announce(2, "two")
    first.send("publish", told)
    first.next("accepted")
    check(first.next("heard")["announcement"] == told, "not the same bytes")
    forged = alice.announce(3, "forged")
    forged[1] = mallory.announce(3, "forged")[1]
    first.send("publish", forged)
    trouble = first.next("trouble")
    check("signature" in trouble["what"] and "crypto.error" in trouble["type"], f"a forgery: {trouble}")
    first.send("publish", alice.announce(1, "one"))      # a replay: no error, and nobody is told
    first.next("accepted")
    # What one of our own servers announces reaches them, as Tahoe's client wants it.
    server_node(w, "three", furl)
    message = json.loads(first.next("heard")["announcement"][0])
    check(message["nickname"] == "three" and message["anonymous-storage-FURL"].startswith("pb://")
          and message["anonymous-storage-NURLs"], message)
    # Another connection of the same tub takes the first one's place; a restart forgets nothing.
    ours.terminate()
    ours.wait(30)
    w.start("serve", "introducer", "--addr", f"127.0.0.1:{port}", node="ours")
    second = w.peer("client", w.folder("second"), furl)
    second.next("heard", lambda e: e["announcement"] == told)
    check("one" not in [json.loads(e["announcement"][0])["nickname"]
                        for e in second.seen if e["event"] == "heard"], "the replay was kept")


def main():
    have = subprocess.run([PYTHON, "-c", "import foolscap, cryptography"], capture_output=True)
    if have.returncode != 0:
        print("SKIP: needs python3-foolscap and python3-cryptography")
        return SKIP
    # The same Python that has Debian's packages.
    if os.path.realpath(sys.executable) != os.path.realpath(PYTHON):
        os.execv(PYTHON, [PYTHON, *sys.argv])
    work = tempfile.mkdtemp(prefix="lafs-foolscap-")
    w = World(os.path.abspath(sys.argv[1]), work)
    failed = 0
    try:
        for case in (our_nodes_at_its_introducer, feedback_needs_both, grid_managers_are_heard, one_that_lies,
                     its_client_at_our_introducer):
            begin = time.monotonic()
            try:
                case(w)
                print(f"ok      {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
            except (Failed, OSError, subprocess.SubprocessError, ValueError) as e:
                failed += 1
                print(f"FAILED  {case.__name__}: {e}", flush=True)
    finally:
        w.clear()
        shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
