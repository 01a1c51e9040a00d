"""`blob-cleanup`: removes files that no document names any more, and what broken uploads left (`titan.store.blobs`)."""

from titan.tasks.task import Done, Run


async def blob_cleanup(run: Run, *, grace_s: float) -> Done:
    """Sweep what has been named by nobody, and has not moved, for `grace_s`.

    An upload moves whenever something of it comes, and is over when a document names it; so the grace must be longer
    than an upload may stand still and a document may take to follow its file.
    """
    swept = await run.store.blobs.sweep(before_ms=run.now_ms - round(grace_s * 1000), fence=run.fence)
    return Done(f"{swept} files removed")
