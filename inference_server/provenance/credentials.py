"""Content credentials (C2PA): the file itself says that it was made by a model, by which, and from which picture."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import c2pa
from PIL import Image

from inference_server import __version__
from inference_server.errors import UserError
from inference_server.media.files import replacing
from inference_server.provenance.identity import Identity, given_identity

GENERATOR = "MagicAnimate for Blender"
# IPTC digital source type for media that a trained model made.
AI_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
# A thumbnail would add 180 kB and 0.1 s to every frame of 20 kB; the frame is its own picture.
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}}
RECIPE_ASSERTION = "org.magicanimate-blender.recipe"


class Credentials:
    """Signs PNG and MP4 files of one result."""

    def __init__(self, identity: Identity, *, engine: str, weights: str, reference: str, title: str = "") -> None:
        """reference: sha256 of the reference picture's file."""
        info = c2pa.C2paSignerInfo(c2pa.C2paSigningAlg[identity.algorithm], identity.chain, identity.key, None)
        self._signer = c2pa.Signer.from_info(info)
        self._context = c2pa.Context.from_dict(SETTINGS)
        self._manifest = json.dumps(manifest(engine=engine, weights=weights, reference=reference, title=title))

    def sign_png(self, data: bytes) -> bytes:
        """The PNG with a manifest in it; its pixels are untouched."""
        out = io.BytesIO()
        with c2pa.Builder(self._manifest, self._context) as builder:
            builder.sign(self._signer, "image/png", io.BytesIO(data), out)
        return out.getvalue()

    def sign_mp4(self, path: Path) -> None:
        """Put the manifest into the file; it is whole at every moment."""
        with (
            replacing(path) as temporary,
            path.open("rb") as source,
            temporary.open("w+b") as out,
            c2pa.Builder(self._manifest, self._context) as builder,
        ):
            builder.sign(self._signer, "video/mp4", source, out)


def check_signer(certificate: Path, key: Path) -> None:
    """Sign a pixel. Raises UserError `bad-signing-key` if that fails: C2PA asks more of a certificate than TLS does."""
    identity = given_identity(certificate, key)
    pixel = io.BytesIO()
    Image.new("RGB", (1, 1)).save(pixel, "PNG")
    try:
        Credentials(identity, engine="", weights="", reference="").sign_png(pixel.getvalue())
    except c2pa.C2paError as error:
        raise UserError(
            f"{certificate} cannot be used for content credentials: {error}",
            fix="Use a certificate for signing as C2PA asks for (section 14.5): an end entity with digitalSignature "
            "and the purpose emailProtection or documentSigning, and the chain to its root's child.",
            code="bad-signing-key",
        ) from error


def manifest(*, engine: str, weights: str, reference: str, title: str) -> dict[str, Any]:
    """The claim in C2PA's JSON form: created by a model, and out of what."""
    agent = {"name": GENERATOR, "version": __version__}
    return {
        "claim_generator_info": [agent],
        "title": title or "Animation",
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [
                        {"action": "c2pa.created", "digitalSourceType": AI_GENERATED, "softwareAgent": agent},
                    ]
                },
            },
            {
                "label": RECIPE_ASSERTION,
                "data": {"engine": engine, "weights": weights, "reference_sha256": reference},
            },
        ],
    }


def read_credentials(source: Path) -> Mapping[str, Any] | None:
    """The active manifest of a PNG or MP4 with `validation_state` beside it, or None if the file has none."""
    kind = {".png": "image/png", ".mp4": "video/mp4"}[source.suffix]
    try:
        with source.open("rb") as file, c2pa.Reader(kind, file) as reader:
            report = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return None
    active = report["manifests"][report["active_manifest"]]
    return {**active, "validation_state": report.get("validation_state"), "problems": report.get("validation_status")}
