# The desktop's window that asks for a keyring's password, without a window: GNOME's SystemPrompter on the session bus.
#
# Says `prompt` for each question on stdout; reads `answer PASSWORD`, `dismiss` or `wait` on stdin, which then holds for
# that question and all later ones. Until then nothing is answered. One question at a time, as GNOME Shell does.
# Source: gcr 3.41, gcr-dbus-constants.h, org.gnome.keyring.Prompter.xml and gcr-system-prompter.c.
import sys

import dbus
import dbus.service
import gi
from dbus.mainloop.glib import DBusGMainLoop

gi.require_version("Gcr", "3")
from gi.repository import Gcr, GLib  # noqa: E402

PROMPTER = "org.gnome.keyring.internal.Prompter"
MOMENT = 300  # milliseconds
CALLBACK = "org.gnome.keyring.internal.Prompter.Callback"


class Prompter(dbus.service.Object):
    def __init__(self, bus):
        super().__init__(bus, "/org/gnome/keyring/Prompter")
        self.bus = bus
        self.queue = []  # (who, path), the first is served
        self.exchange = None
        self.received = False
        self.waits = False
        self.will = None

    @dbus.service.method(PROMPTER, in_signature="o", sender_keyword="sender")
    def BeginPrompting(self, callback, sender=None):
        self.queue.append((sender, callback))
        self.bus.watch_name_owner(sender, lambda owner: owner or self.drop(lambda who: who[0] == sender))
        # The daemon does not always say that it is done with a window that was answered.
        if len(self.queue) > 1 and self.received and not self.waits:
            self.queue.pop(0)
            self.later()
        elif len(self.queue) == 1:
            self.later()

    @dbus.service.method(PROMPTER, in_signature="osa{sv}s", sender_keyword="sender")
    def PerformPrompt(self, callback, kind, properties, exchange, sender=None):
        self.received = self.exchange.receive(exchange)
        self.waits = True
        print("prompt", kind, flush=True)
        self.act()

    @dbus.service.method(PROMPTER, in_signature="o", sender_keyword="sender")
    def StopPrompting(self, callback, sender=None):
        self.drop(lambda who: who == (sender, callback))
        self.call((sender, callback), "PromptDone", "", ())

    def drop(self, gone):
        served = self.queue[:1]
        self.queue = [who for who in self.queue if not gone(who)]
        if self.queue and self.queue[:1] != served:
            self.later()

    def later(self):
        # A real window takes a moment to open. gcr drops the call, and waits for ever, where it comes before it has looked at
        # the answer to its own (prompt_method_ready: an assertion).
        who = self.queue[0]
        GLib.timeout_add(MOMENT, lambda: self.serve() if self.queue[:1] == [who] else None)

    def serve(self):
        self.exchange, self.received, self.waits = Gcr.SecretExchange.new(None), False, False
        self.ready("", None)

    def ready(self, reply, secret):
        length = len(secret) if secret else 0
        text = self.exchange.send(secret, length) if self.received else self.exchange.begin()
        empty = dbus.Dictionary({}, signature="sv")
        self.call(self.queue[0], "PromptReady", "sa{sv}s", (reply, empty, text))

    def call(self, who, member, signature, arguments):
        # A prompt that is gone by now has nobody to tell.
        nothing = lambda *_: None  # noqa: E731
        self.bus.call_async(who[0], who[1], CALLBACK, member, signature, arguments, nothing, nothing)

    def act(self):
        if self.waits and self.will not in (None, "wait"):
            self.waits = False
            word, _, password = self.will.partition(" ")
            self.ready("yes", password) if word == "answer" else self.ready("no", None)

    def told(self, stdin, _condition):
        line = stdin.readline()
        if not line:
            loop.quit()
            return False
        self.will = line.rstrip("\n")
        self.act()
        return True


DBusGMainLoop(set_as_default=True)
bus = dbus.SessionBus()
name = dbus.service.BusName("org.gnome.keyring.SystemPrompter", bus)
prompter = Prompter(bus)
loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, prompter.told)
print("ready", flush=True)
loop.run()
