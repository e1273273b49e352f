"""Which networks are on the device when, and what is chosen for how much memory."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from inference_server.engines.magicanimate.placement import (
    LEAVING,
    MOST_NUMBERS,
    PLANS,
    Placement,
    Working,
    choose_plan,
    lower_plan,
    plan_bytes,
    windows_at_once,
)

NAMES = ("unet", "appearance", "controlnet", "vae", "text_encoder")
AWAY = torch.device("meta")
"""Stands for an accelerator: what lies there has no values, so whatever comes back unharmed never travelled."""


class Part(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("table", torch.arange(3))


@pytest.mark.parametrize("plan", PLANS[:-1])
def test_networks_are_on_the_device_while_they_are_used(plan):
    networks = {name: Part() for name in NAMES}
    kept = {name: network.weight.clone() for name, network in networks.items()}
    placement = Placement(networks, AWAY, plan)
    for name, network in networks.items():
        leaves = name in LEAVING[plan]
        assert placement.stays(name) is not leaves
        for _ in range(2):
            assert network.weight.device.type == ("cpu" if leaves else "meta")
            with placement.using(name) as used:
                assert used.weight.device.type == "meta"
        if leaves:
            assert torch.equal(network.weight, kept[name])


def test_on_the_cpu_nothing_moves():
    networks = {name: Part() for name in NAMES}
    placement = Placement(networks, torch.device("cpu"), "sequential")
    assert all(placement.stays(name) for name in NAMES)
    with placement.using("vae") as vae:
        assert vae.table.device.type == "cpu"


sizes = st.fixed_dictionaries({name: st.integers(1, 2**33) for name in NAMES})
working = st.builds(Working, window=st.integers(1, 2**33), decode=st.integers(1, 2**33))


@given(sizes, working, st.integers(0, 2**37))
def test_the_fastest_plan_that_fits(sizes, working, free):
    needs = plan_bytes(sizes, working)
    assert [needs[plan] for plan in PLANS] == sorted(needs.values(), reverse=True)
    plan = choose_plan(needs, free)
    assert needs[plan] <= free or plan == "sequential"
    for faster in PLANS[: PLANS.index(plan)]:
        assert needs[faster] > (free // 2 if faster == "resident" else free)
    assert PLANS.index(choose_plan(needs, free, low_memory=True)) == min(3, PLANS.index(plan) + 1)
    assert choose_plan(needs, None) == "resident"


@given(st.integers(1, 50), st.integers(0, 2**37), working)
def test_as_many_windows_as_half_of_the_memory_holds(windows, free, working):
    chosen = windows_at_once(windows, free, working)
    assert 1 <= chosen <= windows
    assert chosen == 1 or chosen * working.window <= free // 2
    assert chosen == windows or (chosen + 1) * working.window > free // 2
    assert windows_at_once(windows, None, working) == 1


def test_windows_together_make_no_tensor_that_kernels_cannot_count():
    """On a card with room for all: 512 x 512 pixels, 16 frames with guidance, 960 channels at the widest."""
    one = Working(window=1, decode=1, largest=2 * 16 * 64 * 64 * 960)
    assert windows_at_once(50, 2**40, one) == 17
    assert 17 * one.largest <= MOST_NUMBERS < 18 * one.largest


@given(sizes, working, st.integers(0, 2**37), st.sampled_from(PLANS))
def test_a_larger_picture_takes_the_next_plan_that_fits(sizes, working, free, plan):
    needs = plan_bytes(sizes, working)
    lower = lower_plan(plan, needs, free)
    if lower is None:
        assert all(needs[each] > free for each in PLANS[PLANS.index(plan) :])
    else:
        assert needs[lower] <= free
        assert all(needs[each] > free for each in PLANS[PLANS.index(plan) : PLANS.index(lower)])
