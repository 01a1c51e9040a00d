"""Terms of leaders: how one begins, and how a leader's write finds out that its own is over.

A leader's transaction holds the epoch's row FOR SHARE until it ends, so the next term cannot begin in the middle of it,
and what comes after the next term began sees that at once. An instance that froze in such a transaction loses it by
`idle_in_transaction_session_timeout` (`Limits.idle_in_transaction_s`), and with it every lock; where that does not
bite, another instance sees to it (`frozen`).
"""

from collections.abc import Sequence

from titan.store.contract import Deposed, Fence, TermBegun
from titan.store.postgres.codes import NOW_MS
from titan.store.postgres.session import Session

_BEGIN = f"""
INSERT INTO titan_epoch AS e (role, epoch, holder, began_ms) VALUES ($1, 1, $2, {NOW_MS})
ON CONFLICT (role) DO UPDATE SET epoch = e.epoch + 1, holder = excluded.holder, began_ms = excluded.began_ms
RETURNING epoch
"""
_HOLD = "SELECT epoch FROM titan_epoch WHERE role = $1 FOR SHARE"
_ALL = "SELECT role, epoch, holder, began_ms FROM titan_epoch ORDER BY role"


async def begin_term(session: Session, role: str, holder: str) -> int:
    """Begin the next term of a role; see `titan.store.contract.Store.begin_term`."""
    await session.begin()
    row = await session.row(_BEGIN, role, holder)
    assert row is not None
    await session.commit()
    return int(row["epoch"])


async def hold(session: Session, fence: Fence | None) -> None:
    """Keep the term from ending before the transaction that is open does. Raises `Deposed` where it has ended.

    Gives the transaction its number: to be called after whatever has to come before that (`writes`).
    """
    if fence is None:
        return
    row = await session.row(_HOLD, fence.role)
    current = 0 if row is None else int(row["epoch"])
    if current != fence.epoch:
        raise Deposed(fence, current)


async def terms(session: Session) -> Sequence[TermBegun]:
    """Return the newest term of every role."""
    return [TermBegun(**row) for row in await session.read_rows(_ALL)]
