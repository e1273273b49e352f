"""Pictures: any common file -> uint8 RGB, and RGB -> PNG."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from inference_server.errors import UserError
from inference_server.media.files import replacing
from inference_server.media.limits import DEFAULT_LIMITS
from inference_server.media.structure import structure_problem

FORMATS = ("PNG", "JPEG", "WEBP")
RGB = NDArray[np.uint8]


def read_image(source: Path | bytes, *, name: str = "", max_pixels: int = DEFAULT_LIMITS.pixels) -> RGB:
    """Read a picture as uint8 (H, W, 3) RGB, upright (EXIF orientation applied).

    Transparent parts are laid over white: a cut-out person then stands before a plain background, as in a studio.
    Grey, palette, CMYK and 16-bit files become 8-bit RGB. `name` stands for raw bytes in messages.

    Raises UserError `file-missing`, `picture-unreadable` or `picture-too-large` (decided before decoding).
    """
    picture = open_picture(source, name=name, max_pixels=max_pixels)
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I") or upright.mode == "F":
        return _from_high_depth(upright)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        upright = Image.alpha_composite(paper, layer)
    return np.asarray(upright.convert("RGB"))


def read_size(source: Path | bytes, *, name: str = "", max_pixels: int = DEFAULT_LIMITS.pixels) -> tuple[int, int]:
    """Width and height as stored, so not of the upright picture, by the header; decodes nothing.

    Raises as `read_image` does.
    """
    return _open(source, name, max_pixels, decode=False).size


def open_picture(source: Path | bytes, *, name: str = "", max_pixels: int = DEFAULT_LIMITS.pixels) -> Image.Image:
    """The decoded picture with its own mode and palette. Raises as `read_image` does."""
    return _open(source, name, max_pixels, decode=True)


def _open(source: Path | bytes, name: str, max_pixels: int, *, decode: bool) -> Image.Image:
    title = name or (source.name if isinstance(source, Path) else "The picture")
    if isinstance(source, Path):
        source = read_file(source)
    if (wrong := structure_problem(source)) is not None:
        raise _unreadable(title, wrong)
    try:
        picture = Image.open(io.BytesIO(source), formats=FORMATS)
        width, height = picture.size
        if width * height > max_pixels:
            raise _too_large(title, f"{width} x {height} pixels", max_pixels)
        if decode:
            picture.load()
    except Image.DecompressionBombError:
        raise _too_large(title, "too many pixels", max_pixels) from None
    except UserError:
        raise
    except Exception as error:  # decoders answer damaged data with nearly any exception
        raise _unreadable(title, _reason(error)) from error
    return picture


def read_file(path: Path) -> bytes:
    """The bytes of a file. Raises UserError `file-missing`."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be opened").lower()
        raise UserError(
            f"{path} cannot be read: {reason}", fix="Check the path and its permissions.", code="file-missing"
        ) from error


def png_bytes(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 (H, W, 3) RGB as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image), "RGB").save(buffer, "PNG")
    return buffer.getvalue()


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 (H, W, 3) RGB as PNG: whole or not at all."""
    data = png_bytes(image)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _from_high_depth(picture: Image.Image) -> RGB:
    """16-bit grey -> 8-bit RGB; Pillow's own conversion clips at 255 and would give a white picture."""
    grey = np.asarray(picture).astype(np.float64) / 257.0
    levels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def _too_large(title: str, size: str, max_pixels: int) -> UserError:
    return UserError(
        f"{title} has {size}, more than the {max_pixels:,} that are read",
        fix="Scale it down first; the animation is computed at about 512 x 512.",
        code="picture-too-large",
    )


def _unreadable(title: str, reason: str) -> UserError:
    return UserError(
        f"{title} is not a picture that can be read ({reason})",
        fix="Save it again as PNG or JPEG and use that file.",
        code="picture-unreadable",
    )


def _reason(error: Exception) -> str:
    if type(error).__name__ == "UnidentifiedImageError":
        return f"not one of {', '.join(FORMATS)}"
    return str(error) or type(error).__name__
