"""A training stage that a killed run takes up where it was: same batches, same averages, same losses."""

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inference_server.training.budget import Budget

Batches = Callable[[int], Iterator[Any]]
"""first step -> endless batches; batch n depends on n alone."""


class Average:
    """Exponential moving average of parameters; its decay grows with the steps, so that early values fade fast."""

    def __init__(self, modules: nn.Module, decay: float) -> None:
        self.decay = decay
        self.modules = copy.deepcopy(modules).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, modules: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = zip(self.modules.parameters(), modules.parameters(), strict=True)
        averages, values = zip(*((a, p.detach()) for a, p in pairs if p.requires_grad), strict=True)
        torch._foreach_lerp_(list(averages), list(values), 1 - decay)


class Stage:
    """One network in training with its optimiser, average, step count, seconds used and log of losses.

    Files in `folder`: NAME.pt, the state; NAME.jsonl, a line of losses per step.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        network: nn.Module,
        budget: Budget,
        *,
        learning_rate: Callable[[float, int], float],
        groups: list[dict[str, Any]] | None = None,
        decay: float = 0.999,
    ) -> None:
        """`learning_rate(progress, step)`; `groups`: parameters with a `share` of that rate, else all with 1."""
        self.name = name
        self.folder = folder
        self.network = network
        self.budget = budget
        self.learning_rate = learning_rate
        self.trained = [p for p in network.parameters() if p.requires_grad]
        groups = groups or [{"params": self.trained, "share": 1.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, weight_decay=1e-4, betas=(0.9, 0.99))
        self.average = Average(network, decay)
        self.step = 0
        self.seconds = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.pt"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    @property
    def progress(self) -> float:
        return self.budget.progress(self.step, self.seconds)

    def save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        partial = self.checkpoint.with_suffix(".part")
        torch.save(state, partial)
        partial.rename(self.checkpoint)

    def resume(self) -> bool:
        """Take up the last checkpoint; log lines written after it are dropped. False if there is none."""
        if not self.checkpoint.exists():
            return False
        state = torch.load(self.checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.modules.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.write_text("".join(line + "\n" for line in lines if json.loads(line)["step"] <= self.step))
        return True

    def train(
        self,
        batches: Batches,
        loss: Callable[[Any], dict[str, Tensor]],
        *,
        every: int,
        report: Callable[["Stage"], None],
    ) -> None:
        """Run until the budget is spent. `loss` returns named terms; the one called "loss" is minimised.

        Every `every` steps and at the end the state is saved and `report` called.
        """
        for batch in batches(self.step):
            if self.progress >= 1:
                break
            started = time.monotonic()
            rate = self.learning_rate(self.progress, self.step)
            for group in self.optimizer.param_groups:
                group["lr"] = rate * group["share"]
            terms = loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            gradient = nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
            self.step += 1
            self.average.update(self.network, self.step)
            self.seconds += time.monotonic() - started
            line = {"step": self.step, "seconds": round(self.seconds, 2), "gradient": float(gradient)}
            line |= {key: float(value.detach()) for key, value in terms.items()}
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if self.step % every == 0 and self.progress < 1:
                self.save()
                report(self)
        self.save()
        report(self)
