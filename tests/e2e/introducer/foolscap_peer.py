#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The other end of our introducer protocol, spoken by Foolscap itself (Debian's python3-foolscap).

usage: foolscap_peer.py introducer DIR PORT    an introducer, its FURL in DIR/furl
       foolscap_peer.py client DIR FURL        subscribes to one

One JSON object a line on standard output for each thing that happens. On standard input, a line:
["tell", [message, signature, key]] (introducer: to all subscribers), ["publish", [...]] (client).
"""
import json
import os
import sys

from foolscap.api import Any, DictOf, Referenceable, RemoteInterface, Tub
from twisted.internet import reactor
from twisted.internet.stdio import StandardIO
from twisted.protocols.basic import LineReceiver

VERSION = b"http://allmydata.org/tahoe/protocols/introducer/v2"


class RISubscriber(RemoteInterface):
    __remote_name__ = "RIIntroducerSubscriberClient_v2.tahoe.allmydata.com"

    def announce_v2(announcements=Any()):
        return None


class RIIntroducer(RemoteInterface):
    __remote_name__ = "RIIntroducerPublisherAndSubscriberService_v2.tahoe.allmydata.com"

    def get_version():
        return DictOf(bytes, Any())

    def publish_v2(announcement=Any(), canary=Referenceable):
        return None

    def subscribe_v2(subscriber=RISubscriber, service_name=bytes, subscriber_info=DictOf(bytes, Any())):
        return None


def say(event, **more):
    print(json.dumps(dict(event=event, **more)), flush=True)


def text_of(triple):
    return [part.decode() for part in triple]


class Canary(Referenceable):
    pass


class Introducer(Referenceable):
    """Passes on what is published; believes everything, so that it can lie."""

    def __init__(self):
        self.known, self.subscribers = {}, []

    def remote_get_version(self):
        return {VERSION: {}, b"application-version": b"foolscap"}

    def remote_publish_v2(self, announcement, canary):
        self.known[announcement[2]] = announcement
        say("published", announcement=text_of(announcement))
        self.tell(announcement)

    def remote_subscribe_v2(self, subscriber, service_name, subscriber_info):
        say("subscribed", service=service_name.decode(),
            version=subscriber_info[b"my-version"], nickname=subscriber_info[b"nickname"])
        self.subscribers.append(subscriber)
        subscriber.notifyOnDisconnect(self.subscribers.remove, subscriber)
        if self.known:
            subscriber.callRemote("announce_v2", set(self.known.values())).addErrback(self.trouble)

    def tell(self, announcement):
        for subscriber in self.subscribers:
            subscriber.callRemote("announce_v2", {announcement}).addErrback(self.trouble)

    def trouble(self, failure):
        say("trouble", what=str(failure.value))

    def command(self, verb, triple):
        self.tell(tuple(part.encode() for part in triple))


# The interfaces are declared like this so that Foolscap checks every call of ours against them.
from zope.interface import implementer  # noqa: E402

Introducer = implementer(RIIntroducer)(Introducer)


@implementer(RISubscriber)
class Client(Referenceable):
    def __init__(self, tub, furl):
        self.remote = None
        tub.connectTo(furl, self.connected)

    def connected(self, remote):
        self.remote = remote
        remote.callRemote("get_version").addCallbacks(self.subscribe, self.trouble)

    def subscribe(self, version):
        assert VERSION in version, version
        info = {b"version": 0, b"nickname": "foolscap", b"app-versions": [], b"my-version": "x",
                b"oldest-supported": "1"}
        self.remote.callRemote("subscribe_v2", self, b"storage", info).addCallbacks(
            lambda _: say("subscribed", version=version[b"application-version"].decode()),
            self.trouble)

    def remote_announce_v2(self, announcements):
        for one in announcements:
            say("heard", announcement=text_of(one))

    def trouble(self, failure):
        say("trouble", what=str(failure.value), type=str(failure.type))

    def command(self, verb, triple):
        self.remote.callRemote("publish_v2", tuple(part.encode() for part in triple),
                               Canary()).addCallbacks(lambda _: say("accepted"), self.trouble)


class Commands(LineReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, to):
        self.to = to

    def lineReceived(self, line):
        self.to.command(*json.loads(line))

    def connectionLost(self, reason):
        reactor.stop()


def main():
    mode, folder, where = sys.argv[1:]
    tub = Tub(certFile=os.path.join(folder, "tub.pem"))
    if mode == "introducer":
        tub.listenOn(f"tcp:{where}:interface=127.0.0.1")
        tub.setLocation(f"tcp:127.0.0.1:{where}")
        it = Introducer()
        furl = tub.registerReference(it, furlFile=os.path.join(folder, "furl"))
        tub.startService()
        say("listening", furl=furl)
    else:
        tub.startService()
        it = Client(tub, where)
    StandardIO(Commands(it))
    reactor.run()


if __name__ == "__main__":
    main()
