"""Logs that are sent in the background: kept first, delivered later.

What decides is pure: what to send next and what an outcome means (`scheduler`), how
hard a server may be pressed (`pacing`), sums that hold (`counts`). The queue is
SQLite (`spool`, `source`), in memory or in a folder of files, one for each process
(`folder`). Clients put into an `outbox`, a `worker` takes out, and `lifecycle` knows
of their beginnings and ends: forks, flushes, the program's exit.
"""
