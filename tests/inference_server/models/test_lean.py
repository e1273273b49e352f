"""A start of the engine loads what is used, and nothing is lost for who needs the rest."""

import json
import subprocess
import sys

REPORT = """
import json, sys
import inference_server.engines.magicanimate.engine
names = sorted(sys.modules)
from diffusers.models.transformers import Transformer2DModel, WanTransformer3DModel
from inference_server.sampling.solver import MAGICANIMATE_SCHEDULE, make_solver
solvers = [type(make_solver(name, 4, MAGICANIMATE_SCHEDULE)).__name__ for name in ("ddim", "dpmpp_2m", "unipc")]
same = sys.modules["diffusers.models.transformers.transformer_2d"].Transformer2DModel is Transformer2DModel
print(json.dumps([names, WanTransformer3DModel.__module__, solvers, same]))
"""


def test_a_start_imports_what_is_used():
    done = subprocess.run([sys.executable, "-c", REPORT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    names, late, solvers, same = json.loads(done.stdout)
    assert not {"scipy.stats", "xformers"} & set(names)
    assert "xformers" not in done.stderr, "an unfit one is not complained about where nobody asked for it"
    networks = [name for name in names if name.startswith("diffusers.models.transformers.")]
    assert len(networks) < 15, networks  # of some fifty; a few ControlNets inherit from them
    assert late == "diffusers.models.transformers.transformer_wan", "what is asked for by name is loaded then"
    assert same
    assert solvers == ["DDIMScheduler", "DPMSolverMultistepScheduler", "UniPCMultistepScheduler"]
