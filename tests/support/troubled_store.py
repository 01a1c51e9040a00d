"""A real store whose next calls meet trouble on purpose."""

from typing import Any

import trio

from titan.store.contract import Store


class TroubledStore:
    """Passes calls on; `trouble` runs before each (and may raise or wait), `after` once it is done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.error: Exception | None = None
        self.is_stuck = False
        self.answers_lost = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if not callable(method):
            return method

        async def call(*args: Any, **options: Any) -> Any:
            if self.error is not None:
                raise self.error
            if self.is_stuck:
                await trio.sleep_forever()
            result = await method(*args, **options)
            if self.answers_lost:
                await trio.sleep_forever()
            return result

        return call
