"""`make soak`: many streams at once for a while, some providers failing, some clients vanishing; nothing may be lost or
left over.

    provider.py   what the providers do
    clients.py    what the clients do, and what they count
    gateway.py    the local server as a process that tells how many tasks it has
    process.py    what a process holds: memory, file handles
"""
