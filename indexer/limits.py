"""The limits of one request that the archive enforces; beyond them it raises InvalidInput.

Sizes of batches and caches are not among them: these stay beside the code that they tune.
"""

from __future__ import annotations

MAX_HITS = 10_000  # of a search
MAX_CANDIDATES = 100_000  # that the first stage of a search hands on
MIN_QUERY_SECONDS, MAX_QUERY_SECONDS = 0.1, 10.0  # of speech
MAX_CONTEXT_SECONDS = 5.0  # of a query, on each side of the speech

MAX_PAGE_ITEMS, DEFAULT_PAGE_ITEMS = 1_000, 100
MAX_REQUEST_ID_CHARACTERS = 128
MAX_TAGS = 32  # of a recording
MAX_TAG_KEY_CHARACTERS, MAX_TAG_VALUE_CHARACTERS = 64, 256
MAX_VERDICT_QUERY_BYTES, MAX_AUTHOR_CHARACTERS = 4_096, 255
MAX_ARCHIVE_NAME_CHARACTERS = 64
TENANT_SEPARATOR = ":"  # behind the tenant in the name of its archive
MAX_CLIP_SECONDS = 60.0
MAX_CLIP_VALUES = 1 << 24  # samples times channels, of a clip at the original rate
MAX_PEAK_BUCKETS = 100_000  # of a waveform
MAX_RECORDING_SECONDS = 24 * 3600.0  # unless the settings say otherwise
MAX_UPLOAD_BYTES = 8 * 2**30  # likewise
MAX_STREAMS = 64  # channels, times tracks, of a recording that are searched by themselves
