"""Users' tests that patch requests or aiohttp work as over plain requests and aiohttp."""

import asyncio
import json

import aiohttp
import pytest
import requests
import responses

from keywordsai import (
    ConnectError,
    KeywordsAIError,
    LogAPI,
    MockTransport,
    NotFoundError,
    ProtocolError,
    ReadTimeout,
    RetryPolicy,
    ServerError,
)

BASE = "https://api.keywordsai.co/api/request-logs"
CREATE, LIST, GET = f"{BASE}/create/", f"{BASE}/list/", f"{BASE}/7/"
LOG = {"model": "gpt-4"}
DONE = {"message": "log successful", "id": "7"}
PAGE = {"results": [{"id": "7", "model": "gpt-4"}], "count": 1}


@pytest.fixture
def client():
    with LogAPI(api_key="test", retry=RetryPolicy(base=0.0, attempts=2)) as made:
        yield made


class TestResponses:
    @pytest.fixture(autouse=True)
    def mocked(self):
        with responses.RequestsMock() as mocked:
            yield mocked

    def test_every_operation(self, client, mocked):
        mocked.post(CREATE, json=DONE)
        mocked.get(LIST, json=PAGE)
        mocked.get(GET, json=PAGE["results"][0])
        assert client.create(LOG) == DONE
        assert client.list(page=1, model="gpt-4").results[0].id == "7"
        assert client.get("7").model == "gpt-4"
        sent = mocked.calls[0].request
        assert json.loads(sent.body) == LOG
        assert sent.headers["Authorization"] == "Bearer test"
        assert mocked.calls[1].request.params == {"page": "1", "model": "gpt-4"}

    def test_matchers(self, client, mocked):
        mocked.post(
            CREATE,
            json=DONE,
            match=[
                responses.matchers.json_params_matcher(LOG),
                responses.matchers.header_matcher({"Authorization": "Bearer test"}),
            ],
        )
        assert client.create(LOG) == DONE

    def test_a_callback(self, client, mocked):
        mocked.add_callback(
            responses.POST, CREATE, lambda request: (201, {}, json.dumps(DONE))
        )
        assert client.create(LOG) == DONE

    def test_a_sequence(self, client, mocked):
        mocked.post(CREATE, status=503)
        mocked.post(CREATE, json=DONE)
        assert client.create(LOG) == DONE
        first, second = (call.request for call in mocked.calls)
        assert first.body == second.body
        assert first.headers == second.headers

    def test_statuses(self, client, mocked):
        mocked.get(GET, status=404, json={"detail": "Not found."})
        mocked.post(CREATE, status=500)
        with pytest.raises(NotFoundError, match=r"^404: Not found.$"):
            client.get("7")
        with pytest.raises(ServerError):
            client.create(LOG)

    @pytest.mark.parametrize(
        ("body", "kind", "sent"),
        [
            (requests.ConnectionError("x"), ConnectError, None),
            (requests.ConnectTimeout("x"), ConnectError, False),
            (requests.exceptions.SSLError("x"), ConnectError, False),
            (requests.exceptions.ProxyError("x"), ConnectError, False),
            (requests.ReadTimeout("x"), ReadTimeout, True),
            (requests.Timeout("x"), ReadTimeout, None),
            (TimeoutError("x"), ReadTimeout, True),
            (requests.exceptions.ChunkedEncodingError("x"), ProtocolError, True),
            (requests.exceptions.ContentDecodingError("x"), ProtocolError, True),
            (requests.ConnectionError(ConnectionResetError()), ProtocolError, None),
        ],
    )
    def test_exceptions(self, client, mocked, body, kind, sent):
        mocked.post(CREATE, body=body)
        with pytest.raises(kind) as caught:
            client.create(LOG)
        assert caught.value.request_sent is sent
        assert caught.value.attempts == len(mocked.calls) == 2
        assert caught.value.__cause__ is body
        assert str(caught.value)

    def test_an_exception_then_an_answer(self, client, mocked):
        mocked.post(CREATE, body=requests.ConnectionError("x"))
        mocked.post(CREATE, json=DONE)
        assert client.create(LOG) == DONE

    def test_nothing_registered(self, client, mocked):
        with pytest.raises(ConnectError) as caught:
            client.create(LOG)
        assert isinstance(caught.value.__cause__, requests.ConnectionError)

    def test_a_session_of_the_users(self, mocked):
        mocked.post(CREATE, json=DONE)
        with requests.Session() as session:
            session.headers["X-Team"] = "blue"
            with LogAPI(api_key="test", transport=session) as client:
                assert client.create(LOG) == DONE
        assert mocked.calls[0].request.headers["X-Team"] == "blue"


class TestAioresponses:
    def run(self, call):
        async def main():
            retry = RetryPolicy(base=0.0, attempts=2)
            async with LogAPI(api_key="test", retry=retry) as client:
                return await call(client)

        return asyncio.run(main())

    def test_every_operation(self, mocked_aiohttp):
        mocked_aiohttp.post(CREATE, payload=DONE)
        mocked_aiohttp.get(f"{LIST}?page=1&model=gpt-4", payload=PAGE)
        mocked_aiohttp.get(GET, payload=PAGE["results"][0])
        assert self.run(lambda client: client.acreate(LOG)) == DONE
        page = self.run(lambda client: client.alist(page=1, model="gpt-4"))
        assert page.results[0].id == "7"
        assert self.run(lambda client: client.aget("7")).model == "gpt-4"
        ((first, *_), *_) = mocked_aiohttp.requests.values()
        assert json.loads(first.kwargs["data"]) == LOG
        assert first.kwargs["headers"]["Authorization"] == "Bearer test"

    def test_a_sequence(self, mocked_aiohttp):
        mocked_aiohttp.post(CREATE, status=503)
        mocked_aiohttp.post(CREATE, payload=DONE)
        assert self.run(lambda client: client.acreate(LOG)) == DONE

    def test_statuses(self, mocked_aiohttp):
        mocked_aiohttp.get(GET, status=404, payload={"detail": "Not found."})
        with pytest.raises(NotFoundError, match=r"^404: Not found.$"):
            self.run(lambda client: client.aget("7"))

    @pytest.mark.parametrize(
        ("body", "kind", "sent"),
        [
            (aiohttp.ClientConnectionError("x"), ConnectError, None),
            (aiohttp.ConnectionTimeoutError("x"), ConnectError, False),
            (aiohttp.SocketTimeoutError("x"), ReadTimeout, True),
            (aiohttp.ServerTimeoutError("x"), ReadTimeout, True),
            (asyncio.TimeoutError(), ReadTimeout, True),
            (TimeoutError(), ReadTimeout, True),
            (aiohttp.ServerDisconnectedError(), ProtocolError, None),
            (aiohttp.ClientOSError(104, "x"), ProtocolError, None),
            (aiohttp.ClientPayloadError("x"), ProtocolError, True),
        ],
    )
    def test_exceptions(self, mocked_aiohttp, body, kind, sent):
        mocked_aiohttp.post(CREATE, exception=body, repeat=True)
        with pytest.raises(kind) as caught:
            self.run(lambda client: client.acreate(LOG))
        assert caught.value.request_sent is sent
        assert caught.value.attempts == 2
        assert caught.value.__cause__ is body
        assert str(caught.value)

    def test_an_exception_then_an_answer(self, mocked_aiohttp):
        mocked_aiohttp.post(CREATE, exception=aiohttp.ClientConnectionError("x"))
        mocked_aiohttp.post(CREATE, payload=DONE)
        assert self.run(lambda client: client.acreate(LOG)) == DONE


class TestMockTransport:
    def test_both_colours(self):
        mock = MockTransport([503, DONE])
        client = LogAPI(api_key="test", transport=mock)
        assert client.create(LOG) == DONE
        assert asyncio.run(client.acreate(LOG)) == DONE
        assert mock.logs == [LOG] * 3

    @pytest.mark.parametrize(
        "error", [ConnectError("x"), ReadTimeout("x"), ProtocolError("x")]
    )
    def test_errors_of_ours(self, error):
        client = LogAPI(api_key="test", transport=MockTransport([error]), retry=2)
        with pytest.raises(KeywordsAIError) as caught:
            client.create(LOG)
        assert caught.value is error
        assert error.attempts == 2
