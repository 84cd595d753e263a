"""Encoders of speech without torch: front ends in numpy, networks in onnxruntime.

`load` gives an encoder of an artifact that holds `model.onnx`; `wordspot.models.export` writes that file.
Nothing here imports torch, so that indexing and searching on a CPU do not either.
"""
