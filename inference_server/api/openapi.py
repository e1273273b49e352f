"""`python -m inference_server.api.openapi` prints docs/openapi.json."""

import json

from inference_server.api.app import create_api


def openapi_text() -> str:
    return json.dumps(create_api().openapi(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(openapi_text(), end="")
