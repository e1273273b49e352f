"""Whose signature it is: a fingerprint that no stranger's key of the same name has, and a studio's own certificate."""

import hashlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from inference_server.api.command import check_signing
from inference_server.api.doctor import check_identity
from inference_server.errors import UserError
from inference_server.jobs.folder import DataFolder
from inference_server.media.images import png_bytes
from inference_server.provenance.credentials import Credentials, read_credentials
from inference_server.provenance.identity import Identity, given_identity, local_identity, make_identity

HERE = Path(__file__).resolve().parent


def write(folder: Path, identity: Identity) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "chain.pem").write_bytes(identity.chain)
    (folder / "key.pem").write_bytes(identity.key)
    return folder / "chain.pem", folder / "key.pem"


def test_a_strangers_key_of_the_same_name_has_another_fingerprint():
    ours, theirs = make_identity(), make_identity()
    assert ours.fingerprint != theirs.fingerprint
    certificate = x509.load_pem_x509_certificate(ours.chain)
    digest = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    assert ours.fingerprint.replace(":", "").lower() == digest


def test_doctor_shows_the_fingerprint(tmp_path):
    folder = DataFolder(tmp_path)
    folder.create()
    finding = check_identity(folder)
    assert finding.level == "ok"
    assert local_identity(folder.identity).fingerprint in finding.text
    (folder.identity / "key.pem").write_bytes(b"garbage")
    assert check_identity(folder).level == "warning"


def arguments(certificate: Path | None, key: Path | None) -> Namespace:
    return Namespace(signing_cert=certificate, signing_key=key)


def test_a_key_that_cannot_sign_is_refused_before_the_server_starts(tmp_path):
    certificate, key = write(tmp_path / "ours", make_identity())
    _, other = write(tmp_path / "other", make_identity())
    garbage = tmp_path / "garbage.pem"
    garbage.write_bytes(b"\0garbage")
    weak = tmp_path / "weak.pem"
    weak.write_bytes(
        ec.generate_private_key(ec.SECP256K1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    locked = tmp_path / "locked.pem"
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    locked.write_bytes(
        loaded.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    check_signing(arguments(None, None))
    check_signing(arguments(certificate, key))
    for wrong in ((certificate, None), (None, key), (certificate, other), (certificate, garbage), (garbage, key),
                  (certificate, weak), (certificate, locked), (tmp_path / "nowhere", key)):  # fmt: skip
        with pytest.raises(UserError) as caught:
            check_signing(arguments(*wrong))
        assert caught.value.code == "bad-signing-key"
        assert caught.value.fix


def test_a_certificate_that_c2pa_does_not_take_is_refused(tmp_path):
    """A root signs certificates, not files."""
    identity = make_identity()
    root = x509.load_pem_x509_certificates(identity.chain)[1]
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(root.subject).issuer_name(root.subject)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(root.not_valid_before_utc).not_valid_after(root.not_valid_after_utc)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    from cryptography.hazmat.primitives import hashes

    chain = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with pytest.raises(UserError) as caught:
        check_signing(arguments(*write(tmp_path, Identity(chain, pem))))
    assert caught.value.code == "bad-signing-key"


def test_a_studio_signs_with_its_own_certificate(start_server, tmp_path):
    studio = make_identity()
    certificate, key = write(tmp_path / "studio", studio)
    server = start_server("--signing-cert", str(certificate), "--signing-key", str(key), data=tmp_path / "data")
    job = server.submit()
    server.wait_for(job, "done")
    recipe = json.loads((server.data / "jobs" / job / "recipe.json").read_text())
    assert recipe["signer"] == given_identity(certificate, key).fingerprint
    assert read_credentials(server.data / "jobs" / job / "frames" / "000000.png")["validation_state"] == "Valid"
    assert not list((server.data / "identity").iterdir()), "no key of our own is made"
    server.stop()


def test_serve_says_what_is_wrong_with_a_key_in_one_line(tmp_path):
    command = [sys.executable, "-m", "inference_server", "serve", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    done = subprocess.run(
        [*command, "--signing-cert", str(tmp_path / "nowhere.pem"), "--signing-key", str(tmp_path / "key.pem")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "nowhere.pem" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1()])
def test_the_algorithm_follows_the_key(curve, monkeypatch, tmp_path):
    real = ec.generate_private_key
    monkeypatch.setattr(ec, "generate_private_key", lambda _: real(curve))
    identity = make_identity()
    assert identity.algorithm == {"secp256r1": "ES256", "secp384r1": "ES384"}[curve.name]
    import numpy as np

    signed = Credentials(identity, engine="e", weights="w", reference="0" * 64).sign_png(
        png_bytes(np.zeros((8, 8, 3), np.uint8))
    )
    (tmp_path / "a.png").write_bytes(signed)
    assert read_credentials(tmp_path / "a.png")["validation_state"] == "Valid"
