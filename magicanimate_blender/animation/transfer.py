"""Pictures between a result's folder and the server."""

from collections.abc import Callable, Iterable, Iterator

from ..client import BadAnswer, Client, FileProblem, ServerProblem, write_atomic
from ..client.files import file_problem
from .record import Record, ResultFolder


def upload_inputs(client: Client, record: Record, folder: ResultFolder, done: Callable[[int, int], None]) -> None:
    """Send the reference and every map that the server has not got. Raises ClientError.

    done(sent, of): called after each; it may raise to stop.
    """
    first_with = {digest: folder.map(n) for n, digest in reversed(list(enumerate(record.maps)))}
    inputs = {record.spec.reference: folder.reference, **first_with}
    for sent, (digest, path) in enumerate(inputs.items(), 1):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise file_problem(path, error) from error
        if client.upload(data) != digest:
            raise FileProblem(
                f"{path.name} was changed since the job began", fix="Animate again.", code="input-changed"
            )
        done(sent, len(inputs))


def fetch_frames(client: Client, job: str, folder: ResultFolder, frames: Iterable[int]) -> Iterator[int]:
    """Fetch these frames into the folder, yielding each one's number once it is there. Raises ClientError.

    Frames that the server has not got ready yet are left out.
    """
    for start, stop in runs(frames):
        if stop - start == 1:
            try:
                write_atomic(folder.frame(start), client.frame(job, start))
            except ServerProblem as error:
                if error.code == "frame-not-ready":
                    continue
                raise
            yield start
            continue
        for frame, png in client.frames(job, start, stop):
            if not start <= frame < stop:
                raise BadAnswer(f"The server sent frame {frame}, which was not asked for")
            write_atomic(folder.frame(frame), png)
            yield frame


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Ranges (start, stop) of consecutive numbers, ascending."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and found[-1][1] == number:
            found[-1] = (found[-1][0], number + 1)
        else:
            found.append((number, number + 1))
    return found
