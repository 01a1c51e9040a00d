"""Who leads: one instance at a time does the work that must not be done twice.

**What a lease does not guarantee.** That only one instance believes that it leads. A holder may be paused (SIGSTOP, a
suspended machine, a garbage-collecting hypervisor) after it looked at its lease and before it acts; its clock may run
slow; Redis may fail over to a replica that never heard of the key, or be restored, flushed, split. In each case a
second instance wins the lease in good faith while the first one is still at work, and no time-out, however it is
chosen, can close that gap: what stops the first one would have to run inside it.

**How the gap is closed.** Each term takes a number from the database (`Store.begin_term`), and every write of a leader
compares it in its own transaction (`Fence`). The first write that would come from an old term is refused, whole, with
`Deposed`, which ends that term. So the lease decides who *tries*, the epoch decides what *counts*: two believers are
possible, two effects are not. What a task does outside the database (a request to another server, say) has no such
fence and must bear being done twice.

**What a lease is good for** is everything else: that nobody works for nothing, that work goes on within `ttl_s` after
a crash, and at once after an orderly stop.

A term, in steps:

1. Win the lease (`Candidate.win`): by our own clock it holds until the moment *before the request was sent* plus
   `ttl_s`; an answer that comes later than that is worth nothing.
2. Begin the term in the database; its number is the fence.
3. Renew the lease once more. Who froze between 1 and 2 may have taken the newest number from the rightful leader, but
   does not work with it.
4. Put the work on a leash that ends with the lease, and start it. Each renewal moves the leash; if none succeeds, the
   leash cancels the work without any code of ours having to run first.
5. At the end, whatever it is: stop the work, then release the lease, if the work has really stopped; otherwise it is
   left to run out.

The lease is kept in Redis where there is one (`on_redis`), else in PostgreSQL (`on_postgres`); the embedded store is
served by one process, which leads (`alone`).
"""
