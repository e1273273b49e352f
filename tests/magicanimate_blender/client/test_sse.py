"""The parser must give the same events however the network cuts the bytes."""

from hypothesis import example, given
from hypothesis import strategies as st

from magicanimate_blender.client.sse import EventParser, ServerSentEvent

TEXT = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20)
EVENT = st.tuples(TEXT, TEXT.filter(bool), st.lists(TEXT, min_size=1, max_size=3).filter(any))
NEWLINE = st.sampled_from(["\n", "\r\n", "\r"])


def parse(stream: bytes, cuts: list[int]) -> list[ServerSentEvent]:
    parser, events, begin = EventParser(), [], 0
    for end in [*sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]:
        events += parser.feed(stream[begin:end])
        begin = end
    return events


@given(st.lists(EVENT, max_size=5), NEWLINE, st.booleans(), st.lists(st.integers(0, 10_000), max_size=12))
@example([("1", "job", ["a", "b"])], "\r\n", True, list(range(40)))
def test_every_event_comes_whole_wherever_the_stream_is_cut(events, newline, with_bom, cuts):
    lines = []
    for identity, name, data in events:
        lines += [f"id: {identity}", f"event: {name}", ": comment", *(f"data: {line}" for line in data), ""]
    text = newline.join([*lines, ": end", ""])
    stream = (b"\xef\xbb\xbf" if with_bom else b"") + text.encode()
    expected = [ServerSentEvent(identity, name, "\n".join(data)) for identity, name, data in events]
    assert parse(stream, cuts) == expected


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_garbage_is_read_the_same_in_one_piece_or_many(stream, cuts):
    # A trailing newline ends what a lone CR at a cut may hold back.
    stream += b"\n\n"
    assert parse(stream, cuts) == parse(stream, [])


def test_ids_stay_until_another_one_comes():
    events = parse(b"id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: 8\0\ndata: d\n\n", [])
    assert [(event.id, event.data) for event in events] == [("7", "a"), ("7", "b"), ("", "c"), ("", "d")]


def test_comments_and_blank_lines_are_no_events():
    assert parse(b": beat\n\n\n\nevent: job\n\n: beat\n\n", []) == []
