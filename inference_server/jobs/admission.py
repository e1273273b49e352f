"""Everything that can be known to be wrong with a job is told when it is sent, not after minutes in the queue."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError

from inference_server.engines.protocol import EngineInfo, EngineSettings, WeightSet
from inference_server.engines.registry import find_engine
from inference_server.errors import UserError
from inference_server.jobs.blobs import Blobs
from inference_server.jobs.model import JobBody
from inference_server.jobs.people import Person
from inference_server.jobs.store import Store
from inference_server.media.images import read_image
from inference_server.media.labels import read_labels
from inference_server.media.limits import Limits

WEIGHTS_FIX = {
    "missing": "Download them in the add-on's preferences, or run: python -m inference_server weights pull {}",
    "invalid": "Have them checked: python -m inference_server weights verify {}; if that fails, delete and fetch them.",
}

WeightsState = Callable[[str], str]
"""Weight set id -> ready, missing or invalid."""


def check_job(
    body: JobBody, *, person: Person, blobs: Blobs, store: Store, limits: Limits, weights_state: WeightsState
) -> None:
    """Raises UserError with the first thing that is wrong. Decodes every map that was not decoded before."""
    if not body.consent:
        raise UserError(
            "The job lacks consent to use the reference picture",
            fix='Tick "I have the right to use this person\'s picture", that is consent: true.',
            code="consent-required",
        )
    engine = find_engine(body.engine)
    weights = find_weight_set(engine, body.weights)
    if (state := weights_state(weights.id)) != "ready":
        raise UserError(
            f"The weights {weights.title!r} are {state}",
            fix=WEIGHTS_FIX[state].format(weights.id),
            code=f"weights-{state}",
        )
    parse_settings(engine, body.settings)
    _check_tracks(body, engine, limits)
    check_inputs(body, person, blobs)
    _check_pictures(body, weights, blobs, store, limits)


def check_inputs(body: JobBody, person: Person, blobs: Blobs) -> None:
    """Raises UserError `blob-missing`."""
    gone = blobs.missing(inputs_of(body), person)
    if gone:
        raise UserError(
            f"{len(gone)} of the job's inputs were not uploaded, first {gone[0]}",
            fix="Upload them with PUT /v1/blobs/{sha256}, then send the job again.",
            code="blob-missing",
        )


def find_weight_set(engine: EngineInfo, weights: str) -> WeightSet:
    """Raises UserError `unknown-weights`."""
    for candidate in engine.weight_sets:
        if candidate.id == weights:
            return candidate
    known = ", ".join(candidate.id for candidate in engine.weight_sets)
    raise UserError(
        f"{engine.title} has no weights {weights!r}", fix=f"Choose one of: {known}.", code="unknown-weights"
    )


def parse_settings(engine: EngineInfo, settings: dict[str, Any]) -> EngineSettings:
    """Raises UserError `invalid-settings` naming each field and its range."""
    try:
        return engine.settings.model_validate(settings)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors())
        raise UserError(
            f"The settings of {engine.title} are not valid: {wrong}",
            fix="Use the names and ranges of settings_schema in GET /v1/engines.",
            code="invalid-settings",
        ) from None


def _check_tracks(body: JobBody, engine: EngineInfo, limits: Limits) -> None:
    wanted = {track.name for track in engine.tracks}
    if set(body.tracks) != wanted:
        raise UserError(
            f"{engine.title} needs the tracks {', '.join(sorted(wanted))}, and got {', '.join(sorted(body.tracks))}",
            fix="Send exactly the tracks that GET /v1/engines lists.",
            code="wrong-tracks",
        )
    if body.frames > limits.frames:
        raise UserError(
            f"The job has {body.frames} frames, more than {limits.frames}",
            fix="Split the frame range into several jobs.",
            code="too-many-frames",
        )
    outside = [n for n in (*body.redo, *body.keep) if n >= body.frames]
    if outside:
        raise UserError(
            f"redo or keep names frame {outside[0]}, and the job has {body.frames}",
            fix="Name frames from 0 to one less than the number of maps.",
            code="no-such-frame",
        )


def _check_pictures(body: JobBody, weights: WeightSet, blobs: Blobs, store: Store, limits: Limits) -> None:
    picture = read_image(blobs.read(body.reference), name="The reference", max_pixels=limits.pixels)
    height, width = picture.shape[:2]
    if width % weights.size_multiple or height % weights.size_multiple:
        raise UserError(
            f"The reference is {width} x {height}, and {weights.title} need multiples of {weights.size_multiple}",
            fix=f"Crop it to such a size, for example {weights.default_size[0]} x {weights.default_size[1]}.",
            code="bad-size",
        )
    if body.frames * width * height > limits.clip_pixels:
        raise UserError(
            f"{body.frames} frames of {width} x {height} are more than the server holds at once",
            fix="Split the frame range into several jobs, or make the picture smaller.",
            code="too-many-frames",
        )
    known = store.checked_maps(set().union(*body.tracks.values()))
    fresh: dict[str, tuple[int, int]] = {}
    try:
        for name, hashes in body.tracks.items():
            for frame, digest in enumerate(hashes):
                title = f"The {name} map of frame {frame}"
                size = known.get(digest) or fresh.get(digest)
                if size is None:
                    labels = read_labels(blobs.read(digest), name=title, max_pixels=limits.pixels)
                    size = fresh[digest] = (labels.shape[1], labels.shape[0])
                if size != (width, height):
                    raise UserError(
                        f"{title} is {size[0]} x {size[1]}, and the reference is {width} x {height}",
                        fix="Render the maps at the size of the reference picture.",
                        code="size-mismatch",
                    )
    finally:
        store.add_checked_maps(fresh)


def inputs_of(body: JobBody) -> Iterator[str]:
    """Hashes of the reference and of all maps."""
    yield body.reference
    for hashes in body.tracks.values():
        yield from hashes
