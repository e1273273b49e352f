"""Who signs the results: a key and certificates that this computer made itself, or those of a studio.

The computer's own prove that a file was not changed since this server wrote it, not who wrote it: anybody can make some
of the same name, and viewers show the issuer as unknown. What tells them apart is the fingerprint.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from inference_server.errors import UserError
from inference_server.media.files import write_bytes

NAME = "MagicAnimate for Blender, local identity"
VALID = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
RENEWED = (
    "The key for content credentials was damaged or did not belong to its certificate: a new one was made, so this and "
    "later results have another fingerprint than earlier ones ({})."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """PEM texts: certificate chain (signer first) and the signer's private key."""

    chain: bytes
    key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the signer's certificate, as browsers and openssl show it: AB:CD:..."""
        return x509.load_pem_x509_certificate(self.chain).fingerprint(hashes.SHA256()).hex(":").upper()

    @property
    def algorithm(self) -> str:
        """The name that C2PA gives to signatures of such a key. Raises ValueError for a key that it cannot use."""
        key = serialization.load_pem_private_key(self.key, None)
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
            return CURVES[key.curve.name]
        if isinstance(key, rsa.RSAPrivateKey):
            return "PS256"
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "ED25519"
        raise ValueError("it is neither ECDSA (P-256, P-384, P-521), RSA nor Ed25519")

    def check(self) -> None:
        """Raises ValueError if the key cannot be read or is not the certificate's."""
        key = serialization.load_pem_private_key(self.key, None)
        certificate = x509.load_pem_x509_certificate(self.chain)
        if key.public_key() != certificate.public_key():
            raise ValueError("the key is not that of the certificate")


CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


def local_identity(folder: Path, on_renewed: Callable[[str], None] = lambda text: None) -> Identity:
    """The identity kept in `folder`, made at first use and anew before it expires; the key file is 0600.

    on_renewed: told in a sentence when a damaged one had to be replaced.
    """
    chain_path, key_path = folder / "chain.pem", folder / "key.pem"
    damaged = False
    try:
        identity = Identity(chain_path.read_bytes(), key_path.read_bytes())
        identity.check()
        if _good_until(identity.chain) > datetime.now(UTC) + RENEW_BEFORE:
            return identity
    except OSError:
        pass
    except (ValueError, TypeError) as error:  # TypeError: the key wants a password
        log.error("the key for content credentials: %s", error)
        damaged = True
    identity = make_identity()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_bytes(key_path, identity.key)
    os.chmod(key_path, 0o600)
    write_bytes(chain_path, identity.chain)
    if damaged:
        on_renewed(RENEWED.format(identity.fingerprint))
    return identity


def given_identity(certificate: Path, key: Path) -> Identity:
    """A studio's own: PEM files of the certificate chain, signer first, and of the key without a password.

    Raises UserError `bad-signing-key` naming what is wrong with which file.
    """
    try:
        identity = Identity(certificate.read_bytes(), key.read_bytes())
        identity.check()
        _ = identity.algorithm
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{certificate} and {key} cannot be used to sign: {error}",
            fix="Give the certificate chain (signer first) and its key as PEM files, the key without a password.",
            code="bad-signing-key",
        ) from error
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
