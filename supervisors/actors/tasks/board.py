"""The actor that reads what the store says of tasks and figures, on every instance; one short read a second."""

from contextlib import suppress

import trio

from supervisors.kernel import Context
from titan.store.contract import Store, StoreUnavailable
from titan.tasks.board import Board

LOOK_EVERY_S = 1.0
"""How soon a leader learns of a request, and every instance of new figures."""
LOOK_S = 1.0
"""How long one look may take."""


class BoardActor:
    """Keeps the board; the store away leaves on it what was there. What ends it is a bug."""

    def __init__(self, board: Board, store: Store) -> None:
        self._board = board
        self._store = store
        self._runs = -1

    async def run(self, ctx: Context) -> None:
        """Be the actor, until cancelled."""
        ctx.started()
        while True:
            with trio.move_on_after(LOOK_S), suppress(StoreUnavailable):  # the `database` check says why
                await self._look()
            await trio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        records = await self._store.tasks.look()
        runs = sum(record.runs for record in records)
        if runs != self._runs:  # figures change with the end of a run only
            self._board.figures = await self._store.tasks.figures()
            self._runs = runs
        self._board.show(records)
