"""A signing identity of this computer's own: a key and certificates that it made itself and that never leave it.

It proves that a file was not changed since this server wrote it, not who wrote it: viewers show the issuer as unknown.
"""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inference_server.media.files import write_bytes

NAME = "MagicAnimate for Blender, local identity"
VALID = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True)
class Identity:
    """PEM texts: certificate chain (signer first) and the signer's private key."""

    chain: bytes
    key: bytes


def local_identity(folder: Path) -> Identity:
    """The identity kept in `folder`, made at first use and anew before it expires; the key file is 0600."""
    chain_path, key_path = folder / "chain.pem", folder / "key.pem"
    try:
        identity = Identity(chain_path.read_bytes(), key_path.read_bytes())
        if _good_until(identity.chain) > datetime.now(UTC) + RENEW_BEFORE:
            return identity
    except (OSError, ValueError):
        pass
    identity = make_identity()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_bytes(key_path, identity.key)
    os.chmod(key_path, 0o600)
    write_bytes(chain_path, identity.chain)
    return identity


def make_identity() -> Identity:
    """A root and a signer below it, as C2PA asks: ES256, and a signer that is no authority (C2PA 2.x, section 14.5)."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name(f"{NAME}, root"), _name(NAME)
    root = (
        _builder(root_name, root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    signer = (
        _builder(name, root_name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return Identity(
        chain=signer.public_bytes(pem) + root.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "MagicAnimate for Blender"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _good_until(chain: bytes) -> datetime:
    return x509.load_pem_x509_certificate(chain).not_valid_after_utc
