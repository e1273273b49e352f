"""The server on this computer: installed in an environment of its own, started, watched, stopped. Never imports bpy.

installation = Installation(folder, path_of_the_wheel)   # or python=..., an environment of the user's own
installation.state()                    # InstallState: kind, version, sentence; reads a file, quick
task = installation.install(pythons=[sys.executable])   # or with the same call: upgrade, repair, go on
task.poll()                             # InstallProgress; task.lines is a queue of log lines; task.cancel()
installation.remove()                   # the environment; weights and results stay unless data=True

server = LocalServer(installation)      # or RemoteServer(url, token); both have connect(say, stop) -> Client
server.log_tail(200); server.stop(); server.stop_if_idle()

watch = Watch(server)                   # a thread that asks once a second, for the panel
watch.status                            # ServerStatus: info, engines, weights, problem; never blocks
watch.do(lambda client: client.unload(), "Free memory")
watch.close()

advise(lines)                           # Advice(code, detail, fix) for log lines that are known, or None
"""

from .advice import Advice, advise
from .install import InstallProgress, InstallTask
from .installation import Installation, InstallKind, InstallState
from .local import LocalServer
from .pythons import Python, find_python
from .remote import RemoteServer
from .torch_build import Gpu, TorchBuild, choose_build, probe_gpu
from .watch import ServerStatus, Watch

__all__ = [
    "Advice",
    "Gpu",
    "InstallKind",
    "InstallProgress",
    "InstallState",
    "InstallTask",
    "Installation",
    "LocalServer",
    "Python",
    "RemoteServer",
    "ServerStatus",
    "TorchBuild",
    "Watch",
    "advise",
    "choose_build",
    "find_python",
    "probe_gpu",
]
