#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What CPython's ftplib expects of a server: each of its methods, and the replies that it takes apart, in the order of
CPython's own test_ftplib, there against a dummy. ftplib_test.py SERVE_FTP_MEMFS"""

import ftplib
import io
import os
import re
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ftp_server
from ftp_server import Server, SessionFTP

LINES = "".join(f"line {n}\r\n" for n in range(1000)) + "caf\u00e9\r\n"
DATA = bytes(range(256)) * 1000


class OverPlain(unittest.TestCase):
    """CPython: TestFTPClass, TestTimeouts."""

    address = "127.0.0.1"

    def setUp(self):
        self.server = Server("--address", self.address)
        self.client = ftplib.FTP(timeout=20)
        self.client.connect(self.address, self.server.port)
        self.addCleanup(self.server.__exit__, None, None, None)
        self.addCleanup(self.client.close)
        self.client.login("alice", "secret")

    def test_getwelcome(self):
        self.assertRegex(self.client.getwelcome(), "^220 ")

    def test_all_errors(self):
        for command, error in (("SIZE nothing", ftplib.error_perm), ("XYZZY", ftplib.error_perm)):
            self.assertRaises(error, self.client.sendcmd, command)

    def test_line_ends_in_commands(self):
        for command in "cwd\r\n0", "cwd\n0", "cwd\r0":
            self.assertRaises(ValueError, self.client.sendcmd, command)

    def test_commands(self):
        client = self.client
        self.assertRegex(client.sendcmd("NOOP"), "^200")
        self.assertRegex(client.voidcmd("TYPE I"), "^200")
        self.assertRegex(client.sendcmd("SYST"), "^215 UNIX")
        self.assertRegex(client.sendcmd("HELP"), "^214")
        self.assertRegex(client.acct("x"), "^202")

    def test_directories(self):
        client = self.client
        self.assertEqual(client.mkd('/a "b" c'), '/a "b" c')
        self.assertRegex(client.cwd('/a "b" c'), "^250")
        self.assertEqual(client.pwd(), '/a "b" c')
        self.assertRegex(client.cwd(".."), "^250")  # CDUP
        self.assertEqual(client.pwd(), "/")
        self.assertRegex(client.rmd('/a "b" c'), "^250")

    def test_rename_and_delete(self):
        client = self.client
        client.storbinary("STOR a", io.BytesIO(b"x"))
        self.assertRegex(client.rename("a", "b"), "^250")
        self.assertRegex(client.delete("b"), "^250")
        self.assertRaises(ftplib.error_perm, client.delete, "b")
        self.assertRaises(ftplib.error_perm, client.rename, "b", "c")

    def test_size(self):
        self.client.storbinary("STOR a", io.BytesIO(DATA))
        self.client.voidcmd("TYPE I")
        self.assertEqual(self.client.size("a"), len(DATA))

    def test_binary_and_callbacks(self):
        client, seen, got = self.client, [], []
        client.storbinary("STOR a", io.BytesIO(DATA), blocksize=1000, callback=seen.append)
        self.assertEqual(b"".join(seen), DATA)
        self.assertRegex(client.retrbinary("RETR a", got.append), "^226")
        self.assertEqual(b"".join(got), DATA)

    def test_rest(self):
        client = self.client
        client.storbinary("STOR a", io.BytesIO(DATA))
        for rest in 0, 10, len(DATA) - 1, len(DATA):
            got = []
            client.retrbinary("RETR a", got.append, rest=rest)
            self.assertEqual(b"".join(got), DATA[rest:])
        client.storbinary("STOR a", io.BytesIO(b"new end"), rest=1000)
        got = []
        client.retrbinary("RETR a", got.append)
        self.assertEqual(b"".join(got), DATA[:1000] + b"new end")

    def test_lines(self):
        client, got = self.client, []
        client.storlines("STOR a", io.BytesIO(LINES.encode()))
        client.retrlines("RETR a", got.append)
        self.assertEqual(got, LINES.splitlines())
        # Without an end of its own the last line is a line, too.
        client.storlines("STOR b", io.BytesIO(b"a\nb"))
        got = []
        client.retrlines("RETR b", got.append)
        self.assertEqual(got, ["a", "b"])

    def test_listings(self):
        client, lines = self.client, []
        self.assertEqual(client.nlst(), [])
        client.storbinary("STOR caf\u00e9", io.BytesIO(b"x"))
        client.mkd("d")
        self.assertEqual(sorted(client.nlst()), ["caf\u00e9", "d"])
        self.assertEqual([name.rsplit("/", 1)[-1] for name in client.nlst("/")], sorted(client.nlst()))
        client.dir(lines.append)
        self.assertEqual(len(lines), 2)
        self.assertTrue(all(re.match(r"[-d][-rwx]{9} +\d+ \S+ +\S+ +\d+ \w{3} +\d+ [\d:]+ ", x) for x in lines), lines)

    def test_mlsd(self):
        client = self.client
        client.storbinary("STOR a b", io.BytesIO(b"12345"))
        facts = dict(client.mlsd())
        self.assertEqual(facts["a b"]["size"], "5")
        self.assertEqual(facts["a b"]["type"], "file")
        self.assertEqual(facts["."]["type"], "cdir")
        self.assertRegex(facts["a b"]["modify"], r"^\d{14}")
        # OPTS MLST is sent for the facts that are asked for.
        for _, some in client.mlsd(facts=["type", "size"]):
            self.assertLessEqual(set(some), {"type", "size"})
        self.assertRaises(ftplib.error_perm, lambda: list(client.mlsd("nothing")))

    def test_abort(self):
        conn = self.client.transfercmd("STOR part")
        conn.sendall(bytes(1000))
        self.assertRegex(self.client.abort(), "^(225|226|426)")
        conn.close()
        # 426 is followed by 226.
        self.client.putline("NOOP")
        replies = [self.client.getline()[:3]]
        while replies[-1] != "200":
            replies.append(self.client.getline()[:3])
        self.assertNotIn("part", self.client.nlst())

    def test_ntransfercmd_knows_the_size(self):
        self.client.storbinary("STOR a", io.BytesIO(DATA))
        self.client.voidcmd("TYPE I")
        conn, size = self.client.ntransfercmd("RETR a")
        conn.close()
        self.assertEqual(size, len(DATA))  # "150 ... (256000 bytes)"

    def test_ports(self):
        client = self.client
        for passive in True, False:
            client.set_pasv(passive)
            client.storbinary("STOR a", io.BytesIO(DATA))
            self.assertIn("a", client.nlst())
        with client.makeport():
            pass  # EPRT or PORT was taken
        host, port = client.makepasv()
        self.assertEqual(host, self.address)
        with socket.create_connection((host, port), timeout=20):
            pass

    def test_with(self):
        with ftplib.FTP(timeout=20) as client:
            client.connect(self.address, self.server.port)
            client.login("alice", "secret")
        self.assertIsNone(client.sock)

    def test_login_refused(self):
        other = ftplib.FTP(timeout=20)
        other.connect(self.address, self.server.port)
        self.assertRaises(ftplib.error_perm, other.login, "alice", "wrong")
        other.close()

    def test_source_address(self):
        other = ftplib.FTP(timeout=20)
        other.connect(self.address, self.server.port, source_address=(self.address, 0))
        other.login("alice", "secret")
        other.storbinary("STOR a", io.BytesIO(DATA))
        self.assertRegex(other.quit(), "^221")

    def test_old_encoding(self):
        # Names are UTF-8: another encoding is refused, not stored as something else.
        self.client.encoding = "latin-1"
        self.assertRaises(ftplib.error_perm, self.client.mkd, "caf\u00e9")


class OverIpv6(OverPlain):
    """CPython: TestIPv6Environment."""

    address = "::1"


class OverTls(OverPlain):
    """CPython: TestTLS_FTPClassMixin, TestTLS_FTPClass."""

    def setUp(self):
        self.server = Server(tls=True)
        self.client = SessionFTP(timeout=20, context=self.server.context())
        self.client.connect("localhost", self.server.port)
        self.addCleanup(self.server.__exit__, None, None, None)
        self.addCleanup(self.client.close)
        self.client.login("alice", "secret")
        self.client.prot_p()

    def test_protection(self):
        client = self.client
        self.assertRaises(ftplib.error_perm, client.ccc)  # refused
        client.prot_c()
        client.storbinary("STOR a", io.BytesIO(DATA))
        client.prot_p()
        client.storbinary("STOR b", io.BytesIO(DATA))
        self.assertEqual(sorted(client.nlst()), ["a", "b"])
        self.assertRaises(ftplib.error_perm, client.sendcmd, "AUTH TLS")


if __name__ == "__main__":
    ftp_server.PROGRAM = sys.argv[1]
    if not socket.has_ipv6:
        del OverIpv6
    unittest.main(argv=sys.argv[:1], verbosity=1)
