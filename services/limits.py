"""The limits of the services, each in one place: what a caller may ask for and how long a call may take."""

from __future__ import annotations

from wordspot.indexer.limits import (
    DEFAULT_PAGE_ITEMS,
    MAX_CLIP_SECONDS,
    MAX_CLIP_VALUES,
    MAX_CONTEXT_SECONDS,
    MAX_HITS,
    MAX_PAGE_ITEMS,
    MAX_PEAK_BUCKETS,
    MAX_QUERY_SECONDS,
    MAX_STREAMS,
    MAX_TAG_VALUE_CHARACTERS,
    MAX_TAGS,
    MAX_UPLOAD_BYTES,
)

__all__ = [  # of the archive, too
    "DEFAULT_PAGE_ITEMS",
    "MAX_CLIP_SECONDS",
    "MAX_CLIP_VALUES",
    "MAX_CONTEXT_SECONDS",
    "MAX_HITS",
    "MAX_PAGE_ITEMS",
    "MAX_PEAK_BUCKETS",
    "MAX_STREAMS",
    "MAX_TAGS",
    "MAX_TAG_VALUE_CHARACTERS",
    "MAX_UPLOAD_BYTES",
]

AUTO = "auto"
"""The value of an encoder, a device or a kind of index by which the services choose."""

# Messages.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_CHUNK_BYTES = 256 * 1024
MAX_STREAMS_PER_CONNECTION = 256
MAX_STATUS_TEXT_BYTES = 800  # a status travels in headers, of which HTTP/2 peers accept 8 KB

# Names, texts and lists of a message.
MAX_NAME_CHARACTERS = 255  # of names, ids, hashes, words
MAX_PATH_BYTES = 4_096  # of paths, and of labels and file names, which may be paths
MAX_PAGE_TOKEN_CHARACTERS = 1_024
MAX_CONDITION_CHARACTERS = 100_000  # such as a document of which a title is wanted
MAX_EXAMPLE_CHARACTERS = 10_000  # of a text among several
MAX_CHARACTERS_PER_CALL = 1_000_000  # of such texts together
MAX_FILES_PER_CALL = 1_000
MAX_UPDATES_PER_CALL = 1_000  # of recordings
MAX_VERDICTS_PER_CALL = 1_000
MAX_RECORDINGS_PER_CALL = 100_000  # to which a search is confined, or which it leaves out
MAX_ITEMS_PER_FIELD = 1_024  # of any other list of messages or texts

DEFAULT_PEAK_BUCKETS = 1_000

# What calls under way hold together, in each server.
MAX_HELD_BYTES = 512 * 1024 * 1024

# Search.
DEFAULT_HITS = 10
MAX_STORED_HITS = 20_000  # in one answer, of at most MAX_MESSAGE_BYTES
MAX_EXAMPLES = 16  # of one query
MAX_BATCH_BYTES = 64 * 1024 * 1024  # of queries, a line each, that are piped
MAX_QUERY_BYTES = 32 * 1024 * 1024
MAX_HELD_QUERY_BYTES = 256 * 1024 * 1024  # of all calls together
MAX_LABEL_CHARACTERS = 100  # of a typed query, so that an error keeps its reason
MAX_STRETCH_SECONDS = 60.0  # of a file, sent as a query
MAX_QUERY_FILE_SECONDS = 120.0  # of a file, read for such a stretch and its context

# Files of other programs.
MAX_FILE_NAME_BYTES = 255  # of the usual file systems
MAX_TIER_FILE_BYTES = 64 * 1024 * 1024  # of annotations

# Speech synthesis.
MAX_SPEAKERS, DEFAULT_SPEAKERS = 8, 4
MAX_TEXT_CHARACTERS = 100
MAX_LANGUAGE_CHARACTERS = 35
MAX_UTTERANCE_SECONDS = MAX_QUERY_SECONDS

# Sound for segmentation and embedding.
MAX_SECTION_SECONDS = 300
MAX_SECTION_REGIONS = 4_096
MAX_SECTION_SPANS = 30_000  # as many as there are in 300 s where spans lie closest
MAX_REGIONS_ONLY_SECONDS = 600
MAX_REQUESTS_AHEAD = 64  # messages of at most 4 s each that wait to be sent

# Models.
MAX_EXAMPLES_PER_CALL = 1_024
MAX_EXAMPLES_AT_ONCE = 256  # of a call that run through a model together
MAX_EXAMPLE_BYTES_PER_CALL = 128 * 1024 * 1024  # of examples as float32
MAX_TENSOR_DIMENSIONS = 16
MAX_TENSORS_PER_CALL = 16
MAX_PARAMETERS_PER_CALL = 64
MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e3  # logits divided by these are still numbers

# Training from an archive.
MAX_TRAINING_SPANS = 2_000_000  # about 20 hours of speech
MAX_ADAPTATION_SECONDS = 4 * 3_600.0  # of speech, 80 MB an hour
COMPARED_SECONDS = 60.0  # of it, on which the exported network is compared with the trained one

# Deadlines and retries.
MAX_PEER_CALL_SECONDS = 120.0  # for one section, where the caller sets no deadline
MAX_MODEL_CALL_SECONDS = 600.0
MAX_WORKER_START_SECONDS = 60.0  # of a process that synthesises speech
HEARTBEAT_SECONDS = 10.0  # in streams between services, which end streams that are idle
MAX_UNAVAILABLE_ATTEMPTS = 3
UNAVAILABLE_DELAY_S = 1.0  # before an upload is repeated
ENCODER_TIMEOUT_S = 600.0  # for an encoder to be loaded, and its weights to be downloaded
INTERRUPT_TIMEOUT_S = 10.0  # for indexing that the keyboard has interrupted to commit what is done
RETRY_TIMEOUT_S = 30.0  # for which a client repeats a call that was turned away
WATCH_AGAIN_S = 0.5  # until an operation is watched anew whose stream a full server ended
RETRY_DELAYS_S = (0.2, 0.5, 1.0, 2.0)  # between attempts at a service that is busy

# HTTP.
MAX_HEAD_BYTES = 32 * 1024  # of a request, its headers together
MAX_HEADERS = 100
MAX_REQUESTS = 512  # under way at once
MAX_MOMENT_SECONDS = 1e7  # of a recording
MAX_JSON_BYTES = 1024 * 1024  # of a body, unless another limit is named
MAX_MEDIA_BODY_BYTES = 64 * 1024 * 1024  # of a body with sounds or pictures
MAX_QUERIES_PER_REQUEST = 1_000
MAX_QUERY_TEXT_CHARACTERS = 1_000  # of the label of a query
MAX_OPEN_UPLOADS = 1_000
MAX_SPOOL_BYTES = 64 * 2**30  # of files whose uploads are under way
MIN_SPOOL_FREE_BYTES = 256 * 2**20  # that uploads leave on their disk
UPLOAD_EXPIRY_S = 24 * 3_600.0  # since the last piece
