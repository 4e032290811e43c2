"""``keywordsai quickstart``: log two calls, read them back, and say what happened.

It runs a log server of its own on a free port, with its database in a temporary
folder: nothing needs an account, nothing is left behind.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from keywordsai.logs.answers import Log
from keywordsai.logs.api import LogAPI
from keywordsai.server.app import serve_in_thread

__all__ = ["run"]

_QUESTION = {"role": "user", "content": "What are the benefits of renewable energy?"}
_SYNC_ANSWER = "It is clean, it gets cheaper every year, and it does not run out."
_ASYNC_ANSWER = "Clean air, stable prices, and no fuel to import."

_CODE = """\
    from keywordsai import LogAPI

    client = LogAPI()                 # reads KEYWORDSAI_API_KEY
    client.create({                   # or: await client.acreate({...})
        "model": "gpt-4",
        "prompt_messages": [{"role": "user", "content": "Hello!"}],
        "completion_message": {"role": "assistant", "content": "Hi there!"},
    })
    for log in client.list():
        print(log.id, log.model, log.completion_message)
"""


def run() -> int:
    """Run the quickstart, printing as it goes.

    Returns:
        The exit code: 0. Whatever goes wrong raises.
    """
    with tempfile.TemporaryDirectory(prefix="keywordsai-") as folder:
        database = f"sqlite:///{Path(folder) / 'quickstart.db'}"
        with serve_in_thread(port=0, database=database) as url:
            print(f"A log server of your own is listening on {url}\n")
            # Whatever the environment says of proxies and switches: this is local.
            with LogAPI("any-key-will-do", url, enabled=True, proxy="") as client:
                _log_and_read(client)
    print("Both logs were stored and read back. The server is stopped and its")
    print("database removed. The same in your program:\n")
    print(_CODE)
    print("To keep a server and its logs:   keywordsai serve")
    print('To log into a file, without one: LogAPI(base_url="sqlite:///logs.db")')
    return 0


def _log_and_read(client: LogAPI) -> None:
    print("1. Logging a call synchronously:   client.create({...})")
    print(f"   {client.create(_log(_SYNC_ANSWER, generation_time=0.8))}\n")
    print("2. Logging a call asynchronously:  await client.acreate({...})")
    answer = asyncio.run(client.acreate(_log(_ASYNC_ANSWER, generation_time=0.6)))
    print(f"   {answer}\n")
    page = client.list()
    print(f"3. Listing the logs:               client.list()  ->  {page.count} logs")
    for row in page:
        print(f"   {_line(row)}")
    print()
    log = client.get(page.results[0].id or "")
    print("4. Getting one back, as sent:      client.get(id)")
    print(f"   {log.sent}\n")


def _log(answer: str, *, generation_time: float) -> dict[str, object]:
    return {
        "model": "gpt-4",
        "prompt_messages": [_QUESTION],
        "completion_message": {"role": "assistant", "content": answer},
        "prompt_tokens": 15,
        "completion_tokens": 25,
        "cost": 0.0008,
        "generation_time": generation_time,
        "customer_params": {"customer_identifier": "user_12345"},
    }


def _line(log: Log) -> str:
    said = (log.completion_message or {}).get("content")
    return f"{log.id}  {log.model}  {log.total_tokens} tokens  ${log.cost}  {said}"
