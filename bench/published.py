"""Drives the published SDK, in an interpreter that has it installed.

Takes the API's URL and a log (JSON) as arguments. For each line of standard
input, a number of calls, it prints the seconds that one of them took. Started by
`cases.Published`; imports nothing of this project, whose package has the same
name.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> None:
    from importlib.metadata import version  # noqa: PLC0415  not timed

    from keywordsai.logs.api import LogAPI  # noqa: PLC0415  the published one

    url, log = sys.argv[1], json.loads(sys.argv[2])
    client = LogAPI(api_key="benchmark", base_url=url)
    client.create(log)
    print(version("keywordsai"), flush=True)
    for line in sys.stdin:
        calls = int(line)
        start = time.perf_counter()
        for _ in range(calls):
            client.create(log)
        print((time.perf_counter() - start) / calls, flush=True)


if __name__ == "__main__":
    main()
