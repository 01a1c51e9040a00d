"""`outbox-trim`: forgets changes that are older than they are kept for those who follow them."""

from titan.tasks.task import Done, Run


async def outbox_trim(run: Run, *, keep_s: float) -> Done:
    """Forget the changes that were made more than `keep_s` ago."""
    trimmed = await run.store.trim_changes(before_ms=run.now_ms - round(keep_s * 1000), fence=run.fence)
    return Done(f"{trimmed} changes forgotten")
