"""How far a job is, as one number, and how long it still takes."""

from typing import get_args

from inference_server.jobs.model import JobProgress, Stage

# Where each stage begins and ends as shares of a job. Denoising is nine tenths of the work at the published
# settings (1149 of 1191 TFLOP for 16 frames, the rest decoding); loading is short and happens once.
SHARES: dict[str, tuple[float, float]] = {
    "waiting": (0.0, 0.0),
    "loading": (0.0, 0.02),
    "preparing": (0.02, 0.04),
    "denoising": (0.04, 0.92),
    "decoding": (0.92, 0.98),
    "writing": (0.98, 1.0),
}


class Meter:
    """Turns what a worker reports into JobProgress. Times are monotonic seconds."""

    def __init__(self, frames: int, steps: int = 0) -> None:
        """steps: as the settings say, until the engine tells."""
        self.progress = JobProgress(stage="loading", frames=frames, steps=steps)
        self._since: tuple[float, float] | None = None  # time and fraction when denoising began in this run

    def advance(self, stage: str, step: int, steps: int, frames_done: int, now: float, part: float = 0.0) -> None:
        """part: of the step at hand that is done, 0..1."""
        frames = self.progress.frames
        known: Stage = stage if stage in get_args(Stage) else "denoising"  # type: ignore[assignment]
        begin, end = SHARES[known]
        done, total = (step + part, steps) if known == "denoising" else (frames_done, frames)
        within = min(done / total, 1.0) if total and known in ("denoising", "decoding") else 0.0
        fraction = max(self.progress.fraction, begin + (end - begin) * within)
        if known in ("denoising", "decoding") and self._since is None:
            self._since = (now, fraction)
        self.progress = JobProgress(
            stage=known,
            step=step,
            steps=steps or self.progress.steps,
            frames_done=min(frames_done, frames),
            frames=frames,
            fraction=round(fraction, 4),
            eta_s=self._eta(fraction, now),
        )

    def frame_done(self, now: float) -> None:
        last = self.progress
        self.advance(last.stage, last.step, last.steps, last.frames_done + 1, now)

    def _eta(self, fraction: float, now: float) -> float | None:
        """By the rate since denoising began; a resumed run begins in the middle and is measured from there."""
        if self._since is None or fraction <= self._since[1]:
            return None
        rate = (fraction - self._since[1]) / max(now - self._since[0], 1e-6)
        return round((1 - fraction) / rate, 1)
