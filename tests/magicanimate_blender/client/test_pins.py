"""The list of certificates on disk."""

import hashlib
import json

import pytest

from magicanimate_blender.client import ClientError, Pins, server_name


def test_the_first_certificate_is_kept_and_another_refused(tmp_path):
    pins = Pins(tmp_path / "pins.json")
    for _ in range(2):
        pins.check("a:443", b"one")
    with pytest.raises(ClientError, match="a:443 shows another certificate than before") as caught:
        pins.check("a:443", b"two")
    assert caught.value.code == "certificate-changed"
    assert json.loads((tmp_path / "pins.json").read_text()) == {"a:443": hashlib.sha256(b"one").hexdigest()}
    pins.check("b:443", b"two")
    pins.forget("a:443")
    pins.check("a:443", b"two")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a:443": 1}', b"\xff"])
def test_a_damaged_list_is_not_an_empty_one(tmp_path, content):
    (tmp_path / "pins.json").write_bytes(content)
    with pytest.raises(ClientError, match=r"is damaged\. Delete it"):
        Pins(tmp_path / "pins.json").check("a:443", b"one")
    assert (tmp_path / "pins.json").read_bytes() == content


def test_no_certificate_is_no_trust(tmp_path):
    for nothing in (None, b""):
        with pytest.raises(ClientError, match="shows no certificate"):
            Pins(tmp_path / "pins.json").check("a:443", nothing)


def test_names_of_servers():
    assert server_name("https://Render.Example") == "render.example:443"
    assert server_name("https://[::1]:8790/x") == "::1:8790"
