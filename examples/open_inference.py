"""Calls the model service by the Open Inference Protocol, in which each capability of a model is a model.

    wordspot serve all &
    python examples/open_inference.py --address 127.0.0.1:50051

Any client of the protocol does the same, Triton's among them.
"""

from __future__ import annotations

import argparse

import grpc
import numpy as np

from wordspot.oip import inference_pb2 as pb
from wordspot.oip import inference_pb2_grpc


def integer(name: str, datatype: str, value: int) -> tuple[pb.ModelInferRequest.InferInputTensor, bytes]:
    """A tensor (1,) and its bytes, little-endian."""
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=[1])
    return tensor, np.array([value], {"INT64": "<i8", "UINT64": "<u8"}[datatype]).tobytes()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--address", default="127.0.0.1:50051", help="host:port of `wordspot serve`")
    options = parser.parse_args()

    with grpc.insecure_channel(options.address) as channel:
        service = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        server = service.ServerMetadata(pb.ServerMetadataRequest(), timeout=30)
        print(f"{server.name} {server.version}")

        name = "digits-vae:sample"
        metadata = service.ModelMetadata(pb.ModelMetadataRequest(name=name), timeout=30)
        for tensor in (*metadata.inputs, *metadata.outputs):
            print(f"{tensor.name:10} {tensor.datatype:7} {list(tensor.shape)}")

        tensors, contents = zip(integer("count", "INT64", 4), integer("seed", "UINT64", 7), strict=True)
        request = pb.ModelInferRequest(model_name=name, inputs=tensors, raw_input_contents=contents)
        answer = service.ModelInfer(request, timeout=60)
        pictures = np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(answer.outputs[0].shape)
        print(f"drew {pictures.shape}, {pictures.mean():.2f} of full brightness on average")


if __name__ == "__main__":
    main()
