from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import soundfile

from wordspot.models.datasets import (
    asterisk,
    asterisk_prompts,
    drascula,
    festvox_ru,
    fillets_cs,
    hedgewars,
    klettres,
    tuxpaint,
)


def put_audio(path: Path, rate: int, channels: int = 1, tone: float = 10) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.tile(np.sin(np.arange(rate // 4) / tone)[:, None], (1, channels)) * 0.5
    soundfile.write(path, samples, rate)


def test_drascula_is_unsigned_bytes_and_its_effects_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / drascula.FOLDER
    folder.mkdir(parents=True)
    for name in ("VB46", "184", "S3", "F1"):
        (folder / f"{name}.ALS").write_bytes(bytes([0, 128, 192]))
    takes = list(drascula.convert(tmp_path))
    assert [(take.name, take.speaker) for take in takes] == [("184", "JohnHacker"), ("VB46", "VB")]
    assert takes[0].samples.tolist() == [-1.0, 0.0, 0.5]
    assert takes[0].rate == 11_025


def test_asterisk_prompts_come_with_their_text_and_without_tones(tmp_path: Path) -> None:
    voice = tmp_path / asterisk.SOUNDS / "en_US_f_Allison"
    for name in ("activated", "digits/day-0", "beep", "silence/1"):
        put_audio(voice / f"{name}.wav", 8_000)
    transcript = tmp_path / asterisk.TRANSCRIPT
    transcript.parent.mkdir(parents=True)
    transcript.write_bytes(
        gzip.compress(b"; Core Sounds: all\n\nactivated: Activated.\ndigits/day-0: Sunday\n")
    )
    takes = list(asterisk.english(tmp_path))
    assert [(take.name, take.speaker, take.text) for take in takes] == [
        ("activated", "Allison", "Activated."),
        ("digits/day-0", "Allison", "Sunday"),
    ]


def test_asterisk_in_another_language_reads_what_that_voice_says(tmp_path: Path) -> None:
    put_audio(tmp_path / asterisk.SOUNDS / "fr_CA_f_June/vm-and.wav", 8_000)
    put_audio(tmp_path / asterisk.SOUNDS / "it_IT_m_Carlo/vm-and.wav", 8_000)
    soundfile.write(tmp_path / asterisk.SOUNDS / "fr_CA_f_June/is.wav", np.zeros(0), 8_000)
    assert [(take.speaker, take.language) for take in asterisk.french(tmp_path)] == [("June", "fr")]


def test_prompts_by_other_speakers_bear_the_same_names(tmp_path: Path) -> None:
    folder = tmp_path / asterisk.SOUNDS / "fr"
    tone = np.sin(np.arange(4_000) / 5) * 0.5
    for name in ("vm-goodbye", "digits/1", "beep"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / f"{name}.gsm", tone, 8_000, format="RAW", subtype="GSM610")
    put_audio(tmp_path / asterisk.SOUNDS / "it_IT_f_Menardi/vm-goodbye.wav", 8_000)
    takes = list(asterisk_prompts.french(tmp_path))
    assert [(take.name, take.speaker, take.language) for take in takes] == [
        ("digits/1", "Armelle", "fr"),
        ("vm-goodbye", "Armelle", "fr"),
    ]
    assert takes[0].rate == 8_000
    assert abs(len(takes[0].samples) - len(tone)) < 320
    assert np.corrcoef(takes[0].samples[:3_900], tone[:3_900])[0, 1] > 0.9
    assert [(take.name, take.speaker) for take in asterisk_prompts.italian(tmp_path)] == [
        ("vm-goodbye", "Menardi")
    ]


def test_hedgewars_labels_are_file_names_of_english_voices(tmp_path: Path) -> None:
    for voice in ("British", "Default_pl"):
        put_audio(tmp_path / hedgewars.FOLDER / voice / "Traitor.ogg", 44_100, channels=2)
    (take,) = hedgewars.convert(tmp_path)
    assert (take.name, take.text, take.samples.ndim, take.rate) == ("British/Traitor", "traitor", 1, 44_100)


def test_the_russian_novel_comes_with_text_without_stress_marks(tmp_path: Path) -> None:
    folder = tmp_path / festvox_ru.FOLDER
    put_audio(folder / "wav/ru_0002.wav", 16_000)
    (folder / "etc").mkdir()
    (folder / "etc/txt.done.data").write_text('( ru_0002 "Она завела прядь вол+ос." )\n', encoding="utf-8")
    (take,) = festvox_ru.convert(tmp_path)
    assert (take.name, take.text) == ("ru_0002", "Она завела прядь волос.")


@pytest.mark.parametrize(
    ("name", "who"),
    [
        ("vit-m-hlava", "small fish"),
        ("m-obdivovat", "small fish"),
        ("ted2-m", "small fish"),
        ("v-chytra", "big fish"),
        ("vit-hs-klid1", "city"),
        ("help20", "city"),
    ],
)
def test_the_name_of_a_czech_clip_tells_the_fish(name: str, who: str) -> None:
    assert fillets_cs.speaker("city", name) == who


def test_czech_clips_are_grouped_by_level_and_come_with_their_subtitles(tmp_path: Path) -> None:
    for name in ("init-0", "kral", "vit-m-hlava"):
        put_audio(tmp_path / fillets_cs.SOUND_FOLDER / f"city/cs/{name}.ogg", 22_050)
    script = tmp_path / fillets_cs.SCRIPT_FOLDER / "city/dialogs_cs.lua"
    script.parent.mkdir(parents=True)
    script.write_text(
        'dialogId("init-0", "font_big", "What (a) head!")\ndialogStr(\n"Ta má hlavu!"\n)\n\n'
        'dialogId("kral", "font_statue", "Citizens!")\ndialogStr("Občané!")\n',
        encoding="utf-8",
    )
    assert [(take.name, take.speaker, take.group, take.text) for take in fillets_cs.convert(tmp_path)] == [
        ("city/init-0", "big fish", "city", "Ta má hlavu!"),
        ("city/kral", "city", "city", "Občané!"),
        ("city/vit-m-hlava", "small fish", "city", None),
    ]


def test_a_stamp_is_described_in_the_language_of_its_file(tmp_path: Path) -> None:
    folder = tmp_path / tuxpaint.FOLDER / "animals"
    for name, tone in (("crow_desc", 9), ("crow_desc_fr", 10), ("crow_desc_pt_BR", 11)):
        put_audio(folder / f"{name}.ogg", 44_100, channels=2, tone=tone)
    (folder / "crow.txt").write_text("A crow.\n\nfr.utf8=Un corbeau.\nde.utf8=\n", encoding="utf-8")
    takes = list(tuxpaint.convert(tmp_path))
    assert [(take.name, take.language, take.text) for take in takes] == [
        ("en/animals/crow", "en", "A crow."),
        ("fr/animals/crow", "fr", "Un corbeau."),
        ("pt_BR/animals/crow", "pt", None),
    ]
    assert {take.group for take in takes} == {"animals/crow"}


def test_a_recording_that_two_stamps_share_is_taken_once(tmp_path: Path) -> None:
    folder = tmp_path / tuxpaint.FOLDER
    for name in ("crow_desc_fr.ogg", "crow-1_desc_fr.ogg"):
        put_audio(folder / name, 44_100)
    (folder / "crow_desc_fr.ogg").write_bytes((folder / "crow-1_desc_fr.ogg").read_bytes())
    put_audio(folder / "crow.ogg", 44_100, tone=12)
    (take,) = tuxpaint.convert(tmp_path)
    assert (take.group, take.speaker, take.text) == ("crow-1", None, None)


def test_letters_and_syllables_come_with_what_is_said_and_without_czech(tmp_path: Path) -> None:
    folder = tmp_path / klettres.FOLDER
    for name in ("cs/alpha/a", "de/alpha/ae", "pt_BR/syllab/ba"):
        put_audio(folder / f"{name}.ogg", 22_050)
    (folder / "de/sounds.xml").write_text(
        '<!-- <sound name="X" file="pt_BR/syllab/ba.ogg" /> -->\n<sound name="Ä" file="de/alpha/ae.ogg" />\n',
        encoding="utf-8",
    )
    takes = list(klettres.convert(tmp_path))
    assert [(take.name, take.language, take.group, take.text) for take in takes] == [
        ("de/alpha/ae", "de", "de", "ä"),
        ("pt_BR/syllab/ba", "pt", "pt_BR", None),
    ]
