"""Generated requests against the running server: no 5xx, no answer that the description does not promise."""

import uuid

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from inference_server.api.app import create_api

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
# Streams that never end, and the one request that ends the server.
LEFT_OUT = "/(events|server/shutdown)$"

schema = schemathesis.openapi.from_dict(create_api().openapi()).exclude(path_regex=LEFT_OUT)


@pytest.fixture(scope="module")
def quiet(start_server):
    """Paused, so that generated jobs don't keep the worker busy, and kept from fetching weights."""
    server = start_server(env={"HF_HUB_OFFLINE": "1"})
    server.known = server.submit(frames=2)
    server.wait_for(server.known, "done")
    server.http.patch("/v1/queue", json={"paused": True})
    return server


def is_uuid(text: object) -> bool:
    try:
        return bool(uuid.UUID(str(text)))
    except ValueError:
        return False


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_generated_requests(case, quiet):
    parameters = case.path_parameters or {}
    if is_uuid(parameters.get("job")) and case.method in ("GET", "POST"):
        parameters["job"] = quiet.known  # a generated id would never be that of a job
    case.call_and_validate(
        base_url=quiet.url, headers={"Authorization": f"Bearer {quiet.token}"}, checks=CHECKS, timeout=20
    )
