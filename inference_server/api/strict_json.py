"""JSON bodies in which each name stands once: Python's own parser takes the last of two silently."""

import contextlib
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect


class StrictRequest(Request):
    async def json(self) -> Any:
        """Raises TwiceError for a name that comes twice, ValueError for what is no JSON."""
        if not hasattr(self, "_strict"):
            self._strict = json.loads(await self.body(), object_pairs_hook=_unique)
        return self._strict


class StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            # FastAPI makes one and the same answer of all errors of a parser, but for those that it knows.
            with contextlib.suppress(ValueError, RecursionError, ClientDisconnect):
                try:
                    await request.json()
                except TwiceError as error:
                    raise RequestValidationError([{"loc": ("body", error.name), "msg": "is given twice"}]) from None
            return await handle(request)

        return strict


class TwiceError(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise TwiceError(name[:60])
        found[name] = value
    return found
