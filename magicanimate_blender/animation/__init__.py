"""A job as the add-on sees it, from drawn part maps to frames on disk. Pure: never imports bpy.

animations = Animations(results_folder, server)        # server: anything with connect(), see ServerSource
job = animations.start(spec, reference_bytes)          # returns at once; one thread per job does all waiting
for n in job.missing_maps():                           # a few per tick, so that Blender stays alive
    job.add_map(n, label_png)
now = job.poll()                                       # Snapshot; never blocks: call it from a timer or a loop
now.state, now.title, now.fraction, now.eta_s, now.message, now.fix, now.preview, now.frames_fetched
job.cancel() / job.retry()
animations.close()                                     # Blender quits: jobs go on in the server
animations.resume(job_id) / animations.unfinished()    # ... and are found again by id

history = History(results_folder)                      # results on disk: records(), get(), delete()
plan = what_changed(history.get(base), spec, hashes)   # Unchanged | Partial | Full; plan.sentence for the panel
specs = variations(spec, 4)                            # one group; promote one by settings of FINAL
"""

from .changes import Full, Partial, Plan, Unchanged, redo_only_settings, what_changed
from .history import History
from .job import Animation
from .own_files import OwnFiles, replace_files
from .presets import DRAFT, FINAL, PRESETS, Preset
from .record import Record, ResultFolder
from .running import Animations
from .server_source import ServerSource
from .spec import JobSpec, variations
from .states import Snapshot, State
from .trash import Trash, recover
from .usage import Usage, Users, mentions, users_beside, users_noted

__all__ = [
    "DRAFT",
    "FINAL",
    "PRESETS",
    "Animation",
    "Animations",
    "Full",
    "History",
    "JobSpec",
    "OwnFiles",
    "Partial",
    "Plan",
    "Preset",
    "Record",
    "ResultFolder",
    "ServerSource",
    "Snapshot",
    "State",
    "Trash",
    "Unchanged",
    "Usage",
    "Users",
    "mentions",
    "recover",
    "redo_only_settings",
    "replace_files",
    "users_beside",
    "users_noted",
    "variations",
    "what_changed",
]
