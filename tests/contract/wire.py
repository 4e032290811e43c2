"""A server of raw sockets: each connection plays a script, every byte is kept.

A script is a function of the `Peer`, the server's end of one connection. When it
returns, the connection is closed. Nothing here knows HTTP better than it must,
so that nothing it says is put right on the way.
"""

import contextlib
import select
import socket
import ssl
import struct
import threading
import time

MOMENT = 5  # seconds: a test that waits longer has failed


def answer(body=b'{"message": "log successful"}', *, status="200 OK", headers=()):
    """One whole answer."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


OK = answer()


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock, wire):
        self.sock = sock
        self.wire = wire
        self.buffer = b""

    def more(self):
        """Read some bytes; False once the client has left."""
        while not self.wire.stopping.is_set():
            pending = isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()
            if pending or select.select([self.sock], [], [], 0.05)[0]:
                try:
                    data = self.sock.recv(65536)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    continue
                except OSError:
                    return False
                self.buffer += data
                return bool(data)
        return False

    def head(self):
        """Read a request's head, and keep the bytes; empty once the client left."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.more():
                return b""
        end = self.buffer.index(b"\r\n\r\n") + 4
        head, self.buffer = self.buffer[:end], self.buffer[end:]
        return head

    def request(self):
        """Read a whole request and record it; empty once the client left."""
        head = self.head()
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self.buffer) < length:
            if not self.more():
                return b""
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        if head:
            self.wire.record(head + body)
        return head + body

    def send(self, data):
        self.sock.sendall(data)

    def drip(self, data, every=0.03):
        """Send byte by byte, until the client leaves."""
        for number in range(len(data)):
            self.send(data[number : number + 1])
            if self.wire.stopping.wait(every):
                return

    def hold(self):
        """Say nothing more, until the client leaves."""
        while self.more():
            pass

    def reset(self):
        """Close without a goodbye: the client's system answers RST."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.sock.close()


class Wire:
    """The server; the n-th connection plays the n-th script, or the last one.

    Attributes:
        requests: The exact bytes of every whole request, as they arrived.
        connections: How many there were.
    """

    def __init__(self, *scripts, tls=None, family=socket.AF_INET):
        self.scripts = scripts
        self.tls = tls
        self.requests = []
        self.connections = 0
        self.open = 0
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._threads = []
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(256)
        self.host, self.port = self._listener.getsockname()[:2]
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.origin = f"{'https' if tls else 'http'}://{host}:{self.port}"
        self._accepting = threading.Thread(target=self._accept)

    def __enter__(self):
        self._accepting.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self._accepting.join()
        self._listener.close()
        for thread in self._threads:
            thread.join(MOMENT)
            assert not thread.is_alive(), "a script did not end"

    def record(self, request):
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def wait_for(self, condition):
        """Wait until the condition of this server holds."""
        with self._changed:
            assert self._changed.wait_for(condition, MOMENT), "it never happened"

    def _accept(self):
        while not self.stopping.is_set():
            if not select.select([self._listener], [], [], 0.02)[0]:
                continue
            sock, _ = self._listener.accept()
            with self._changed:
                script = self.scripts[min(self.connections, len(self.scripts) - 1)]
                self.connections += 1
                self.open += 1
                self._changed.notify_all()
            thread = threading.Thread(target=self._play, args=(sock, script))
            self._threads.append(thread)
            thread.start()

    def _play(self, sock, script):
        try:
            # A script's end is often the client's: then there is nobody to tell.
            with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                stack.callback(sock.close)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls is not None:
                    sock.settimeout(MOMENT)
                    sock = self.tls.wrap_socket(sock, server_side=True)
                    stack.callback(sock.close)
                script(Peer(sock, self))
        finally:
            with self._changed:
                self.open -= 1
                self._changed.notify_all()


def replies(*answers):
    """Answer requests on one kept-alive connection, the last answer again and again."""

    def script(peer):
        number = 0
        while peer.request():
            peer.send(answers[min(number, len(answers) - 1)])
            number += 1

    return script


def once(*pieces, after=None):
    """Read one request, send the pieces, do what comes after, close."""

    def script(peer):
        peer.request()
        for piece in pieces:
            peer.send(piece)
        if after is not None:
            after(peer)

    return script


def silent_close(peer):
    peer.request()


def silent_reset(peer):
    peer.request()
    peer.reset()


def hold(peer):
    peer.request()
    peer.hold()


def drip(data, every=0.03, start=b""):
    def script(peer):
        peer.request()
        peer.send(start)
        peer.drip(data, every)

    return script


def stale(data=OK):
    """Answer once, leave the connection open, and close it at the second request."""

    def script(peer):
        peer.request()
        peer.send(data)
        peer.request()

    return script


def tunnel(to, *, credentials=None):
    """An HTTP proxy: CONNECT leads to the address, all else is answered as asked."""

    def script(peer):
        while head := peer.head():
            peer.wire.record(head)
            if credentials and b"proxy-authorization: " + credentials.lower() not in (
                head.lower()
            ):
                peer.send(answer(b"", status="407 Proxy Authentication Required"))
                return
            if not head.startswith(b"CONNECT"):
                peer.send(OK)
                continue
            with socket.create_connection(to) as other:
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _relay(peer, other)
            return

    return script


def _relay(peer, other):
    ends = {peer.sock: other, other: peer.sock}
    while not peer.wire.stopping.is_set():
        if isinstance(peer.sock, ssl.SSLSocket) and peer.sock.pending():
            ready = [peer.sock]
        else:
            ready = select.select(list(ends), [], [], 0.05)[0]
        for end in ready:
            data = end.recv(65536)
            if not data:
                return
            ends[end].sendall(data)


@contextlib.contextmanager
def black_hole():
    """An address that never completes a connection: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        time.sleep(0.01)
        yield "http://{}:{}".format(*listener.getsockname())


def unused_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]
