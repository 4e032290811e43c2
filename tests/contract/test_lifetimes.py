"""Threads, loops, closing, cancelling, and sessions that were handed in."""

import asyncio
import contextlib
import copy
import gc
import ssl
import sys
import threading
import types

import aiohttp
import pytest
import requests
from contract.colours import Colour, get, post
from contract.wire import OK, Wire, answer, drip, hold, once, replies, stale

from keywordsai import (
    ClosedError,
    ConfigurationError,
    ConnectError,
    LogAPI,
    NotFoundError,
    ProtocolError,
    ReadTimeout,
    RetryPolicy,
    Timeout,
)
from keywordsai.transport.aiohttp import AiohttpTransport
from keywordsai.transport.forks import _after_fork_in_child
from keywordsai.transport.network import Network
from keywordsai.transport.requests import RequestsTransport

LOG = {"model": "gpt-4"}
DONE = {"message": "log successful"}


def client_of(wire, **options):
    options.setdefault("retry", RetryPolicy(base=0.001))
    return LogAPI(api_key="key-of-tests", base_url=wire.origin, **options)


def in_threads(count, work):
    """Run it in as many threads at once; what they returned, or the first error."""
    ready = threading.Barrier(count)
    results = []

    def one():
        ready.wait()
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  it is raised again below
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


async def until(condition):
    """Let the loop go on until it holds."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


@contextlib.contextmanager
def a_loop():
    loop = asyncio.new_event_loop()
    try:
        yield loop
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


@pytest.fixture
def wire():
    with Wire(replies(OK)) as made:
        yield made
    gc.collect()


class TestThreadsAndLoops:
    def test_twenty_threads(self, wire, caplog):
        with client_of(wire) as client:

            def work():
                return [client.create(LOG) for _ in range(5)]

            for result in in_threads(20, work):
                assert result == [DONE] * 5
        assert len(wire.requests) == 100
        # No connection was made only to be thrown away.
        assert wire.connections <= 20
        assert [line for line in caplog.messages if "pool" in line] == []

    def test_sync_inside_a_running_loop(self, wire):
        async def main():
            return client.create(LOG)

        with client_of(wire) as client:
            assert asyncio.run(main()) == DONE

    def test_one_loop_after_another(self, wire):
        client = client_of(wire)
        for _ in range(3):
            assert asyncio.run(client.acreate(LOG)) == DONE
            # The session went with its loop: nothing is left to warn of.
            assert client._async._held == {}
            wire.wait_for(lambda: wire.open == 0)
        assert wire.connections == 3

    def test_several_loops_at_once(self, wire):
        client = client_of(wire)

        async def many():
            return await asyncio.gather(*(client.acreate(LOG) for _ in range(5)))

        for result in in_threads(5, lambda: asyncio.run(many())):
            assert result == [DONE] * 5
        client.close()

    def test_both_colours_at_once(self, wire):
        async def main():
            loop = asyncio.get_running_loop()
            sync = loop.run_in_executor(None, client.create, LOG)
            return await asyncio.gather(sync, client.acreate(LOG))

        with client_of(wire) as client:
            assert asyncio.run(main()) == [DONE, DONE]

    def test_many_in_flight_on_one_loop(self, wire):
        async def main():
            async with client_of(wire) as client:
                calls = (client.acreate(LOG) for _ in range(150))
                return await asyncio.gather(*calls)

        assert asyncio.run(main()) == [DONE] * 150

    @pytest.fixture
    def unclosed(self, monkeypatch):
        """What is warned of when it is destroyed, as far as aiohttp made it."""
        warned = []
        monkeypatch.setattr(
            sys, "unraisablehook", lambda heard: warned.append(str(heard.exc_value))
        )

        def collect():
            gc.collect()
            words = ("client session", "connector", "connection")
            return [text for text in warned if any(w in text.lower() for w in words)]

        return collect

    def test_a_session_left_open_would_be_heard(self, unclosed, wire):
        async def leave_open():
            await aiohttp.ClientSession().get(wire.origin)

        with a_loop() as loop:
            loop.set_exception_handler(lambda *_: None)
            loop.run_until_complete(leave_open())
            assert any("Unclosed client session" in text for text in unclosed())

    def test_a_loop_closed_without_a_word(self, unclosed, wire):
        """The session is closed; the loop's own transports are asyncio's matter."""
        client = client_of(wire)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(client.acreate(LOG))
        loop.close()
        with a_loop() as other:
            other.run_until_complete(client.acreate(LOG))
            assert list(client._async._held) == [other]
            assert unclosed() == []
        client.close()
        del client, loop
        assert unclosed() == []

    def test_loops_are_forgotten_while_others_come(self):
        """Threads that come and go at the same moment do not disturb each other."""

        class Loop:
            def is_closed(self):
                transport._held[object()] = None
                return True

        transport = AiohttpTransport()
        transport._held[Loop()] = None

        async def main():
            await transport._own()
            transport._held.pop(asyncio.get_running_loop())

        with a_loop() as loop:
            loop.run_until_complete(main())
        transport._held.clear()

    def test_a_client_dropped_unclosed(self, wire):
        asyncio.run(client_of(wire).acreate(LOG))
        client_of(wire).create(LOG)
        with a_loop() as loop:
            loop.run_until_complete(client_of(wire).acreate(LOG))
        with a_loop() as loop:
            client = client_of(wire)
            loop.run_until_complete(client.acreate(LOG))
            del client
            gc.collect()
            wire.wait_for(lambda: wire.open == 0)


class TestClosing:
    def test_every_call_after_it(self, colour, wire):
        client = colour.client(wire.origin)
        client.create(LOG)
        client.close()
        client.close()
        for call in (
            lambda: client.create(LOG),
            lambda: client.get("id"),
            client.list,
        ):
            with pytest.raises(ClosedError, match="the client was closed"):
                call()
        wire.wait_for(lambda: wire.open == 0)
        assert len(wire.requests) == 1

    def test_before_anything_was_sent(self, colour, wire):
        colour.client(wire.origin).close()

    def test_the_transport_itself(self, colour, wire):
        transport = colour.transport()
        assert transport.send(get(wire.origin)).status == 200
        transport.close()
        transport.close()
        with pytest.raises(ClosedError):
            transport.send(get(wire.origin))

    def test_at_exit_no_connection_is_kept(self, wire):
        transport = RequestsTransport()
        transport._finalizer()  # as the exit of a program calls it
        for _ in range(2):
            assert transport.send(get(wire.origin)).status == 200
            wire.wait_for(lambda: wire.open == 0)

    def test_close_closes_both_colours(self, wire):
        client = client_of(wire)
        with a_loop() as loop:
            client.create(LOG)
            loop.run_until_complete(client.acreate(LOG))
            client.close()
            wire.wait_for(lambda: wire.open == 0)
            with pytest.raises(ClosedError):
                loop.run_until_complete(client.acreate(LOG))

    def test_aclose_closes_both_colours(self, wire):
        async def main():
            client = client_of(wire)
            client.create(LOG)
            await client.acreate(LOG)
            await client.aclose()
            await client.aclose()
            wire.wait_for(lambda: wire.open == 0)

        asyncio.run(main())

    def test_close_inside_the_running_loop(self, wire):
        async def main():
            client = client_of(wire)
            await client.acreate(LOG)
            client.close()
            await until(lambda: not wire.open)

        asyncio.run(main())

    def test_close_at_the_very_end_of_the_loop(self, wire):
        async def main():
            client = client_of(wire)
            await client.acreate(LOG)
            client.close()

        asyncio.run(main())
        wire.wait_for(lambda: wire.open == 0)

    def test_close_at_the_very_end_of_a_loop_of_ones_own(self, wire):
        async def main():
            client = client_of(wire)
            await client.acreate(LOG)
            client.close()

        with a_loop() as loop:
            loop.run_until_complete(main())
        wire.wait_for(lambda: wire.open == 0)

    def test_close_from_another_thread(self, wire):
        async def main():
            client = client_of(wire)
            await client.acreate(LOG)
            await asyncio.to_thread(client.close)
            await until(lambda: not wire.open)

        asyncio.run(main())

    def test_aclose_with_loops_elsewhere(self, wire):
        client = client_of(wire)
        with a_loop() as resting, a_loop() as closing:
            resting.run_until_complete(client.acreate(LOG))
            closing.run_until_complete(client.acreate(LOG))
            assert wire.open == 2
            closing.run_until_complete(client.aclose())
            wire.wait_for(lambda: wire.open == 0)

    def test_a_loop_that_is_closed_at_the_same_moment(self):
        """What another thread took first is not closed twice."""

        class Loop:
            def is_closed(self):
                return True

        transport = AiohttpTransport()
        first, second = Loop(), Loop()

        async def aclose():
            transport._held.clear()

        held = types.SimpleNamespace(holder=types.SimpleNamespace(aclose=aclose))
        transport._held.update({first: held, second: held})
        transport.close_from_sync()
        assert transport._held == {}

    def test_with(self, wire):
        async def main():
            async with client_of(wire) as client:
                await client.acreate(LOG)
            assert client._closed

        asyncio.run(main())
        with client_of(wire) as client:
            client.create(LOG)
        assert client._closed


class TestCancelling:
    @pytest.mark.parametrize(
        "script",
        [
            hold,
            drip(b"x" * 9999, start=b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        ],
        ids=["waiting", "reading"],
    )
    def test_it_passes_untouched(self, script):
        async def main():
            async with client_of(wire) as client:
                task = asyncio.create_task(client.acreate(LOG))
                await until(lambda: wire.requests)
                task.cancel("enough")
                with pytest.raises(asyncio.CancelledError) as caught:
                    await task
                assert caught.value.__cause__ is None
                # Its connection is closed, not kept half read.
                await until(lambda: not wire.open)
                assert len(wire.requests) == 1

        with Wire(script) as wire:
            asyncio.run(main())
        gc.collect()

    def test_a_timeout_of_the_callers(self):
        async def main():
            async with client_of(wire) as client:
                with pytest.raises(asyncio.TimeoutError) as caught:
                    await asyncio.wait_for(client.acreate(LOG), 0.05)
                assert type(caught.value) is asyncio.TimeoutError

        with Wire(hold) as wire:
            asyncio.run(main())

    def test_during_a_wait(self):
        async def main():
            retry = RetryPolicy(base=60, cap=60)
            async with client_of(wire, retry=retry, timeout=200) as client:
                task = asyncio.create_task(client.acreate(LOG))
                await until(lambda: wire.requests)
                await asyncio.sleep(0.02)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        with Wire(replies(answer(b"", status="503 Busy"))) as wire:
            asyncio.run(main())


def state(session):
    """What one could change about a session."""
    if isinstance(session, requests.Session):
        kept = ("headers", "cookies", "proxies", "verify", "cert", "trust_env", "hooks")
        values = {name: copy.copy(getattr(session, name)) for name in kept}
        return {**values, "adapters": dict(session.adapters)}
    return {
        "headers": session.headers.copy(),
        "cookies": list(session.cookie_jar),
        "connector": session.connector,
        "timeout": session.timeout,
        "closed": session.closed,
        "trust_env": session.trust_env,
    }


class TestHandedIn:
    def test_neither_closed_nor_changed(self, colour):
        cookie = answer(headers=["Set-Cookie: a=b; Path=/"])
        with Wire(replies(cookie)) as wire:
            session = colour.session(headers={"X-Team": "blue", "Accept": "text/x"})
            if not colour.is_async:
                # A dict will do for requests, but it compares headers by case.
                session.headers = requests.structures.CaseInsensitiveDict(
                    session.headers
                )
            before = state(session)
            client = colour.client(wire.origin, transport=session)
            assert client.create(LOG) == DONE
            client.close()
            if not colour.is_async:
                assert state(session) == before
                assert session.get(wire.origin).status_code == 200
            else:
                after = state(session)
                after["cookies"] = before["cookies"]  # its jar is its own
                assert after == before
            (request, *_) = wire.requests
        assert b"\r\nX-Team: blue\r\n" in request
        assert b"\r\nAccept: application/json\r\n" in request  # ours go first
        assert request.count(b"ccept:") == 1
        assert b"Bearer key-of-tests" in request

    def test_no_redirect(self, colour):
        moved = answer(b"", status="302 Found", headers=["Location: /elsewhere"])
        with Wire(replies(moved)) as wire:
            transport = colour.transport(session=colour.session())
            assert transport.send(post(wire.origin)).status == 302
            assert len(wire.requests) == 1

    def test_an_answer_is_an_answer_whatever_its_status(self, colour):
        """A session that raises for statuses would have them taken for broken."""

        def raise_for_status(response, **_options):
            response.raise_for_status()

        if colour.is_async:
            session = colour.session(raise_for_status=True)
        else:
            session = colour.session(hooks={"response": [raise_for_status]})
        with Wire(replies(answer(b"", status="404 Not Found"), OK)) as wire:
            client = colour.client(wire.origin, transport=session)
            with pytest.raises(NotFoundError):
                client.get("id")
            assert len(wire.requests) == 1

    def test_a_header_of_none_is_not_sent(self, wire):
        """requests takes it for one to leave out."""
        with requests.Session() as session:
            session.headers["X-Team"] = "blue"
            session.headers["X-None"] = None
            with client_of(wire, transport=session) as client:
                assert client.create(LOG) == DONE
        assert b"X-Team: blue" in wire.requests[0]
        assert b"X-None" not in wire.requests[0]

    @pytest.mark.parametrize("jar", [True, False])
    def test_the_cookies_of_an_aiohttp_session_are_its_own(self, jar):
        """They alone cannot be turned off from outside: its jar decides."""
        colour = Colour("async")

        async def opened():
            jars = aiohttp.CookieJar(unsafe=True) if jar else aiohttp.DummyCookieJar()
            return aiohttp.ClientSession(cookie_jar=jars)

        session = colour._keep(colour.run(opened()))
        with Wire(replies(answer(headers=["Set-Cookie: a=b; Path=/"]))) as wire:
            transport = colour.transport(session=session)
            for _ in range(2):
                transport.send(get(wire.origin))
            first, second = wire.requests
        assert b"Cookie" not in first
        assert (b"Cookie: a=b" in second) is jar
        colour.end()

    def test_the_cookies_of_a_requests_session_are_not_used(self, wire):
        with requests.Session() as session:
            session.cookies.set("a", "b")
            with client_of(wire, transport=session) as client:
                client.create(LOG)
        assert b"Cookie" not in wire.requests[0]

    def test_the_same_errors(self, colour):
        cut = once(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        with Wire(lambda peer: None, cut, hold) as wire:
            transport = colour.transport(session=colour.session())
            request = post(wire.origin, timeout=Timeout(connect=1, read=0.1, total=1))
            with pytest.raises(ProtocolError) as unheard:
                transport.send(request)
            with pytest.raises(ProtocolError) as broken:
                transport.send(request)
            with pytest.raises(ReadTimeout) as slow:
                transport.send(request)
        assert unheard.value.response_started is False
        assert broken.value.response_started is True
        assert slow.value.request_sent is True

    def test_a_chunk_of_less_than_nothing(self, colour):
        start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        with Wire(once(start + b"-2\r\nabcde\r\n0\r\n\r\n")) as wire:
            transport = colour.transport(session=colour.session())
            with pytest.raises(ProtocolError) as caught:
                transport.send(post(wire.origin))
        assert caught.value.response_started is True

    def test_a_dripped_body_is_bounded(self, colour):
        body = drip(b"x" * 300, start=b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n")
        with Wire(body) as wire:
            transport = colour.transport(session=colour.session())
            with pytest.raises(ReadTimeout) as caught:
                transport.send(
                    post(wire.origin, timeout=Timeout(connect=1, read=1, total=0.3))
                )
        assert caught.value.request_sent is True

    def test_its_certificates(self, colour, server_tls, bundle, authority):
        with Wire(replies(OK), tls=server_tls) as wire:
            if colour.is_async:
                context = ssl.create_default_context(cafile=bundle)

                async def opened():
                    return aiohttp.ClientSession(
                        connector=aiohttp.TCPConnector(ssl=context)
                    )

                session = colour._keep(colour.loop.run_until_complete(opened()))
            else:
                session = colour.session(verify=bundle)
            transport = colour.transport(session=session)
            assert transport.send(get(wire.origin)).status == 200

    def test_its_proxy_wins(self, colour, monkeypatch):
        with Wire(replies(OK)) as own, Wire(replies(OK)) as other:
            if colour.is_async:
                session = colour.session(proxy=own.origin)
            else:
                session = colour.session(proxies={"http": own.origin})
            network = Network(proxy=other.origin)
            transport = colour.transport(network, session=session)
            assert transport.send(get("http://logs.invalid")).status == 200
            assert len(own.requests) == 1
            assert other.requests == []

    def test_our_certificates_otherwise(self, server_tls, bundle):
        """aiohttp's session has its own in its connector."""
        with Wire(replies(OK), tls=server_tls) as wire, requests.Session() as session:
            transport = RequestsTransport(Network(ca_bundle=bundle), session=session)
            assert transport.send(get(wire.origin)).status == 200

    def test_our_proxy_otherwise(self, colour):
        with Wire(replies(OK)) as proxy:
            network = Network(proxy=proxy.origin)
            transport = colour.transport(network, session=colour.session())
            assert transport.send(get("http://logs.invalid")).status == 200
            assert len(proxy.requests) == 1

    def test_no_netrc(self, colour, wire, tmp_path, monkeypatch):
        path = tmp_path / "netrc"
        path.write_text("machine 127.0.0.1 login someone password pass-of-tests\n")
        monkeypatch.setenv("NETRC", str(path))
        transport = colour.transport(session=colour.session())
        transport.send(get(wire.origin))
        assert b"Bearer key-of-tests" in wire.requests[0]

    @pytest.mark.skipif(
        tuple(map(int, aiohttp.__version__.split(".")[:2])) < (3, 14),
        reason="older ones let the netrc of a session with trust_env win, unheard",
    )
    def test_credentials_of_an_aiohttp_session(self, wire, tmp_path, monkeypatch):
        path = tmp_path / "netrc"
        path.write_text("machine 127.0.0.1 login someone password pass-of-tests\n")
        monkeypatch.setenv("NETRC", str(path))
        colour = Colour("async")
        transport = colour.transport(session=colour.session(trust_env=True))
        with pytest.raises(ConfigurationError, match="credentials of its own"):
            transport.send(get(wire.origin))
        colour.end()

    def test_another_value_error_is_not_ours(self):
        class Session:
            closed = False

            def request(self, *_args, **_options):
                raise ValueError("of another kind")

        transport = AiohttpTransport(session=Session())
        with pytest.raises(ValueError, match="of another kind"):
            asyncio.run(transport.send(get("http://127.0.0.1:1")))

    def test_a_closed_aiohttp_session(self, wire):
        async def main():
            session = aiohttp.ClientSession()
            await session.close()
            transport = AiohttpTransport(session=session)
            with pytest.raises(ClosedError, match="ClientSession was closed"):
                await transport.send(get(wire.origin))

        asyncio.run(main())

    def test_aiohttps_own_habit_over_its_own_session(self):
        """Only over a session of the user's does a GET go out twice."""
        colour = Colour("async")
        with Wire(stale(), replies(OK)) as wire:
            transport = colour.transport(session=colour.session())
            transport.send(post(wire.origin))
            assert transport.send(get(wire.origin)).status == 200
            assert len(wire.requests) == 3
        colour.end()

    def test_an_adapter_of_the_users(self, wire):
        seen = []

        class Adapter(requests.adapters.HTTPAdapter):
            def send(self, request, **options):
                seen.append(request.url)
                return super().send(request, **options)

        with requests.Session() as session:
            session.mount("http://", Adapter())
            with client_of(wire, transport=session) as client:
                client.create(LOG)
        assert len(seen) == 1

    @pytest.mark.parametrize(
        ("error", "kind", "sent"),
        [
            (ConnectionResetError("reset"), ProtocolError, None),
            (OSError("no space"), ConnectError, None),
            (TimeoutError(), ReadTimeout, True),
        ],
    )
    def test_whatever_an_adapter_of_the_users_raises(self, error, kind, sent):
        class Adapter(requests.adapters.BaseAdapter):
            def send(self, request, **options):
                raise error

            def close(self):
                pass

        with requests.Session() as session:
            session.mount("http://", Adapter())
            transport = RequestsTransport(session=session)
            with pytest.raises(kind) as caught:
                transport.send(get("http://127.0.0.1:1"))
        assert caught.value.request_sent is sent
        assert caught.value.__cause__ is error


class TestFork:
    """What the hooks do; real forks are in tests/process."""

    def test_requests_gets_fresh_connections(self, wire):
        transport = RequestsTransport()
        transport.send(get(wire.origin))
        before = transport._adapter
        _after_fork_in_child()
        assert transport._adapter is not before
        before.close()
        transport.close()
        own = requests.Session()
        handed = RequestsTransport(session=own)
        _after_fork_in_child()
        assert handed._adapter is None

    def test_aiohttp_leaves_its_sessions_to_the_parent(self, wire):
        async def main():
            transport = AiohttpTransport()
            await transport.send(get(wire.origin))
            held = transport._held[asyncio.get_running_loop()]
            connector = held.session.connector
            connector._pid = 0
            _after_fork_in_child()
            assert transport._held == {}
            assert held.session.closed
            assert not connector.closed
            connector.__del__()
            assert not connector.closed
            await connector.close()

        asyncio.run(main())
