"""Generated requests against the running server, of an admin and of two people who share it: no 5xx, no answer that
the description does not promise, and never the other's data."""

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
from tests.inference_server.api.people import guest

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
# Streams that never end, and the one request that ends the server.
SECRET = "what-only-she-may-see"
LEFT_OUT = "/(events|server/shutdown)$"

schema = schemathesis.openapi.from_dict(create_api().openapi()).exclude(path_regex=LEFT_OUT)


@pytest.fixture(scope="module")
def quiet(start_server):
    """Paused, so that generated jobs don't keep the worker busy, and kept from fetching weights."""
    server = start_server(env={"HF_HUB_OFFLINE": "1"})
    server.known = server.submit(frames=2)
    server.wait_for(server.known, "done")
    server.alice, server.bob = guest(server, "alice"), guest(server, "bob")
    server.hers = server.alice.submit(frames=2, name=SECRET, settings={"seed": 918273645})
    server.before = server.alice.wait_for(server.hers, "done")
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


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_generated_requests_of_a_stranger_get_nothing_of_hers(case, quiet):
    """Bob's requests, whose job, base and picture are Alice's wherever they can be."""
    parameters = case.path_parameters or {}
    if "job" in parameters:
        parameters["job"] = quiet.hers
    if "sha256" in parameters:
        parameters["sha256"] = quiet.before["body"]["reference"]
    if isinstance(case.body, dict) and "base_job" in case.body:
        case.body["base_job"] = quiet.hers
    answer = case.call_and_validate(
        base_url=quiet.url, headers={"Authorization": f"Bearer {quiet.bob.token}"}, checks=CHECKS, timeout=20
    )
    if "job" in parameters:
        assert answer.status_code >= 400
    for secret in (SECRET, "918273645", quiet.before["body"]["reference"]):
        assert secret.encode() not in answer.content
    assert quiet.alice.job(quiet.hers) == quiet.before


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_generated_requests_of_a_person_without_admins_rights(case, quiet):
    """Alice's own requests: her job for everything but its end."""
    parameters = case.path_parameters or {}
    if is_uuid(parameters.get("job")) and case.method == "GET":
        parameters["job"] = quiet.hers
    case.call_and_validate(
        base_url=quiet.url, headers={"Authorization": f"Bearer {quiet.alice.token}"}, checks=CHECKS, timeout=20
    )
