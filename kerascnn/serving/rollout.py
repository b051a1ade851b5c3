"""The served version of each model: a newer one takes over once it answers, and the older one ends with its last request."""

import asyncio
import gc
import json
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException

from kerascnn.cli.escaping import one_line
from kerascnn.serving import tf_serving
from kerascnn.serving.serve_config import Serve
from kerascnn.serving.served_model import ServedModel
from kerascnn.serving.sources import newest

_FIRST_WAIT, _LONGEST_WAIT = 2.0, 60.0  # seconds until a version that could not be loaded is tried again


class Rollout(Mapping[str, ServedModel]):
    """Name -> model, in its newest version that could be loaded.

    Whoever got a model may use it to the end of a request: nothing of an older version is stopped; it goes with its last request.
    """

    def __init__(self, models: Mapping[str, ServedModel], settings: Serve) -> None:
        self._models, self._settings = dict(models), settings
        self._left: dict[str, dict[str, weakref.ref[ServedModel]]] = {name: {} for name in models}
        self._collected_until = 0.0
        self._failed: dict[str, tuple[str, float, float]] = {}  # version, time of the next attempt, seconds between

    def __getitem__(self, name: str) -> ServedModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def find(self, name: str, version: str | None = None) -> ServedModel:
        """Returns a model; raises HTTPException where there is none of that name and version."""
        model = self._models.get(name)
        if model is None:
            raise HTTPException(404, f"no model {name[:100]!r}: this server has {', '.join(self)}")
        if version not in (None, model.version):
            raise HTTPException(404, f"no version {str(version)[:100]!r} of {name}: this server has {model.version}")
        return model

    def states(self, name: str, version: str | None = None) -> list[dict[str, Any]]:
        """Returns the rows of `model_version_status`, the served version first; raises HTTPException as `find`."""
        if version not in self._left.get(name, {}):
            self.find(name, version)
        states = {self._models[name].version: "AVAILABLE"}
        for number, model in self._left[name].items():
            states[number] = "END" if model() is None else "UNLOADING"
        return [tf_serving.status(number, state) for number, state in states.items() if version in (None, number)]

    async def watch(self) -> None:
        """Looks for new versions until it is cancelled."""
        while self._settings.watch:
            await asyncio.sleep(self._settings.watch)
            for name in self:
                await self._look(name)
            if time.monotonic() < self._collected_until and self._unloading():
                gc.collect()  # networks have cycles

    def _unloading(self) -> bool:
        return any(model() is not None for left in self._left.values() for model in left.values())

    async def _look(self, name: str) -> None:
        now, version = self._models[name], ""
        tried, due, pause = self._failed.get(name, ("", 0.0, 0.0))
        try:
            path, version = await asyncio.to_thread(newest, now.source)
            if version == now.version or not path.exists() or (version == tried and time.monotonic() < due):
                return
            model = await asyncio.to_thread(ServedModel, name, now.source, self._settings, now.decoders)
        except Exception as error:  # still being copied, damaged, or a share that is away: each has errors of its own
            if version == tried and time.monotonic() < due:
                return
            pause = min(2 * pause, _LONGEST_WAIT) if version == tried and pause else _FIRST_WAIT
            self._failed[name] = (version, time.monotonic() + pause, pause)
            said = f"cannot be served: {one_line(str(error))[:300]}; version {now.version} stays"
            _tell(name, version, said)
            return
        self._failed.pop(name, None)
        self._left[name].pop(model.version, None)
        self._left[name][now.version] = weakref.ref(now)
        self._models[name] = model
        self._collected_until = time.monotonic() + self._settings.time_limit + _LONGEST_WAIT
        _tell(name, model.version, f"took over from version {now.version}")


def _tell(name: str, version: str, said: str) -> None:
    line = {"time": round(time.time(), 3), "model": name, "version": version, "event": said}
    print(json.dumps(line), file=sys.stderr)
