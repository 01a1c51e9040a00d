"""`session-cleanup`: forgets what the store keeps for a time only (`titan.store.tasks.Expiring`)."""

from titan.store.tasks import Expiring
from titan.tasks.task import Done, Run


async def session_cleanup(run: Run) -> Done:
    """Forget what has expired, one kind after the other."""
    parts = [f"{await run.store.tasks.expire(what, fence=run.fence)} {what.value}s" for what in Expiring]
    return Done(f"{', '.join(parts)} expired")
