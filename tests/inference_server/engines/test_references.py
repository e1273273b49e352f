"""The reference's tokens: bounded, and the encoder that makes them is brought to the device once."""

import numpy as np
import pytest
import torch

from inference_server.engines.magicanimate.pipeline import MagicAnimatePipeline
from inference_server.engines.magicanimate.references import ReferenceStore
from inference_server.errors import Cancelled

STEP_BYTES = 4 * 100


class Encoder:
    """Tokens that are their timestep; counts how often it is brought and what it encodes."""

    def __init__(self):
        self.opened = 0
        self.encoded = []

    def __call__(self, timesteps):
        self.opened += 1
        for timestep in timesteps:
            self.encoded.append(timestep)
            yield {"block": torch.full((1, 100), float(timestep))}


def picture(level):
    return torch.full((1, 4, 2, 2), float(level))


def use(store, level, steps, encoder):
    timesteps = [10 * n for n in range(steps)]
    at = store.get(picture(level), timesteps, encoder, lambda _done: None)
    assert [float(at(step)["block"][0, 0]) for step in range(steps)] == timesteps


def test_a_schedule_is_encoded_in_one_go_and_once():
    store, encoder = ReferenceStore(), Encoder()
    use(store, 1, 25, encoder)
    use(store, 1, 25, encoder)
    assert (encoder.opened, len(encoder.encoded)) == (1, 25)


@pytest.mark.parametrize("steps", [3, 10, 200])
def test_no_schedule_is_kept_beyond_the_limit(steps):
    store, encoder = ReferenceStore(max_bytes=4 * STEP_BYTES), Encoder()
    use(store, 1, steps, encoder)
    assert store.nbytes <= 4 * STEP_BYTES
    assert len(encoder.encoded) == steps
    use(store, 2, 2, encoder)
    assert store.nbytes <= 4 * STEP_BYTES


def test_no_single_step_fits():
    store, encoder = ReferenceStore(max_bytes=STEP_BYTES - 1), Encoder()
    use(store, 1, 3, encoder)
    assert store.nbytes == 0


def test_the_schedule_used_longest_ago_goes():
    store, encoder = ReferenceStore(max_bytes=4 * STEP_BYTES), Encoder()
    for level in (1, 2, 1, 3, 1):
        use(store, level, 2, encoder)
    assert len(encoder.encoded) == 6
    use(store, 2, 2, encoder)
    assert len(encoder.encoded) == 8


def test_cancelled_it_keeps_nothing_half():
    store, closed = ReferenceStore(), []

    def encode(timesteps):
        try:
            for timestep in timesteps:
                yield {"block": torch.full((1, 100), float(timestep))}
        finally:
            closed.append(True)

    def cancel(done):
        if done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        store.get(picture(1), [1, 2, 3], encode, cancel)
    assert closed == [True], "the encoder has left the device"
    assert store.nbytes == 0


def test_the_encoder_is_brought_to_the_device_once_a_job(golden_networks, monkeypatch):
    pipeline = MagicAnimatePipeline(golden_networks, torch.device("cpu"))
    brought, using = [], pipeline.placement.using
    monkeypatch.setattr(pipeline.placement, "using", lambda name: brought.append(name) or using(name))
    maps = np.zeros((4, 32, 64), np.uint8)
    grey = np.full((32, 64, 3), 90, np.uint8)
    whole = pipeline(grey, maps, steps=5, output="latents")
    assert brought.count("appearance") == 1
    bounded = MagicAnimatePipeline(
        golden_networks, torch.device("cpu"), store=ReferenceStore(pipeline.store.nbytes // 2)
    )
    assert torch.equal(bounded(grey, maps, steps=5, output="latents"), whole)
    assert 0 < bounded.store.nbytes <= pipeline.store.nbytes // 2
