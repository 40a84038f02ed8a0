"""DataLoaders derived from batch functions: siblings of one level are answered together, one value per parent."""

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, TypeVar

from strawberry.dataloader import DataLoader

Parent = TypeVar("Parent")
Batch = Callable[..., Awaitable[Sequence[Any]]]

MAX_BATCH = 1000  # parents a call; what a statement takes as parameters is bounded


class Loaders:
    """The loaders of one request.

    They gather and do not remember: two mutations of one document never see each other's past, and a parent that
    stands twice in a level costs a place in a list, not a statement.
    """

    def __init__(self) -> None:
        self._loaders: dict[Hashable, DataLoader[Any, Any]] = {}

    async def load(self, context: Any, batch: Batch, parent: Any, arguments: dict[str, Any]) -> Any:
        """Return what `batch` answers for the parent, called once for all parents of the level with equal arguments."""
        key = (batch, repr(sorted(arguments.items())))
        loader = self._loaders.get(key)
        if loader is None:

            async def answer(parents: list[Any]) -> Sequence[Any]:
                return await run_batch(context, batch, parents, arguments)

            loader = self._loaders[key] = DataLoader(load_fn=answer, cache=False, max_batch_size=MAX_BATCH)
        if loader.batch is not None and all(task.future.cancelled() for task in loader.batch.tasks):
            # nobody waits for it any more, so it may never be asked (strawberry ends it before it begins)
            loader.batch = None
        return await loader.load(parent)


async def run_batch(context: Any, batch: Batch, parents: Sequence[Any], arguments: dict[str, Any]) -> Sequence[Any]:
    """Call a batch function for all parents of a level and hold it to one value per parent."""
    if len(parents) > MAX_BATCH:
        answers: list[Any] = []
        for start in range(0, len(parents), MAX_BATCH):
            answers += await run_batch(context, batch, parents[start : start + MAX_BATCH], arguments)
        return answers
    values = await batch(context, parents, **arguments)
    if len(values) != len(parents):
        raise AssertionError(f"{batch.__qualname__} answered {len(values)} values for {len(parents)} parents")
    return values
