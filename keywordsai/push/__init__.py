"""The command ``keywordsai push``: the logs of a database sent on to the service.

What was delivered and what was refused is remembered in the database itself
(`memory`); `sending` sends what is left, each log under an idempotency key made of
its id, so that a push can be interrupted and begun again; `cli` is what somebody
types and reads. It works beside the programs and servers that use the database.
"""
