"""What a program with Triton's own client does; its environment's interpreter runs it with the address."""

from __future__ import annotations

import json
import queue
import sys
from typing import Any

import numpy as np
import tritonclient.grpc as triton


def tensor(name: str, values: np.ndarray, datatype: str) -> Any:
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def encode(client: Any, values: np.ndarray, name: str = "pictures", datatype: str = "FP32") -> Any:
    return client.infer("small-vae:encode", [tensor(name, values, datatype)])


def drawing_of(count: int) -> list[Any]:
    return [
        tensor("count", np.array([count], np.int64), "INT64"),
        tensor("seed", np.array([7], np.uint64), "UINT64"),
    ]


def refused(call: Any) -> str:
    try:
        call()
    except triton.InferenceServerException as error:
        return f"{error.status()} {error.message()}"
    return "answered"


def main(address: str) -> None:
    client = triton.InferenceServerClient(address)
    pictures = np.random.default_rng(1).random((3, 1, 8, 6), np.float32)
    told: dict[str, Any] = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "server": client.get_server_metadata(as_json=True),
        "index": client.get_model_repository_index(as_json=True)["models"],
        "metadata": client.get_model_metadata("small-vae:sample", as_json=True),
        "config": client.get_model_config("small-vae:encode", as_json=True)["config"],
        "ready_before": client.is_model_ready("small-vae:sample"),
    }
    client.load_model("small-vae")
    told["ready_after"] = client.is_model_ready("small-vae:sample")
    codes = client.infer("small-vae:encode", [tensor("pictures", pictures, "FP32")], request_id="one")
    told["codes"] = codes.as_numpy("codes").tolist()
    told["id"] = codes.get_response().id
    drawing = drawing_of(4)
    first, second = (client.infer("small-vae:sample", drawing).as_numpy("pictures") for _ in range(2))
    told["drawn"], told["again"] = list(first.shape), bool((first == second).all())
    chances = client.infer("small-mlp:classify", [tensor("pictures", pictures, "FP32")])
    told["sums"] = chances.as_numpy("probabilities").sum(axis=1).tolist()
    audio = np.random.default_rng(2).standard_normal(16_000).astype(np.float32)
    spans = np.array([[0, 50], [20, 90]], np.int32)
    heard = client.infer(
        "naive:embed",
        [tensor("audio", audio, "FP32"), tensor("spans", spans, "INT32")],
        outputs=[triton.InferRequestedOutput("vectors")],
    )
    told["vectors"] = np.linalg.norm(heard.as_numpy("vectors"), axis=1).tolist()

    words = np.array(["king", "Größe"], np.object_)
    told["words"] = (
        client.infer("small-words:encode", [tensor("words", words, "BYTES")]).as_numpy("codes").tolist()
    )
    near = client.infer(
        "small-words:neighbours",
        [tensor("words", words[:1], "BYTES"), tensor("count", np.array([2], np.int64), "INT64")],
    )
    told["neighbours"] = [word.decode() for word in near.as_numpy("words")]
    told["similarities"] = near.as_numpy("similarities").tolist()
    hidden = np.zeros((3, 1, 8, 6), np.bool_)
    hidden[:, :, :4] = True
    completing = [
        tensor("pictures", pictures, "FP32"),
        tensor("known", hidden, "BOOL"),
        tensor("seed", np.array([1], np.uint64), "UINT64"),
    ]
    completed = client.infer("small-vae:complete", completing).as_numpy("pictures")
    told["kept"] = bool(np.array_equal(completed[:, :, :4], pictures[:, :, :4]))
    wanted = {"temperature": 0.5, "condition": "high"}
    sounds = client.infer("sound:sample", drawing_of(2), parameters=wanted, priority=1, timeout=10_000_000)
    told["heard"] = list(sounds.as_numpy("sounds").shape)
    told["softest"] = float(sounds.as_numpy("sounds").min())
    poems = client.infer("poem:sample", drawing_of(2), parameters={"condition": "5x4"}).as_numpy("texts")
    told["poems"] = [poem.decode() for poem in poems]
    told["versions"] = client.get_model_metadata("small-mlp:classify", as_json=True)["versions"]
    told["by_version"] = [
        client.infer("small-mlp:classify", [tensor("pictures", pictures, "FP32")], model_version=version)
        .as_numpy("probabilities")[0]
        .tolist()
        for version in told["versions"]
    ]

    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for seed in (1, 2):
        drawing[1].set_data_from_numpy(np.array([seed], np.uint64))
        client.async_stream_infer("small-vae:sample", drawing, request_id=str(seed))
    client.async_stream_infer("small-vae:sample", [drawing[0]])
    streamed = [answers.get(timeout=30) for _ in range(3)]
    drawing[1].set_data_from_numpy(np.array([3], np.uint64))
    client.async_stream_infer("small-vae:generate", drawing)
    walked = [answers.get(timeout=30)[0] for _ in range(5)]
    client.async_stream_infer("poem:generate", drawing_of(3), parameters={"temperature": 2.0})
    written = [answers.get(timeout=30)[0] for _ in range(4)]
    half = np.zeros((1, 3, 5, 6), np.float32)
    half[..., 3:] = 1
    shown = [tensor("pictures", half, "FP32"), drawing_of(1)[1]]
    client.async_stream_infer("teller:describe", shown)
    described = [answers.get(timeout=30)[0] for _ in range(3)]
    client.stop_stream()
    told["written"] = [result.as_numpy("texts")[0].decode() for result in written[:-1]]
    told["described"] = [result.as_numpy("texts")[0].decode() for result in described[:-1]]
    told["attention"] = [result.as_numpy("attention").tolist() for result in described[:-1]]
    told["walked"] = [
        [list(shape) for shape in (output.shape for output in result.get_response().outputs)]
        for result in walked
    ]
    told["final"] = [
        result.get_response().parameters["triton_final_response"].bool_param for result in walked
    ]
    told["streamed"] = [
        result.get_response().id if error is None else error.message() for result, error in streamed
    ]
    told["statistics"] = client.get_inference_statistics("small-vae:sample", as_json=True)["model_stats"][0]
    told["refused"] = {
        "unknown": refused(lambda: client.infer("cats:sample", drawing)),
        "version": refused(lambda: client.get_model_metadata("small-vae:sample", "2")),
        "name": refused(lambda: encode(client, pictures, name="x")),
        "type": refused(lambda: encode(client, pictures.astype(np.float64), datatype="FP64")),
        "shape": refused(lambda: encode(client, pictures[:, :, :5])),
        "nan": refused(lambda: encode(client, pictures * np.nan)),
        "output": refused(
            lambda: client.infer(
                "small-vae:encode",
                [tensor("pictures", pictures, "FP32")],
                outputs=[triton.InferRequestedOutput("cats")],
            )
        ),
        "empty": refused(lambda: encode(client, pictures[:0])),
        "stream": refused(lambda: client.infer("small-vae:generate", drawing)),
        "word": refused(
            lambda: client.infer(
                "small-words:neighbours",
                [
                    tensor("words", words[:1] + "x", "BYTES"),
                    tensor("count", np.array([2], np.int64), "INT64"),
                ],
            )
        ),
        "option": refused(
            lambda: client.infer("small-vae:sample", drawing, parameters={"condition": "high"})
        ),
        "heat": refused(lambda: client.infer("sound:sample", drawing, parameters={"temperature": -1})),
        "upload": refused(lambda: client.load_model("small-vae", config="{}")),
    }
    client.unload_model("small-vae")
    told["ready_unloaded"] = client.is_model_ready("small-vae:sample")
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
