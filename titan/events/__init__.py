"""Changes as CloudEvents, pushed to clients from every instance (architecture 4.6).

Not promised: that an event comes once (its `id` tells repeats), any order between documents, and `data` where the
document has changed again since.

Promised, to every client of every instance, whichever took the write: each change whose transaction was committed
after the client's cursor is told, those of one document in the order in which they were made; who comes back with the
cursor of the last event goes on behind it, on any instance. Where that cannot be done it is said (410), never skipped.
"""
