"""What a stage keeps on disk so that a killed run goes on as if nothing had happened."""

import copy
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of parameters; its decay grows with the steps, so that early values fade fast."""

    def __init__(self, modules: nn.ModuleDict, decay: float) -> None:
        self.decay = decay
        self.modules = copy.deepcopy(modules).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, modules: nn.ModuleDict, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = [(a, p) for a, p in zip(self.modules.parameters(), modules.parameters(), strict=True) if p.requires_grad]
        torch._foreach_lerp_([a for a, _ in pairs], [p.detach() for _, p in pairs], 1 - decay)
        for average, buffer in zip(self.modules.buffers(), modules.buffers(), strict=True):
            average.copy_(buffer)


class Stage:
    """One training stage: modules, optimiser, average, step count, seconds used, and the log of losses.

    Step n draws its batch from `torch.Generator` and numpy streams seeded with (stage, n), so that a resumed run sees
    the very batches that it would have seen.
    """

    def __init__(
        self, name: str, folder: Path, modules: dict[str, nn.Module], *, learning_rate: float, decay: float
    ) -> None:
        self.name = name
        self.folder = folder
        self.modules = nn.ModuleDict(modules)
        trained = [p for p in self.modules.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=learning_rate, weight_decay=1e-4, betas=(0.9, 0.99))
        self.learning_rate = learning_rate
        self.average = Average(self.modules, decay)
        self.step = 0
        self.seconds = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / f"{self.name}.pt"

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.jsonl"

    def save(self) -> None:
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "modules": self.modules.state_dict(),
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
        self.modules.load_state_dict(state["modules"])
        self.average.modules.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        if self.log.exists():
            kept = [line for line in self.log.read_text().splitlines() if json.loads(line)["step"] <= self.step]
            self.log.write_text("".join(line + "\n" for line in kept))
        return True

    def train(
        self,
        batches: Iterable[Any],
        loss: Callable[[Any], dict[str, Tensor]],
        *,
        schedule: Callable[["Stage"], float],
        until: Callable[["Stage"], bool],
        every: int,
        report: Callable[["Stage"], None],
    ) -> None:
        """Steps until `until` says so. `loss` returns named terms; the one called "loss" is minimised.

        `schedule` gives the learning rate as a share of the full one; every `every` steps the state is saved and
        `report` called.
        """
        trained = [p for p in self.modules.parameters() if p.requires_grad]
        for batch in batches:
            if until(self):
                break
            started = time.monotonic()
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate * schedule(self)
            terms = loss(batch)
            self.optimizer.zero_grad(set_to_none=True)
            terms["loss"].backward()
            norm = nn.utils.clip_grad_norm_(trained, 1.0)
            self.optimizer.step()
            self.step += 1
            self.average.update(self.modules, self.step)
            self.seconds += time.monotonic() - started
            line = {"step": self.step, "seconds": round(self.seconds, 1), "gradient": float(norm)}
            line |= {key: float(value.detach()) for key, value in terms.items()}
            with self.log.open("a") as file:
                file.write(json.dumps(line) + "\n")
            if self.step % every == 0:
                self.save()
                report(self)
        self.save()
        report(self)
