"""The web page: logs, one log and the overview, as HTML made on the server.

`views` answers a request with a store at hand, like the handler of the API; the
other modules make what it shows. Nothing here imports aiohttp or a driver.
"""
