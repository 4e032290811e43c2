"""Logs that are sent in the background: kept first, delivered later.

What is here decides: the queue (`spool`), what to send next and what an outcome
means (`scheduler`), how hard a server may be pressed (`pacing`), and sums that hold
(`counts`). The worker that acts on it, and the options of `LogAPI` that start it,
are still to come: nothing of the package imports this yet.
"""
