"""Draw the picture that comes with the add-on: a made-up person, painted as the demo weights' training clips are.

    python -m tools.bake_sample_reference

Nobody is shown and nothing is licensed: body CC0 (see magicanimate_blender/assets/README.md), clothes by formula.
"""

from pathlib import Path

from PIL import Image

from inference_server.training.characters import make_clips

SAMPLE_STREAM = 3
"""Neither the stream of training clips nor that of held-out ones."""
PERSON, POSE, SIZE = 2, 1, 512
PICTURE = Path(__file__).resolve().parent.parent / "magicanimate_blender/assets/sample_reference.png"


def main() -> None:
    (clip,) = make_clips(SAMPLE_STREAM, PERSON, size=SIZE, frames=1)
    Image.fromarray(clip.references[POSE]).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
