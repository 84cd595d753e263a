"""LitServe with an artifact of ours: what the serving benchmark compares with. argv: artifact, port, size."""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve
import numpy as np
import torch

from wordspot.models import registry

DELAY_S = 0.002


class Encoding(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model: Any = registry.load(sys.argv[1])[0].to(device)

    def decode_request(self, request: dict[str, str]) -> torch.Tensor:
        values = np.frombuffer(base64.b64decode(request["pictures"]), np.float32)
        return torch.from_numpy(values.reshape(1, 28, 28).copy())

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    @torch.inference_mode()
    def predict(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.model.encode(pictures if pictures.ndim == 4 else pictures[None])

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        return list(output)

    def encode_response(self, code: torch.Tensor) -> dict[str, str]:
        return {"codes": base64.b64encode(code.numpy().tobytes()).decode()}


if __name__ == "__main__":
    api = Encoding(max_batch_size=int(sys.argv[3]), batch_timeout=DELAY_S)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning")
