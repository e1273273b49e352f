"""The engines this server has. Importing it loads no engine and no torch."""

from inference_server.engines.magicanimate.info import MAGICANIMATE
from inference_server.engines.protocol import EngineInfo
from inference_server.errors import UserError

ENGINES: dict[str, EngineInfo] = {engine.id: engine for engine in (MAGICANIMATE,)}


def find_engine(engine_id: str) -> EngineInfo:
    """Raises UserError `unknown-engine` with the known ids."""
    try:
        return ENGINES[engine_id]
    except KeyError:
        raise UserError(
            f"There is no engine {engine_id!r}", fix=f"Choose one of: {', '.join(ENGINES)}.", code="unknown-engine"
        ) from None
