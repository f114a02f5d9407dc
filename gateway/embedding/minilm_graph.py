"""The graph of all-MiniLM-L6-v2 for onnxruntime, in int8, written from the model's own weights without torch.

Weights have one scale for each output of a layer, word vectors one for each word. What goes into a layer is quantized
while it runs, with one scale for the whole text (onnxruntime's DynamicQuantizeMatMul): dimensions that are much louder
than the others would leave them few of the 256 steps, so they are made quieter first, and their weights louder. The
graph takes the tokens of one text, ``ids``: (tokens,), and gives ``vector``: (384,), of unit length.

Cosine to the vectors of the whole model, mean of 600 short messages, and milliseconds for 50 tokens on one core without
VNNI: this graph 0.997 (99 % above 0.991, single words down to 0.96) and 9.7, the whole model 20; this without quieter
dimensions 0.992; onnxruntime's own quantizer 0.963 and 10.7, per channel 0.992 and 10.5; MatMulNBits in blocks of 32
0.9996 and 21. Per processor and load the times differ twofold: ``make bench`` measures this one's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Part of a kept graph's name: raise it when this module writes another graph.
GRAPH_VERSION = 2
TOKENS_MAX = 256  # what the model was trained for
DIMENSIONS = 384
_LAYERS, _HEADS, _HEAD = 6, 12, 32
_EPSILON = 1e-12
_STEPS = 63  # of weights, on each side of zero: with 127 the sums of processors without VNNI would be cut off
_OPSET, _IR_VERSION = 20, 9  # the first with Gelu; understood by onnxruntime since 1.17

# How often louder than the median dimension in 100 messages, damped much as SmoothQuant does (arXiv:2211.10438).
_LOUD_BEFORE_ATTENTION = {99: 3.0, 157: 2.3, 63: 2.2, 223: 2.0, 338: 1.9}
_LOUD_AFTER_ATTENTION = {99: 6.5, 223: 4.0, 63: 3.0, 127: 2.6, 157: 2.5, 267: 2.1, 338: 2.1}
_LOUD_INSIDE: tuple[Mapping[int, float], ...] = ({856: 7.0}, {607: 5.5}, {1004: 5.0, 218: 4.5}, {358: 4.5}, {}, {})

#: Reads one of the model's arrays by its name in the safetensors file.
Weights = Callable[[str], NDArray[np.float32]]


def graph(weights: Weights) -> bytes:
    """The model, serialized."""
    return _Graph(weights).serialized()


class _Graph:
    """Nodes and constants as they are added. A method adds some and gives the name of their result."""

    def __init__(self, weights: Weights) -> None:
        from onnx import NodeProto, TensorProto  # noqa: PLC0415 - a third of a second

        self._weights = weights
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []

    def serialized(self) -> bytes:
        from onnx import TensorProto, helper  # noqa: PLC0415

        states = self._words()
        for number in range(_LAYERS):
            states = self._layer(states, number)
        mean = self._node("ReduceMean", states, self._constant("rows", np.array([0])), keepdims=0)
        self._node("LpNormalization", mean, name="vector", axis=0, p=2)
        ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])
        vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, [DIMENSIONS])
        model = helper.make_model(
            helper.make_graph(self._nodes, "all-MiniLM-L6-v2", [ids], [vector], self._constants),
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid("com.microsoft", 1)],
            ir_version=_IR_VERSION,
        )
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    def _words(self) -> str:
        """Word vectors and places, normalised: (tokens, 384)."""
        from onnx import TensorProto  # noqa: PLC0415

        stored, scale = _int8(self._weights("embeddings.word_embeddings.weight"))
        whole = self._node("Cast", self._node("Gather", self._constant("words", stored), "ids"), to=TensorProto.FLOAT)
        scales = self._node("Gather", self._constant("words/scale", scale[:, None]), "ids")
        places = self._weights("embeddings.position_embeddings.weight")[:TOKENS_MAX]
        places = places + self._weights("embeddings.token_type_embeddings.weight")[0]
        length = self._node("Shape", "ids")
        place = self._node("Slice", self._constant("places", places), self._constant("start", np.array([0])), length)
        return self._normalised(self._node("Add", self._node("Mul", whole, scales), place), "embeddings.LayerNorm")

    def _layer(self, states: str, number: int) -> str:
        name = f"encoder.layer.{number}."
        context = self._attention(states, f"{name}attention.self.")
        told = self._linear(context, f"{name}attention.output.dense")
        states = self._normalised(self._node("Add", states, told), f"{name}attention.output.LayerNorm")
        inner = self._node("Gelu", self._linear(states, f"{name}intermediate.dense", _LOUD_AFTER_ATTENTION))
        told = self._linear(inner, f"{name}output.dense", _LOUD_INSIDE[number])
        return self._normalised(self._node("Add", states, told), f"{name}output.LayerNorm")

    def _attention(self, states: str, name: str) -> str:
        """Every token's mean over all, as each head weighs them; the three projections are one product."""
        query, key, value = (name + part for part in ("query", "key", "value"))
        weight = np.concatenate([self._weights(f"{part}.weight") for part in (query, key, value)])
        bias = np.concatenate([self._weights(f"{part}.bias") for part in (query, key, value)])
        weight[:DIMENSIONS] /= np.sqrt(_HEAD)
        bias[:DIMENSIONS] /= np.sqrt(_HEAD)
        apart = self._constant(f"{name}apart", np.array([0, 3, _HEADS, _HEAD]))
        three = self._node("Reshape", self._product(states, weight, bias, f"{name}all", _LOUD_BEFORE_ATTENTION), apart)
        by_head = self._node("Transpose", three, perm=[1, 2, 0, 3])
        queries, keys, values = (
            self._node("Gather", by_head, self._constant(f"{name}{part}", np.array(part)), axis=0) for part in range(3)
        )
        scores = self._node("MatMul", queries, self._node("Transpose", keys, perm=[0, 2, 1]))
        told = self._node("MatMul", self._node("Softmax", scores, axis=-1), values)
        together = self._constant(f"{name}together", np.array([-1, DIMENSIONS]))
        return self._node("Reshape", self._node("Transpose", told, perm=[1, 0, 2]), together)

    def _linear(self, states: str, name: str, loud: Mapping[int, float] | None = None) -> str:
        return self._product(states, self._weights(f"{name}.weight"), self._weights(f"{name}.bias"), name, loud)

    def _product(
        self,
        states: str,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],
        name: str,
        loud: Mapping[int, float] | None,
    ) -> str:
        """``weight``: (outputs, inputs); ``loud``: by how much some inputs are made quieter."""
        if loud:
            factors = np.ones(weight.shape[1], np.float32)
            factors[list(loud)] = list(loud.values())
            states = self._node("Mul", states, self._constant(f"{name}/quieter", 1 / factors))
            weight = weight * factors
        stored, scale = _int8(weight)
        return self._node(
            "DynamicQuantizeMatMul",
            states,
            self._constant(f"{name}/weight", stored.T),
            self._constant(f"{name}/scale", scale),
            self._constant(f"{name}/zero", np.zeros(len(scale), np.int8)),
            self._constant(f"{name}/bias", bias),
            domain="com.microsoft",
        )

    def _normalised(self, states: str, name: str) -> str:
        weight = self._constant(f"{name}/weight", self._weights(f"{name}.weight"))
        bias = self._constant(f"{name}/bias", self._weights(f"{name}.bias"))
        return self._node("LayerNormalization", states, weight, bias, axis=-1, epsilon=_EPSILON)

    def _constant(self, name: str, values: NDArray[np.generic]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415

        self._constants.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def _node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper  # noqa: PLC0415

        name = name or f"{kind}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name


def _int8(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Rows as whole numbers of -63 to 63, and the scale of each."""
    scale = (np.abs(rows).max(axis=1) / _STEPS).astype(np.float32)
    return np.round(rows / scale[:, None]).astype(np.int8), scale
