import numpy as np
import pytest

from inference_server.evaluation.clips import EvaluationClip
from inference_server.training.characters import HELD_OUT_STREAM, make_clips


@pytest.fixture(scope="session")
def perfect_clips():
    """Three held-out characters whose output is the truth."""
    clips = [make_clips(HELD_OUT_STREAM, number, size=64, frames=5)[0] for number in range(3)]
    return [
        EvaluationClip(
            name=f"person_{number}",
            reference=clip.references[0],
            reference_parts=clip.reference_parts[0],
            parts=clip.parts,
            truth=clip.frames,
            output=clip.frames,
            borders=(3,),
        )
        for number, clip in enumerate(clips)
    ]


@pytest.fixture
def noisy(perfect_clips):
    clip = perfect_clips[0]
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 10, clip.truth.shape)
    return np.clip(clip.truth + noise, 0, 255).astype(np.uint8)
