"""A Lambda runtime that streams: drives an ASGI app over the Runtime API, on the managed Python.

__main__.py       where Lambda's exec wrapper enters; sets sys.path
runtime.py        init, then one invocation after the other on one event loop
events.py         which front door an event came through, and what the app is told about it
cycle.py          one streamed HTTP exchange: ASGI messages in, prelude and chunks out
runtime_api.py    the Runtime API as a client
"""
