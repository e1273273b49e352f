"""The API's description, as docs/openapi.json holds it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from inference_server.api.problems import Problem

BEARER = {"type": "http", "scheme": "bearer", "description": "The token in the server's data folder"}


def describe(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with our problems in place of its own validation errors, and the token."""
    described = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    for methods in described["paths"].values():
        for operation in methods.values():
            operation["responses"].pop("422", None)
    described["components"]["securitySchemes"] = {"token": BEARER}
    described["security"] = [{"token": []}]
    return described
