"""https with a certificate of one's own, and the add-on's trust in the one that it saw first."""

import datetime
import hashlib
import ipaddress
import json
import socket
import ssl
import threading
import time
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference_server.api import connections
from magicanimate_blender.client import Client, ClientError, Pins, server_name


def make_certificate(folder: Path, name: str, password: bytes | None = None) -> tuple[Path, Path]:
    """A certificate signed by itself for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    coding = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, coding)
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(private)
    return paths


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "first")


def options(pair: tuple[Path, Path]) -> tuple[str, ...]:
    return "--tls-cert", str(pair[0]), "--tls-key", str(pair[1])


@pytest.fixture(scope="module")
def encrypted(start_server, first):
    return start_server(*options(first))


def code_of(call) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.code


def test_https_with_ones_own_certificate(encrypted, first):
    assert encrypted.url.startswith("https://127.0.0.1:")
    trusting = ssl.create_default_context(cafile=first[0])
    headers = {"Authorization": f"Bearer {encrypted.token}"}
    answer = httpx.get(f"{encrypted.url}/v1/server", headers=headers, verify=trusting, trust_env=False)
    assert answer.status_code == 200
    der = ssl.PEM_cert_to_DER_cert(first[0].read_text())
    told = (encrypted.data / "console.log").read_text().partition("fingerprint is ")[2].split()[0]
    assert told.replace(":", "").lower() == hashlib.sha256(der).hexdigest()


def test_the_first_certificate_is_trusted_and_another_is_refused(encrypted, tmp_path, start_server):
    pins = Pins(tmp_path / "pins.json")
    for _ in range(2):
        assert Client(encrypted.url, encrypted.token, pins=pins).server().api == 1
    name = server_name(encrypted.url)
    other = start_server(*options(make_certificate(tmp_path, "other")))
    fingerprint = json.loads((tmp_path / "pins.json").read_text())
    (tmp_path / "pins.json").write_text(json.dumps({server_name(other.url): fingerprint[name]}))
    with pytest.raises(ClientError, match="shows another certificate than before") as caught:
        Client(other.url, other.token, pins=pins).server()
    assert caught.value.code == "certificate-changed"
    assert "Trust the New Certificate" in caught.value.fix
    pins.forget(server_name(other.url))
    assert Client(other.url, other.token, pins=pins).server().api == 1
    assert code_of(Client(encrypted.url, encrypted.token).server) == "certificate-refused"


def test_the_token_is_not_sent_to_another_certificate(tmp_path, first):
    """A listener in between, with a certificate of its own, sees a handshake and nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*first)
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        (tmp_path / "pins.json").write_text(json.dumps({server_name(url): "0" * 64}))

        def listen() -> None:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as spoken:
                heard.append(spoken.recv(1000))

        thread = threading.Thread(target=listen)
        thread.start()
        assert code_of(Client(url, "the token", pins=Pins(tmp_path / "pins.json")).server) == "certificate-changed"
        thread.join(10)
    assert heard == [b""]


def test_a_damaged_list_trusts_nobody(encrypted, tmp_path):
    (tmp_path / "pins.json").write_text("{")
    assert code_of(Client(encrypted.url, encrypted.token, pins=Pins(tmp_path / "pins.json")).server) == "pins-damaged"


def test_silence_before_the_handshake_is_hung_up_on_too(encrypted):
    host, port = encrypted.url.removeprefix("https://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as silent:
        begin = time.monotonic()
        assert silent.recv(1) == b""
        assert time.monotonic() - begin < connections.HEAD_WAIT + 4


@pytest.mark.parametrize("case", ["one", "missing", "swapped", "password", "mismatch"])
def test_a_certificate_that_does_not_work_is_told_at_the_start(start_server, tmp_path, first, case):
    other = make_certificate(tmp_path, "locked", password=b"secret")
    given = {
        "one": ("--tls-cert", str(first[0])),
        "missing": options((tmp_path / "none.pem", first[1])),
        "swapped": options((first[1], first[0])),
        "password": options(other),
        "mismatch": options((first[0], make_certificate(tmp_path, "third")[1])),
    }[case]
    with pytest.raises(
        AssertionError, match=r"error: .*(Give both|Give a certificate and its key as PEM files)"
    ) as told:
        start_server(*given, data=tmp_path / "data")
    assert "Traceback" not in str(told.value)


def test_a_remote_address_with_tls_needs_no_other_word(start_server, first):
    server = start_server("--host", "0.0.0.0", "--allow-remote", *options(first))
    text = (server.data / "console.log").read_text()
    assert "has a token can run jobs here" in text
    assert "not encrypted" not in text
    server.stop()
