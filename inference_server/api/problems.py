"""Errors as RFC 9457 problem details, each with its stable code and its way out."""

import errno
import logging
import sqlite3
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from inference_server.api.logs import shown_path
from inference_server.errors import UserError

MEDIA_TYPE = "application/problem+json"

# HTTP status by code; what is not listed is 422, a request that is understood and wrong.
STATUS = {
    "no-such-job": 404,
    "no-such-blob": 404,
    "no-such-frame": 422,
    "frame-not-ready": 404,
    "not-ready": 404,
    "not-found": 404,
    "unknown-weights": 404,
    "job-exists": 409,
    "job-in-use": 409,
    "job-unreadable": 409,
    "result-in-use": 409,
    "blob-in-use": 409,
    "weights-in-use": 409,
    "not-ended": 409,
    "blob-missing": 409,
    "weights-missing": 409,
    "weights-invalid": 409,
    "weights-busy": 409,
    "licence-not-accepted": 409,
    "bundled": 409,
    "upload-too-large": 413,
    "quota-exceeded": 413,
    "too-many-jobs": 429,
    "admin-only": 403,
    "disk-full": 507,
}

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """RFC 9457. `code` is stable, `fix` is the way out in one sentence."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str = Field(pattern="^[a-z0-9-]+$")
    fix: str


RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"description": "Problem", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for code in ("4XX", "5XX")
}

TITLES = {
    400: "Bad request",
    401: "Not authorised",
    403: "Refused",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    414: "Address too long",
    422: "Not valid",
    429: "Too many requests",
    500: "Server error",
    503: "Not available",
    507: "No space",
}


def problem(status: int, detail: str, *, fix: str, code: str, headers: dict[str, str] | None = None) -> Response:
    content = Problem(title=TITLES.get(status, "Problem"), status=status, detail=detail, code=code, fix=fix)
    return Response(content.model_dump_json(), status, media_type=MEDIA_TYPE, headers=headers)


def problem_of(error: UserError) -> Response:
    return problem(STATUS.get(error.code, 422), error.message, fix=error.fix, code=error.code)


def install(app: FastAPI) -> None:
    """Every error of every route becomes a problem."""

    @app.exception_handler(UserError)
    async def _user_error(_: Request, error: UserError) -> Response:
        return problem_of(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        # Only places and messages: the input itself may hold NaN, which is no JSON.
        wrong = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        return problem(
            422, "; ".join(wrong[:3]) + more, fix="Send the request as docs/api.md says.", code="invalid-request"
        )

    @app.exception_handler(StarletteHTTPException)
    async def _http(_: Request, error: StarletteHTTPException) -> Response:
        code = {404: "not-found", 405: "method-not-allowed", 413: "upload-too-large"}.get(
            error.status_code, "bad-request"
        )
        fix = "See docs/api.md for the addresses and methods that there are."
        return problem(error.status_code, str(error.detail), fix=fix, code=code, headers=dict(error.headers or {}))

    @app.exception_handler(sqlite3.OperationalError)
    async def _store(_: Request, error: sqlite3.OperationalError) -> Response:
        log.error("the job store: %s", error)
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return problem(507, "The disk is full", fix="Free some space on the disk.", code="disk-full")
        fix = "Try again; if it stays so, see server.log in the server's logs folder."
        return problem(503, f"The job store cannot be used: {error}", fix=fix, code="store-unavailable")

    @app.exception_handler(OSError)
    async def _system(_: Request, error: OSError) -> Response:
        log.error("a file: %s", error)
        reason = error.strerror or str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return problem(507, f"A file could not be written: {reason}", fix="Free some space.", code="disk-full")
        if error.errno in (errno.EMFILE, errno.ENFILE):
            fix = "Try again in a moment, or start the server with a higher limit on open files (ulimit -n)."
            return problem(503, f"A file could not be opened: {reason}", fix=fix, code="too-many-files")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            fix = "Give the user that the server runs as the rights to its data folder."
            return problem(500, f"A file of the server may not be used: {reason}", fix=fix, code="no-permission")
        fix = "Try again; if it stays so, see server.log in the server's logs folder."
        return problem(500, f"A file of the server could not be used: {reason}", fix=fix, code="file-error")

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s", request.method, shown_path(request.url.path), exc_info=error)
        return problem(
            500,
            f"The server made a mistake: {type(error).__name__}",
            fix="Try again; if it happens again, send server.log from the server's logs folder with a bug report.",
            code="internal-error",
        )
