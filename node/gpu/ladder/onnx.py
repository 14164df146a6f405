"""Just enough of the ONNX format to hand our model to a runtime: protocol buffers, written out by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from node.gpu.ladder.model import Layer, QuantisedLayer

_IR_VERSION, _OPSET = 8, 13
FLOAT, UINT8, INT8, INT32 = 1, 2, 3, 6
_TYPES = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int32": INT32}


class Graph:
    """A graph in the making; names are those of values."""

    def __init__(self) -> None:
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._inputs: list[bytes] = []
        self._outputs: list[bytes] = []

    def input(self, name: str, kind: int, shape: tuple[int, ...]) -> None:
        """A value that is given."""
        self._inputs.append(_field(11, _value(name, kind, shape)))

    def output(self, name: str, kind: int, shape: tuple[int, ...]) -> None:
        """A value that is answered."""
        self._outputs.append(_field(12, _value(name, kind, shape)))

    def constant(self, name: str, values: NDArray[Any]) -> None:
        """A value that is part of the model."""
        dims = b"".join(_number(1, size) for size in values.shape)
        raw = np.ascontiguousarray(values).tobytes()
        tensor = dims + _number(2, _TYPES[values.dtype.name]) + _text(8, name) + _field(9, raw)
        self._constants.append(_field(5, tensor))

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: int) -> None:
        """An operation."""
        body = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
        body += _text(3, outputs[0]) + _text(4, kind)
        for name, value in attributes.items():
            body += _field(5, _text(1, name) + _number(3, value) + _number(20, 2))
        self._nodes.append(_field(1, body))

    def model(self) -> bytes:
        """The file's bytes."""
        graph = b"".join((*self._nodes, _text(2, "model"), *self._constants, *self._inputs, *self._outputs))
        opset = _text(1, "") + _number(2, _OPSET)
        return _number(1, _IR_VERSION) + _field(7, graph) + _field(8, opset)


def model_fp32(layers: list[Layer], batch: int) -> bytes:
    """The model as a graph: `x` in, `y` out."""
    graph, value = _begin(batch, layers[0].weights.shape[0])
    for index, layer in enumerate(layers):
        graph.constant(f"w{index}", layer.weights)
        graph.node("MatMul", [value, f"w{index}"], [f"p{index}"])
        value = _rectified(graph, index, f"p{index}", layer.rectified)
    return _end(graph, value, batch, layers[-1].weights.shape[1])


def model_int8(layers: list[QuantisedLayer], batch: int) -> bytes:
    """The quantised model, in the pattern that runtimes know as dynamic quantisation."""
    graph, value = _begin(batch, layers[0].weights.shape[0])
    graph.constant("zero", np.zeros((), dtype=np.int8))
    for index, layer in enumerate(layers):
        whole, step, zero = f"q{index}", f"s{index}", f"z{index}"
        graph.constant(f"w{index}", layer.weights)
        graph.constant(f"c{index}", layer.scales)
        graph.node("DynamicQuantizeLinear", [value], [whole, step, zero])
        graph.node("MatMulInteger", [whole, f"w{index}", zero, "zero"], [f"i{index}"])
        graph.node("Cast", [f"i{index}"], [f"f{index}"], to=FLOAT)
        graph.node("Mul", [step, f"c{index}"], [f"m{index}"])
        graph.node("Mul", [f"f{index}", f"m{index}"], [f"p{index}"])
        value = _rectified(graph, index, f"p{index}", layer.rectified)
    return _end(graph, value, batch, layers[-1].weights.shape[1])


def product(kind: int, size: int, second: NDArray[Any]) -> bytes:
    """One product of square matrices: `x` in, `y` out; `second` is constant, as weights are."""
    graph = Graph()
    graph.input("x", kind, (size, size))
    graph.constant("w", second)
    graph.node("MatMul" if kind == FLOAT else "MatMulInteger", ["x", "w"], ["y"])
    graph.output("y", FLOAT if kind == FLOAT else INT32, (size, size))
    return graph.model()


def _begin(batch: int, width: int) -> tuple[Graph, str]:
    graph = Graph()
    graph.input("x", FLOAT, (batch, width))
    return graph, "x"


def _rectified(graph: Graph, index: int, value: str, wanted: bool) -> str:
    if not wanted:
        return value
    graph.node("Relu", [value], [f"r{index}"])
    return f"r{index}"


def _end(graph: Graph, value: str, batch: int, width: int) -> bytes:
    graph.node("Identity", [value], ["y"])
    graph.output("y", FLOAT, (batch, width))
    return graph.model()


def _value(name: str, kind: int, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(_field(1, _number(1, size)) for size in shape)
    tensor = _number(1, kind) + _field(2, dims)
    return _text(1, name) + _field(2, _field(1, tensor))


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, body: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(body)) + body


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())
