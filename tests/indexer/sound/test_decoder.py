import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import soundfile

from wordspot.indexer.errors import FailedPrecondition, InvalidInput, Overloaded
from wordspot.indexer.sound.audio import Decoder, DirectDecoder, write_wav
from wordspot.indexer.sound.decoder import IsolatedDecoder, _Child


def tone(seconds):
    return np.sin(np.arange(round(16_000 * seconds)) / 7).astype(np.float32) / 2


def children_of(pid):
    return [p for p in psutil.Process(pid).children() if "decoder_worker" in " ".join(p.cmdline())]


def children():
    return children_of(os.getpid())


@pytest.fixture(scope="module")
def decoder():
    with IsolatedDecoder(1, ready=1, block_seconds=3.0) as isolated:
        isolated.decode_bytes(write_wav(tone(0.1)), max_seconds=1.0)
        yield isolated


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Two minutes, far more than the connection buffers."""
    path = tmp_path_factory.mktemp("audio") / "tone.wav"
    path.write_bytes(write_wav(tone(120.0)))
    return path


def test_it_answers_as_the_direct_decoder_does(decoder: Decoder, recording):
    direct = DirectDecoder()
    assert decoder.probe(recording) == direct.probe(recording)
    ours = list(decoder.read_blocks(recording, max_seconds=200.0, start=1.5, stop=9.25))
    theirs = list(direct.read_blocks(recording, max_seconds=200.0, start=1.5, stop=9.25))
    assert [len(block) for block in ours] == [len(block) for block in theirs]
    np.testing.assert_array_equal(np.concatenate(ours), np.concatenate(theirs))
    stretch = decoder.read_stretch(recording, 3.0, 4.0, max_seconds=2.0)
    np.testing.assert_array_equal(stretch, direct.read_stretch(recording, 3.0, 4.0, max_seconds=2.0))
    data = write_wav(tone(1.0))
    decoded = decoder.decode_bytes(data, max_seconds=2.0)
    np.testing.assert_array_equal(decoded, direct.decode_bytes(data, max_seconds=2.0))
    assert decoded.flags.writeable


def test_refusals_read_as_the_direct_decoder_words_them(decoder, tmp_path):
    junk = tmp_path / "žluť.wav"
    junk.write_bytes(b"not audio\n" * 50)
    for ask in (
        lambda d: d.probe(junk),
        lambda d: list(d.read_blocks(junk, max_seconds=1.0)),
        lambda d: d.read_stretch(tmp_path / "gone.wav", 0.0, 1.0, max_seconds=1.0),
        lambda d: d.decode_bytes(write_wav(tone(3.0)), max_seconds=1.0),
    ):
        with pytest.raises(InvalidInput) as ours:
            ask(decoder)
        with pytest.raises(InvalidInput) as theirs:
            ask(DirectDecoder())
        assert str(ours.value) == str(theirs.value)


def test_a_refusal_costs_no_child(decoder):
    before = [child.pid for child in children()]
    with pytest.raises(InvalidInput):
        decoder.decode_bytes(b"nothing to hear", max_seconds=1.0)
    assert [child.pid for child in children()] == before


def test_a_relative_path_means_the_callers_directory(decoder, recording, monkeypatch):
    monkeypatch.chdir(recording.parent)
    assert decoder.probe(type(recording)(recording.name)).seconds == 120.0


def test_a_child_killed_while_reading_fails_one_call_only(decoder, recording):
    blocks = decoder.read_blocks(recording, max_seconds=200.0)
    next(blocks)
    (child,) = children()
    child.kill()
    with pytest.raises(InvalidInput, match=r"tone\.wav: the decoder crashed \(SIGKILL\)"):
        list(blocks)
    assert decoder.probe(recording).seconds == 120.0


def test_a_child_killed_while_idle_fails_no_call(decoder, recording):
    (child,) = children()
    child.kill()
    child.wait(5)
    assert decoder.probe(recording).seconds == 120.0


def test_a_child_that_hangs_is_stopped_in_time_and_replaced(decoder, recording):
    decoder.probe(recording)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(InvalidInput, match=r"stalled for 3 s"):
        decoder.probe(recording)
    assert time.monotonic() - began < 10
    assert not child.is_running()
    assert decoder.probe(recording).seconds == 120.0


def test_a_child_that_does_not_take_the_upload_is_stopped_too(decoder):
    decoder.decode_bytes(write_wav(tone(0.1)), max_seconds=1.0)
    (child,) = children()
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(InvalidInput, match=r"stalled for 3 s"):
        decoder.decode_bytes(bytes(8_000_000), max_seconds=1.0)
    assert not child.is_running()


def test_an_abandoned_reading_leaves_a_working_pool(decoder, recording):
    blocks = decoder.read_blocks(recording, max_seconds=200.0)
    next(blocks)
    blocks.close()
    assert decoder.probe(recording).seconds == 120.0
    assert len(children()) == 1


def test_a_slow_reader_is_not_taken_for_a_hanging_child(decoder, recording):
    blocks = decoder.read_blocks(recording, max_seconds=200.0)
    first = next(blocks)
    time.sleep(3.5)
    assert len(first) + sum(map(len, blocks)) == 120 * 16_000


def reading(decoder, recording):
    """A reading under way, which holds a child."""
    blocks = decoder.read_blocks(recording, max_seconds=200.0)
    next(blocks)
    return blocks


def test_a_child_is_started_for_a_call_beside_another_and_kept(recording):
    others = len(children())
    with IsolatedDecoder(2, ready=1) as pool:
        blocks = reading(pool, recording)
        for _ in range(3):
            assert pool.probe(recording).seconds == 120.0
        assert sum(map(len, blocks)) > 0
        assert len(children()) == others + 2


def test_calls_beyond_the_children_wait_in_order_of_arrival_and_start_no_more(decoder, recording):
    before = children()
    blocks = reading(decoder, recording)
    order = []

    def probe(number):
        decoder.probe(recording)
        order.append(number)

    threads = [threading.Thread(target=probe, args=(number,)) for number in range(5)]
    for number, thread in enumerate(threads):
        thread.start()
        while decoder.waiting <= number:
            time.sleep(0.001)
    assert order == []
    list(blocks)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert children() == before


def test_a_call_that_waits_too_long_is_turned_away_with_a_delay_and_leaves_the_queue(recording):
    with IsolatedDecoder(1, patience_s=0.05) as pool:
        blocks = reading(pool, recording)
        with pytest.raises(Overloaded, match=r"all 1 decoders were busy for 0\.05 s") as caught:
            pool.probe(recording)
        assert caught.value.retry_seconds > 0
        assert pool.waiting == 0
        list(blocks)
        assert pool.probe(recording).seconds == 120.0


def test_a_call_that_waits_learns_that_the_pool_was_closed(recording):
    pool = IsolatedDecoder(1)
    blocks = reading(pool, recording)
    errors = []

    def probe():
        try:
            pool.probe(recording)
        except FailedPrecondition as error:
            errors.append(str(error))

    thread = threading.Thread(target=probe)
    thread.start()
    while not pool.waiting:
        time.sleep(0.001)
    pool.close()
    thread.join()
    blocks.close()
    assert errors == ["the decoder is closed"]


def test_a_child_that_the_machine_does_not_let_run_is_not_taken_for_one_that_stalls(recording, monkeypatch):
    monkeypatch.setattr(_Child, "_runnable", lambda self: True)
    with IsolatedDecoder(1, ready=1, block_seconds=0.5) as pool:
        pool.probe(recording)
        child = max(children(), key=lambda process: process.create_time())
        child.send_signal(signal.SIGSTOP)
        with pytest.raises(Overloaded, match="did not get enough of the processor"):
            pool.probe(recording)
        assert not child.is_running()


def test_threads_share_the_pool(decoder, recording):
    lengths = []

    def read(start):
        lengths.append(len(decoder.read_stretch(recording, start, start + 2.0, max_seconds=3.0)))

    threads = [threading.Thread(target=read, args=(float(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [32_000] * 4


def test_a_bomb_and_a_forged_header_are_refused_in_little_memory(decoder):
    silence = io.BytesIO()
    with soundfile.SoundFile(silence, "w", 8_000, 1, "VORBIS", format="OGG") as file:
        for _ in range(1_800):
            file.write(np.zeros(8_000, np.float32))
    with pytest.raises(InvalidInput, match="longer than the 60 s allowed"):
        decoder.decode_bytes(silence.getvalue(), max_seconds=60.0)
    flac = io.BytesIO()
    soundfile.write(flac, tone(2.0), 16_000, format="FLAC")
    forged = bytearray(flac.getvalue())
    forged[21] |= 0x0F
    forged[22:26] = b"\xff\xff\xff\xff"  # 68 billion frames
    assert len(decoder.decode_bytes(bytes(forged), max_seconds=10.0)) == 32_000
    (child,) = children()
    assert child.memory_info().rss < 300_000_000


def test_a_child_that_needs_too_much_memory_ends_and_the_caller_is_told():
    with (
        IsolatedDecoder(1, memory_bytes=8 << 20) as decoder,
        pytest.raises(InvalidInput, match=r"needed more than the 8 MiB allowed|the decoder crashed"),
    ):
        decoder.decode_bytes(write_wav(tone(200.0)), max_seconds=300.0)


def test_closing_leaves_no_processes_and_refuses_further_calls(decoder, recording):
    others = {child.pid for child in children()}
    pool = IsolatedDecoder(2, ready=2)
    blocks = pool.read_blocks(recording, max_seconds=200.0)
    next(blocks)
    pool.close()
    with pytest.raises(InvalidInput, match="the decoder crashed"):
        list(blocks)
    assert {child.pid for child in children()} == others
    with pytest.raises(FailedPrecondition, match="closed"):
        pool.probe(recording)


def test_a_parent_that_is_killed_leaves_no_children():
    program = (
        "import time, wordspot.indexer.sound.decoder as d\n"
        "if __name__ == '__main__':\n"
        "    pool = d.IsolatedDecoder(1)\n"
        "    try: pool.decode_bytes(b'x', max_seconds=1.0)\n"
        "    except ValueError: print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        (child,) = children_of(parent.pid)
        parent.kill()
    assert child.wait(10) is None or not child.is_running()


def test_a_child_loads_only_what_decoding_needs(decoder, recording):
    decoder.probe(recording)
    (child,) = children()
    libraries = " ".join(region.path for region in child.memory_maps())
    assert "libsndfile" in libraries
    assert not any(name in libraries for name in ("libtorch", "faiss", "cygrpc", "onnxruntime"))


@pytest.mark.parametrize("container", ["CAF", "AIFF", "WAV", "W64", "AU", "FLAC", "OGG", "MP3", "VOC"])
def test_a_file_with_random_bytes_is_decoded_or_refused_and_nothing_else(decoder, tmp_path, container):
    chance = random.Random(container)
    file = io.BytesIO()
    soundfile.write(file, tone(2.0), 16_000, format=container)
    for number in range(20):
        data = bytearray(file.getvalue())
        for _ in range(chance.randint(1, 12)):
            end = len(data) if number % 2 else min(len(data), 200)
            data[chance.randrange(end)] = chance.randrange(256)
        path = tmp_path / f"{number}"
        path.write_bytes(data)
        with contextlib.suppress(InvalidInput):
            sound = np.concatenate(list(decoder.read_blocks(path, max_seconds=100.0)))
            assert np.isfinite(sound).all()


def test_whatever_a_library_raises_is_the_files_own_failure(monkeypatch, tmp_path):
    def broken(self, start):
        raise OSError("out of sorts")

    monkeypatch.setattr("wordspot.indexer.sound.ffmpeg.FFmpegReader.chunks", broken)
    path = tmp_path / "sound.wav"
    path.write_bytes(write_wav(tone(1.0)))
    with pytest.raises(InvalidInput, match=r"sound\.wav cannot be decoded \(OSError: out of sorts\)"):
        list(DirectDecoder().read_blocks(path, max_seconds=5.0))


def test_warnings_come_from_the_child_as_from_this_process(decoder, tmp_path):
    path = tmp_path / "stale.wav"
    data = bytearray(write_wav(tone(2.0)))
    data[40:44] = (1_000).to_bytes(4, "little")
    path.write_bytes(data)
    ours: list[str] = []
    theirs: list[str] = []
    list(decoder.read_blocks(path, max_seconds=5.0, warnings=ours))
    list(DirectDecoder().read_blocks(path, max_seconds=5.0, warnings=theirs))
    assert ours == theirs
    assert "1,000 bytes" in ours[0]
