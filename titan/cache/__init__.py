"""Fast reads that are never wrong: this process' memory and Redis before the store, judged by the change feed.

Not promised: that a read through here is the newest; whoever needs that asks for it (`contract.NEWEST`), as every
write's precondition does.

Promised, with Redis or without, whatever happens to it:

* **At most a second old.** What is cached is used only while this instance knows every change up to a second ago
  (`tail`), counted from before it asked. Where the feed is behind, caches are passed by, not trusted.
* **Never older than the session has seen**: a read that must show a mark is answered by what shows it.
* **A slow reader cannot bring back what was replaced**: it may store what it read only if no change named the document
  since before its read began, and no entry is used that a change has named since.
* **Nothing is lost with a cache.** A write is in the store when it is acknowledged; caches are told before, and where
  they cannot be, the feed tells them.
"""
