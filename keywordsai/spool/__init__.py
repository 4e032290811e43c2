"""The command ``keywordsai spool``: a spool folder looked at, and put in order.

Logs that wait or were refused can be seen (`queues`), sent (`taking`, `sending`) and
removed (`removing`); `cli` is what an operator reads and types. It works beside the
programs that are using the folder.
"""
