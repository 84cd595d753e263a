"""Other words left and right, tracks, time codes: from files through gRPC to the hits and their sound."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from tests.bench import sound_files
from wordspot import Client, FileQuery, StoredQuery
from wordspot.indexer.errors import InvalidInput, NotFound
from wordspot.indexer.records import Hit
from wordspot.services.cli import app

SAMPLE = Path(__file__).parents[2] / "deploy" / "demo" / "sample"
RATE = 16_000
NAMES = {  # by the word that only they hold
    "password": ["agent-pass.flac", "vm-newpassword.flac"],
    "extension": ["agent-newlocation.flac", "vm-from-extension.flac"],
}
pytestmark = pytest.mark.skipif(not sound_files.has_ffmpeg(), reason="ffmpeg is not installed: make debian")


def words() -> dict[str, list[tuple[str, float, float]]]:
    with (SAMPLE / "words.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    said: dict[str, list[tuple[str, float, float]]] = {}
    for row in rows:
        said.setdefault(row["recording"], []).append((row["word"], float(row["start"]), float(row["end"])))
    return said


def side(word: str, begin: float) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The recordings of a word one after another, and where it is said."""
    pieces, places, at = [np.zeros(round(begin * RATE), np.float32)], [], begin
    for name in NAMES[word]:
        sound, rate = soundfile.read(SAMPLE / "recordings" / name, dtype="float32")
        sound = np.repeat(sound, RATE // rate)
        places += [(at + start, at + end) for said, start, end in words()[name] if said == word]
        pieces += [sound, np.zeros(RATE, np.float32)]
        at += len(sound) / RATE + 1
    return np.concatenate(pieces), places


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """call.wav: one side says password, the other extension, at the same time."""
    folder = tmp_path_factory.mktemp("calls")
    (left, _), (right, _) = side("password", 0.2), side("extension", 0.5)
    length = max(len(left), len(right))
    left, right = np.pad(left, (0, length - len(left))), np.pad(right, (0, length - len(right)))
    soundfile.write(folder / "call.wav", np.stack([left, right], axis=1), RATE)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Client(home=tmp_path_factory.mktemp("home")) as client:
        client.index([folder / "call.wav"], channels="each")
        yield client


def best(client: Client, word: str, archive: str = "default", **options: int) -> Hit:
    query = SAMPLE / "queries" / f"{word}.flac"
    return client.search(query, archive, all_hits=True, top=1, **options)[0]  # type: ignore[arg-type]


def lies_in(hit: Hit, start: float, end: float) -> bool:
    """Whether both share most of the shorter one."""
    return min(hit.end, end) - max(hit.start, start) > 0.7 * min(hit.end - hit.start, end - start)


@pytest.mark.parametrize(("word", "channel"), [("password", 1), ("extension", 2)])
def test_a_word_is_found_on_its_side_only_and_heard_from_there(
    client: Client, folder: Path, word: str, channel: int
) -> None:
    hit = best(client, word)
    assert (hit.channel, hit.track) == (channel, 0)
    begin = 0.2 if channel == 1 else 0.5
    assert any(lies_in(hit, *place) for place in side(word, begin)[1])
    assert best(client, word, channel=channel) == hit
    other = best(client, word, channel=3 - channel)
    assert other.channel == 3 - channel
    assert other.p_correct < hit.p_correct - 0.3
    sound, _ = soundfile.read(folder / "call.wav")
    clip, rate = soundfile.read(
        io.BytesIO(client.clip(hit.recording, hit.start, hit.end, channel=hit.channel)), dtype="float32"
    )
    first = round(hit.start * rate)
    np.testing.assert_allclose(clip, sound[first : first + len(clip), channel - 1], atol=1e-3)


def test_the_archive_says_what_it_searches(client: Client) -> None:
    archive, (recording,) = client.archive(), client.recordings()
    assert (archive.channels, archive.tracks) == ("each", "default")
    assert [(each.track, each.channel, list(each.channels)) for each in recording.streams] == [
        (0, 1, [1]),
        (0, 2, [2]),
    ]


@pytest.mark.parametrize("channel", [1, 2])
def test_a_query_is_taken_from_one_side(client: Client, folder: Path, channel: int) -> None:
    word = "password" if channel == 1 else "extension"
    start, end = side(word, 0.2 if channel == 1 else 0.5)[1][0]
    (recording,) = client.recordings()
    for query in (
        StoredQuery(recording.id, start, end, channel=channel),
        FileQuery(folder / "call.wav", start, end, channel=channel),
    ):
        hit = client.search(query, all_hits=True, top=1)[0]
        assert (hit.channel, hit.detected) == (channel, True)
        assert hit.start == pytest.approx(start, abs=0.05)


def test_a_channel_that_is_none_is_refused(client: Client) -> None:
    (recording,) = client.recordings()
    with pytest.raises(NotFound, match="no recording of the archive has speech on channel 3"):
        best(client, "password", channel=3)
    with pytest.raises(InvalidInput, match="channel must be between 0 and 64, got 65"):
        best(client, "password", channel=65)
    with pytest.raises(InvalidInput, match=r"call\.wav has 2 channels, there is no channel 3"):
        client.clip(recording.id, 0.0, 1.0, channel=3)
    with pytest.raises(InvalidInput, match="track must be between 0 and 64, got -1"):
        client.clip(recording.id, 0.0, 1.0, track=-1)
    with pytest.raises(InvalidInput, match="channels must be mix, each or a number from 1 to 64, got 'both'"):
        client.index([], channels="both")


FILM = "join=inputs=6:channel_layout=5.1:map=0.0-FL|1.0-FR|2.0-FC|3.0-LFE|4.0-BL|5.0-BR"
MADE = {  # how ffmpeg makes them of the two sides, and on which channel password is then
    "time-code.wav": ("[0]volume=0[z];[2][z]amix=normalize=0[t];[0][t]join=channel_layout=stereo", 1),
    "silent.wav": ("[0]volume=0[z];[z][0]join=channel_layout=stereo", 2),
    "opposite.wav": ("[0]volume=-1[b];[0][b]join=channel_layout=stereo", 1),
    "film.flac": (f"[1]volume=0.05,asplit=5[a][b][c][d][e];[a][b][0][c][d][e]{FILM}", 3),
}


@pytest.mark.parametrize("archive", ["mix", "each"])
@pytest.mark.parametrize("name", MADE)
def test_nothing_on_other_channels_hides_speech(
    client: Client, folder: Path, archive: str, name: str
) -> None:
    graph, channel = MADE[name]
    path, (left, right) = folder / name, (folder / "left.wav", folder / "right.wav")
    if not path.exists():
        sound, _ = soundfile.read(folder / "call.wav", dtype="float32")
        soundfile.write(left, sound[:, 0], RATE)
        soundfile.write(right, sound[:, 1], RATE)
        bits = np.random.default_rng(1).integers(1, 3, len(sound))
        signs = np.cumprod(np.where(np.diff(bits, prepend=bits[0]), -1, 1))
        soundfile.write(folder / "code.wav", 0.4 * np.repeat(signs, 3)[: len(sound)], RATE)
        inputs = ("-i", left, "-i", right, "-i", folder / "code.wav")
        sound_files.ffmpeg(*inputs, "-filter_complex", graph, path)
    client.index([path], f"{archive}-{path.stem}", channels=archive)
    hit = best(client, "password", f"{archive}-{path.stem}")
    assert any(lies_in(hit, *place) for place in side("password", 0.2)[1])
    assert hit.channel in ((0, channel) if archive == "mix" else (channel,))


def test_a_hit_of_another_track_names_it(client: Client, folder: Path) -> None:
    path, maps = folder / "tracks.mka", ("-map", "0:a", "-map", "1:a", "-c:a", "pcm_s16le")
    sound, _ = soundfile.read(folder / "call.wav", dtype="float32")
    for number, name in enumerate(("one.wav", "two.wav")):
        soundfile.write(folder / name, sound[:, number], RATE)
    sound_files.ffmpeg("-i", folder / "one.wav", "-i", folder / "two.wav", *maps, path)
    client.index([path], "tracks", tracks="all")
    for number, word in enumerate(("password", "extension"), 1):
        hit = best(client, word, "tracks")
        assert (hit.track, hit.channel) == (number, 0)
        data = client.clip(hit.recording, hit.start, hit.end, "tracks", track=hit.track)
        clip, _ = soundfile.read(io.BytesIO(data), dtype="float32")
        part = sound[round(hit.start * RATE) :][: len(clip), number - 1]
        assert np.corrcoef(clip, part)[0, 1] > 0.99


def test_the_command_line_indexes_searches_and_saves_by_channel(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORDSPOT_HOME", str(tmp_path / "home"))

    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, list(map(str, arguments)))
        assert result.exit_code == 0, result.output
        return result.stdout

    query = SAMPLE / "queries" / "extension.flac"
    made = json.loads(run("index", folder / "call.wav", "--channels", "each", "--json"))
    assert (made["channels"], made["tracks"]) == ("each", "default")
    (row,) = run("search", query, "--top", 1, "--json").splitlines()
    (hit,) = json.loads(row)["hits"]
    assert (hit["channel"], hit["track"]) == (2, 0)
    told = run("search", query, "--top", 1, "--channel", 2, "--save-clips", tmp_path / "clips")
    assert told.splitlines()[0].split() == ["seconds", "score", "P", "channel", "recording"]
    (clip,) = (tmp_path / "clips").glob("*.wav")
    sound, _ = soundfile.read(folder / "call.wav", dtype="float32")
    saved, _ = soundfile.read(clip, dtype="float32")
    first = round(hit["start"] * RATE)
    np.testing.assert_allclose(saved, sound[first : first + len(saved), 1], atol=1e-3)
    assert run("index", folder / "call.wav").startswith("indexed 0 recordings")
