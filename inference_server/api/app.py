"""The application: routes, gate, problems."""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

from inference_server import __version__
from inference_server.api import problems, routes_blobs, routes_events, routes_jobs, routes_server
from inference_server.api.context import Context
from inference_server.api.description import describe
from inference_server.api.security import Gate


def create_api(context: Context | None = None) -> FastAPI:
    """The routes alone; without a context it can only describe itself."""
    app = FastAPI(
        title="MagicAnimate inference server",
        version=__version__,
        summary="Turns a reference picture and part maps into a video of that person moving",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        responses=problems.RESPONSES,
        redirect_slashes=False,
    )
    app.state.context = context
    for module in (routes_server, routes_blobs, routes_events, routes_jobs):
        app.include_router(module.router)
    problems.install(app)
    described: dict[str, Any] = {}

    def openapi() -> dict[str, Any]:
        if not described:
            described.update(describe(app))
        return described

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def create_app(context: Context, *, token: str, hosts: Iterable[str] = (), any_address: bool = False) -> ASGIApp:
    """The whole server behind its gate."""
    return Gate(
        create_api(context),
        token=token,
        people=context.people,
        audit=context.audit,
        hosts=hosts,
        any_address=any_address,
        upload_bytes=context.limits.upload_bytes,
    )
