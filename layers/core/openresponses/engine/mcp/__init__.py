"""MCP servers that the gateway itself speaks to, on every provider.

    servers.py    which server is run here, and what a request and its operator say of it
    session.py    one server's session, by the MCP SDK; the only file that imports it
    results.py    what a server answers, as the client and the model see it
    tools.py      the tools of a turn's servers: listed, offered to the model, called
    history.py    the items that MCP left in a conversation, as calls that any model understands

Imported by the turns that have MCP tools; the SDK by those that ask a server.
Source: the Model Context Protocol; OpenAI's guide "Connectors and MCP servers" for items, events and options.
"""
