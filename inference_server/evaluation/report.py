"""Scores as a page: tables, bars and pictures, in one HTML file that needs nothing beside it."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from inference_server.evaluation.clips import EvaluationClip
from inference_server.evaluation.metrics import Pictures
from inference_server.evaluation.score import Summary
from inference_server.media.images import png_bytes
from inference_server.media.labels import colours_from_labels

COLUMNS = {
    "l1": ("L1 ↓", "{:.4f}"),
    "psnr": ("PSNR dB ↑", "{:.1f}"),
    "person_psnr": ("person PSNR dB ↑", "{:.1f}"),
    "ssim": ("SSIM ↑", "{:.3f}"),
    "lpips": ("LPIPS ↓", "{:.3f}"),
    "pose_agreement": ("pose agreement ↑", "{:.3f}"),
    "colour_error": ("colour error ↓", "{:.3f}"),
    "wall_error": ("wall error ↓", "{:.3f}"),
    "flicker": ("flicker, 1 = truth", "{:.2f}"),
    "wall_flicker": ("wall flicker ↓", "{:.4f}"),
    "seam": ("seam, 1 = unseen", "{:.2f}"),
}
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c2330}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;text-align:right;
border-bottom:1px solid #dde2ea}
th:first-child,td:first-child{text-align:left}img{max-width:100%}figure{margin:1rem 0}figcaption{color:#5a6475}"""
FRAMES_SHOWN, CLIPS_SHOWN = 6, 12


def write_report(path: Path, clips: Sequence[EvaluationClip], summaries: Mapping[str, Summary]) -> None:
    """`summaries`: by row title, the model first, then baselines and variants."""
    model = next(iter(summaries.values()))
    sections = [
        "<h1>Evaluation</h1>",
        f"<p>{len(clips)} clips, {sum(score.frames for score in model.clips)} frames. "
        "How each figure is computed: docs/evaluation.md.</p>",
        _summary_table(summaries),
        _bars(summaries),
        "<h2>Clips</h2>",
        _clip_table(model),
        *(_figure(clip) for clip in clips[:CLIPS_SHOWN]),
    ]
    body = "\n".join(sections)
    path.write_text(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title>"
        f"<style>{STYLE}</style>{body}</html>\n",
        encoding="utf-8",
    )


def _summary_table(summaries: Mapping[str, Summary]) -> str:
    sets = sorted({name for summary in summaries.values() for name in summary.distribution})
    used = {k: v for k, v in COLUMNS.items() if any(_has(summary, k) for summary in summaries.values())}
    rows = [["", *(title for title, _ in used.values()), "identity ↑", *sets]]
    for title, summary in summaries.items():
        figures = [_format(summary.mean.get(key), form) for key, (_, form) in used.items()]
        others = [_format(summary.distribution.get(name), "{:.1f}") for name in sets]
        rows.append([title, *figures, _format(summary.identity, "{:.2f}"), *others])
    return _table(rows)


def _clip_table(summary: Summary) -> str:
    used = {k: v for k, v in COLUMNS.items() if _has(summary, k)}
    rows = [["clip", "frames", *(title for title, _ in used.values())]]
    for score in summary.clips:
        rows.append([score.name, str(score.frames), *(_format(getattr(score, k), f) for k, (_, f) in used.items())])
    return _table(rows)


def _has(summary: Summary, key: str) -> bool:
    return np.isfinite(summary.mean.get(key, float("nan")))


def _format(value: float | None, form: str) -> str:
    return form.format(value) if value is not None and np.isfinite(value) else "–"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = (["".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row)] for tag, row in _tagged(rows))
    lines = "".join(f"<tr>{line[0]}</tr>" for line in body)
    return f"<table><thead><tr>{head[0]}</tr></thead><tbody>{lines}</tbody></table>"


def _tagged(rows: Sequence[Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    return [("th" if k == 0 else "td", row) for k, row in enumerate(rows)]


def _bars(summaries: Mapping[str, Summary]) -> str:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    keys = ("person_psnr", "pose_agreement", "colour_error", "flicker")
    figure, axes = plt.subplots(1, len(keys), figsize=(13, 0.4 * len(summaries) + 1.2), sharey=True)
    for axis, key in zip(axes, keys, strict=True):
        axis.barh(list(summaries), [summary.mean.get(key, np.nan) for summary in summaries.values()], color="#4a6fa5")
        axis.set_title(COLUMNS[key][0])
    axes[0].invert_yaxis()
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    plt.close(figure)
    return _image(buffer.getvalue(), "Bars of four metrics for all rows of the table")


def _figure(clip: EvaluationClip) -> str:
    sheet = contact_sheet(clip)
    caption = f"<figcaption>{html.escape(clip.name)}: reference, then maps, truth and output</figcaption>"
    return f"<figure>{_image(png_bytes(sheet), clip.name)}{caption}</figure>"


def contact_sheet(clip: EvaluationClip, frames: int = FRAMES_SHOWN) -> Pictures:
    """Three rows, maps, truth and output, of some frames; the reference to the left of the middle one."""
    shown = np.linspace(0, len(clip.truth) - 1, min(frames, len(clip.truth))).round().astype(int)
    blank = np.full_like(clip.reference, 255)
    rows = ((blank, colours_from_labels(clip.parts)), (clip.reference, clip.truth), (blank, clip.output))
    return np.concatenate([np.concatenate([first, *(row[k] for k in shown)], axis=1) for first, row in rows])


def _image(png: bytes, text: str) -> str:
    return f'<img alt="{html.escape(text)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
