"""Options on their way from the server's command line to its worker's."""

import argparse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_server.engines.options import EngineOptions

options = st.builds(
    EngineOptions,
    device=st.sampled_from(["auto", "cpu", "cuda:1"]),
    dtype=st.sampled_from(["auto", "bf16"]),
    low_memory=st.booleans(),
    attention=st.sampled_from(["auto", "sdpa", "xformers"]),
    compile_layers=st.booleans(),
    window_batch=st.none() | st.integers(1, 50),
)


def parse(words):
    parser = argparse.ArgumentParser(exit_on_error=False)
    EngineOptions.add_arguments(parser)
    return EngineOptions.of(parser.parse_args(words))


@given(options)
def test_the_worker_gets_what_the_server_got(given):
    assert parse(given.arguments()) == given
    assert parse([]) == EngineOptions()


@pytest.mark.parametrize("text", ["0", "-1", "two"])
def test_no_such_number_of_windows(text):
    with pytest.raises(argparse.ArgumentError, match="at least 1"):
        parse([f"--window-batch={text}"])
