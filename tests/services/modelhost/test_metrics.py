from __future__ import annotations

import urllib.request
from pathlib import Path

import numpy as np
import torch
from prometheus_client.parser import text_string_to_metric_families

from wordspot import Models
from wordspot.models import artifact
from wordspot.models.artifact import TrainingRecord
from wordspot.models.generators.vae import Vae, VaeConfig
from wordspot.services.embedded import EmbeddedServer, EmbeddedSettings
from wordspot.services.modelhost import metrics
from wordspot.services.modelhost.statistics import Statistics
from wordspot.services.settings import ModelHostSettings, SearcherSettings, ServerSettings


def read(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [f"{key}={value}" for key, value in sorted(sample.labels.items())]
            found[" ".join([sample.name, *labels])] = sample.value
    return found


def test_calls_are_counted_for_prometheus(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = Vae(VaeConfig(height=8, width=6, hidden=(16,), code=4))
    artifact.save(vae, TrainingRecord("small"), tmp_path / "models/small")
    settings = EmbeddedSettings(
        modelhost=ModelHostSettings(home=tmp_path, device="cpu"),
        server=ServerSettings(metrics_port=0),
        searcher=SearcherSettings(home=tmp_path),
    )
    with EmbeddedServer(settings) as embedded, Models(embedded.address) as models:
        assert embedded.metrics_port
        for count in (3, 3, 20):
            models.sample("small", count, seed=1)
        models.encode("small", np.zeros((2, 8, 6), np.uint8))
        found = read(embedded.metrics_port)
    of = "capability=sample model=small"
    assert found[f"wordspot_requests_total {of} outcome=answered"] == 3
    assert found[f"wordspot_requests_total {of} outcome=failed"] == 0
    assert found[f"wordspot_examples_total {of}"] == 26
    assert found[f"wordspot_latency_seconds_count {of}"] == 3
    assert found[f"wordspot_latency_seconds_bucket {of.replace(' model', ' le=+Inf model')}"] == 3
    assert 0 < found[f"wordspot_latency_seconds_sum {of}"] < 60
    assert 0 <= found[f"wordspot_queue_seconds_sum {of}"] <= found[f"wordspot_latency_seconds_sum {of}"]
    assert found[f"wordspot_batch_examples_count {of}"] == 3
    assert found[f"wordspot_batch_examples_sum {of}"] == 26
    assert found[f"wordspot_batch_examples_bucket {of.replace(' model', ' le=4.0 model')}"] == 2
    assert found["wordspot_requests_total capability=encode model=small outcome=answered"] == 1


def test_failures_are_counted_apart() -> None:
    statistics = Statistics()
    observe = statistics.observer("small", str, lambda work: 5)
    observe(["sample"], [2_000_000], 1_000_000, False)
    observe(["sample", "encode"], [1_000, 2_000], 3_000_000_000, True)
    figures = statistics.of("small", "sample")
    assert (figures.failed.count, figures.failed.ns) == (1, 3_000_000)
    assert (figures.answered.count, figures.examples, dict(figures.batches)[5].count) == (1, 5, 1)
    assert figures.latencies.index(1) == metrics.LATENCIES_S.index(5.0)
    assert statistics.of("small", "encode").answered.count == 1
