"""Work for a Dask scheduler, by its address: populations larger than a machine.

Every share is a call of one function with the same objective; a worker that is lost costs time, never a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dmmlab.files import DMMError
from dmmlab.learn.objective import Objective
from dmmlab.neurons import KINDS

Function = Callable[[Objective, Any], Any]


@contextmanager
def connect(address: str) -> Iterator:
    """The client of a Dask scheduler. Raises DMMError where none answers there."""
    from distributed import Client

    try:
        client = Client(address, set_as_default=False, timeout=5)
    except (OSError, ValueError, TypeError) as error:
        raise DMMError(f"scheduler {address!r}: no answer ({error}); start one, or leave it out") from None
    try:
        yield client
    finally:
        client.close()


@contextmanager
def evaluator(function: Function, objective: Objective, address: str) -> Iterator[Callable[[list], list]]:
    """Gives a function from shares to the results of function(objective, share), in their order."""
    import cloudpickle

    # Workers need the kinds that the machines use too, for some may be the user's own.
    names = {*objective.machine.neurons.values(), *objective.task.teacher.neurons.values()}
    both = cloudpickle.dumps((function, objective))
    with connect(address) as client:
        # As the result of a task it is computed anew where it got lost, which data sent out once would not be.
        packed = client.submit(_same, cloudpickle.dumps(({name: KINDS[name] for name in names}, both)), pure=False)
        client.replicate([packed])  # or all shares would go where it is
        yield lambda shares: client.gather(client.map(_call, [packed] * len(shares), shares, pure=False))


@lru_cache(maxsize=4)
def _unpack(packed: bytes) -> tuple[Function, Objective]:
    import cloudpickle

    kinds, both = cloudpickle.loads(packed)
    KINDS.update({name: kind for name, kind in kinds.items() if name not in KINDS})
    return cloudpickle.loads(both)


def _call(packed: bytes, share: Any) -> Any:
    function, objective = _unpack(packed)
    return function(objective, share)


def _same(packed: bytes) -> bytes:
    return packed
