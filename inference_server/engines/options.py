"""How an engine uses the machine: settings of a server, where those of a job are the engine's own."""

import argparse
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class EngineOptions:
    """They change how fast a result comes and what memory it takes, never the result (but for float order and dtype).

    low_memory: keep less on the device than would fit. compile_layers: by torch.compile, when a job first needs them.
    window_batch: windows of a step that go through the networks together; None for what memory allows.
    """

    device: str = "auto"
    dtype: str = "auto"
    low_memory: bool = False
    attention: str = "auto"
    compile_layers: bool = False
    window_batch: int | None = None

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """For the server and, handed on by it, its worker."""
        add = parser.add_argument
        add("--device", default=cls.device, help="auto, cpu, cuda, cuda:1, mps")
        add("--dtype", default=cls.dtype, help="auto, fp32, fp16, bf16")
        add("--low-memory", action="store_true", help="always compute with the smaller-memory settings")
        add("--attention", choices=("auto", "sdpa", "xformers"), default=cls.attention)
        add("--compile-layers", action="store_true", help="compile layers; needs a C++ compiler, or Triton on CUDA")
        add("--window-batch", type=count, metavar="N", help="windows computed together (default: as memory allows)")

    @classmethod
    def of(cls, args: argparse.Namespace) -> Self:
        """What was parsed by a parser with `add_arguments`."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})

    def arguments(self) -> list[str]:
        """The command line that gives these options again."""
        words = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                name = "--" + field.name.replace("_", "-")
                words += [name] if value is True else [name, str(value)]
        return words


def count(text: str) -> int:
    """A whole number of at least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of at least 1")
    return int(text)
