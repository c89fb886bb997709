"""A SavedModel loaded as a model server loads it: by TensorFlow's C library, without importing TensorFlow.

`import tensorflow` takes seconds and half a gigabyte, and running a finished graph needs none of it. The functions that
are called here are TensorFlow's public C API (`c_api.h` and `tf_tstring.h` of the installed package), which is kept
stable for other languages' bindings. The library is the one that belongs to the installed `tensorflow` package.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from components._shared.errors import CorruptError, ModelError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIGNATURE = "serving_default"

_STRING = 7
_DTYPE_OF = {1: "float32", 2: "float64", 3: "int32", 7: "string", 9: "int64", 10: "bool"}
_NUMBER_OF = {name: number for number, name in _DTYPE_OF.items()}
_TSTRING_BYTES = 24
# ConfigProto{gpu_options{allow_growth: true}}: several steps may share a GPU.
_CONFIG = b"\x32\x02\x20\x01"


@dataclass(frozen=True)
class Strings:
    """Text values of a column, each distinct value once.

    Attributes:
        values: Distinct values, UTF-8.
        codes: Position in `values` for each row.
    """

    values: tuple[bytes, ...]
    codes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True)
class TensorSpec:
    """A signature's input or output.

    Attributes:
        tensor: Its name in the graph, such as `serving_default_carrier:0`.
        dtype: `float32`, `int64`, `string` …
        shape: Sizes, -1 where any size goes; None: not known.
    """

    tensor: str
    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Signature:
    """The `serving_default` signature: argument name → input, result name → output."""

    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]


def read_signature(model_dir: Path) -> Signature:
    """The `serving_default` signature, read from `saved_model.pb` without loading the model.

    Raises:
        NotFoundError: There is no SavedModel.
        CorruptError: `saved_model.pb` is not one.
        ModelError: It has no such signature.
    """
    from google.protobuf.message import DecodeError

    path = model_dir / "saved_model.pb"
    if not path.is_file():
        raise NotFoundError("There is no SavedModel here", where=str(path))
    message = _saved_model_message()()
    try:
        message.ParseFromString(path.read_bytes())
    except DecodeError as cause:
        raise CorruptError("This is not a SavedModel", where=str(path)) from cause
    for graph in message.meta_graphs:
        if SIGNATURE in graph.signature_def:
            found = graph.signature_def[SIGNATURE]
            return Signature(inputs=_specs(found.inputs), outputs=_specs(found.outputs))
    raise ModelError(f"The SavedModel has no signature '{SIGNATURE}'", where=str(path))


class SavedModel:
    """A loaded SavedModel that answers its `serving_default` signature. Use as a context manager.

    Args:
        model_dir: The SavedModel's directory.

    Raises:
        NotFoundError, CorruptError: There is no SavedModel, or it is not one.
        ModelError: TensorFlow does not load it.
    """

    def __init__(self, model_dir: Path) -> None:
        self.signature = read_signature(model_dir)
        self._where = str(model_dir)
        self._library = library = _library()
        self._status = library.TF_NewStatus()
        self._graph = library.TF_NewGraph()
        options = library.TF_NewSessionOptions()
        library.TF_SetConfig(options, _CONFIG, len(_CONFIG), self._status)
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = library.TF_LoadSessionFromSavedModel(
            options, None, os.fsencode(model_dir), tags, 1, self._graph, None, self._status
        )
        library.TF_DeleteSessionOptions(options)
        try:
            self._check("The SavedModel does not load")
        except ModelError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the model; it cannot answer afterwards."""
        library = self._library
        if self._session:
            library.TF_CloseSession(self._session, self._status)
            library.TF_DeleteSession(self._session, self._status)
            self._session = None
        if self._graph:
            library.TF_DeleteGraph(self._graph)
            self._graph = None
        if self._status:
            library.TF_DeleteStatus(self._status)
            self._status = None

    def answer(self, inputs: Mapping[str, NDArray[Any] | Strings]) -> dict[str, NDArray[Any]]:
        """Runs the signature on a batch.

        Args:
            inputs: Argument → one value per row; every argument of the signature.

        Returns:
            Result name → array, its first axis the rows.

        Raises:
            ModelError: An argument is missing, unknown or of the wrong type, or the graph raised.
        """
        wrong = set(self.signature.inputs) ^ set(inputs)
        if wrong:
            raise ModelError(
                f"The model's arguments and those given differ: {', '.join(sorted(wrong))}", where=self._where
            )
        tensors: list[Any] = []
        kept: list[Any] = []
        library = self._library
        try:
            feeds = (_Output * len(inputs))()
            for position, (name, values) in enumerate(inputs.items()):
                feeds[position] = self._output(self.signature.inputs[name].tensor)
                tensors.append(_string_tensor(values, kept) if isinstance(values, Strings) else _tensor(values, kept))
            fetches = (_Output * len(self.signature.outputs))()
            for position, spec in enumerate(self.signature.outputs.values()):
                fetches[position] = self._output(spec.tensor)
            results = (ctypes.c_void_p * len(fetches))()
            library.TF_SessionRun(
                self._session, None,
                feeds, (ctypes.c_void_p * len(tensors))(*tensors), len(tensors),
                fetches, results, len(fetches),
                None, 0, None, self._status,
            )  # fmt: skip
            self._check("The model does not answer")
            found = {}
            for name, tensor in zip(self.signature.outputs, results, strict=True):
                found[name] = _array(tensor, name, self._where)
                library.TF_DeleteTensor(tensor)
            return found
        finally:
            for tensor in tensors:
                library.TF_DeleteTensor(tensor)
            del kept

    def _output(self, tensor: str) -> _Output:
        name, _, index = tensor.partition(":")
        operation = self._library.TF_GraphOperationByName(self._graph, name.encode())
        if not operation:
            raise ModelError(f"The graph has no operation {name!r} that its signature names", where=self._where)
        return _Output(operation, int(index or 0))

    def _check(self, what: str) -> None:
        if self._library.TF_GetCode(self._status):
            message = self._library.TF_Message(self._status).decode(errors="replace")
            raise ModelError(f"{what}: {message.strip()}", where=self._where)


class _Output(ctypes.Structure):
    """`TF_Output`: an operation and which of its results."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


_Deallocator = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


# Tensors borrow numpy's memory, which outlives the call: there is nothing to free.
_keep = _Deallocator(lambda data, length, argument: None)


def _tensor(values: NDArray[Any], kept: list[Any]) -> int:
    import numpy as np

    if values.dtype.name not in _NUMBER_OF:
        raise ModelError(f"A model has no inputs of type {values.dtype.name}")
    array = np.ascontiguousarray(values).reshape(-1, 1)
    kept.append(array)
    return _new_tensor(_NUMBER_OF[array.dtype.name], len(array), array.ctypes.data, array.nbytes)


def _string_tensor(strings: Strings, kept: list[Any]) -> int:
    """Makes each distinct value once, as a view of its bytes; the rows are copies of the views."""
    import numpy as np

    library = _library()
    distinct = np.zeros(len(strings.values), dtype=f"V{_TSTRING_BYTES}")
    for position, value in enumerate(strings.values):
        address = distinct.ctypes.data + position * _TSTRING_BYTES
        library.TF_StringInit(address)
        library.TF_StringAssignView(address, value, len(value))
    rows = np.ascontiguousarray(distinct[strings.codes])
    kept += [strings.values, rows]
    return _new_tensor(_STRING, len(rows), rows.ctypes.data, rows.nbytes)


def _new_tensor(dtype: int, rows: int, address: int, size: int) -> int:
    shape = (ctypes.c_int64 * 2)(rows, 1)
    tensor: int = _library().TF_NewTensor(dtype, shape, 2, address, size, _keep, None)
    return tensor


def _array(tensor: int, name: str, where: str) -> NDArray[Any]:
    import numpy as np

    library = _library()
    dtype = _DTYPE_OF.get(library.TF_TensorType(tensor), "")
    if dtype in ("", "string"):
        raise ModelError(f"The model's output {name!r} is not made of numbers", where=where)
    shape = tuple(library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor)))
    content = ctypes.string_at(library.TF_TensorData(tensor), library.TF_TensorByteSize(tensor))
    return np.frombuffer(content, dtype=np.dtype(dtype)).reshape(shape)


@cache
def _library() -> Any:
    found = importlib.util.find_spec("tensorflow")
    if found is None or found.origin is None:
        raise ModelError("TensorFlow is not installed here", fix="run this step in the tensorflow environment")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    folder = Path(found.origin).parent
    paths = sorted([*folder.glob("libtensorflow_cc.so.*"), *folder.glob("libtensorflow_cc.*.dylib")])
    if not paths:
        raise ModelError("TensorFlow's C library is missing", where=str(folder), fix="install the tensorflow package")
    library = ctypes.CDLL(str(paths[0]))
    pointer, size, integer, text = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p
    for name, result, arguments in (
        ("TF_NewStatus", pointer, []),
        ("TF_DeleteStatus", None, [pointer]),
        ("TF_GetCode", integer, [pointer]),
        ("TF_Message", text, [pointer]),
        ("TF_NewGraph", pointer, []),
        ("TF_DeleteGraph", None, [pointer]),
        ("TF_NewSessionOptions", pointer, []),
        ("TF_DeleteSessionOptions", None, [pointer]),
        ("TF_SetConfig", None, [pointer, text, size, pointer]),
        ("TF_LoadSessionFromSavedModel", pointer,
         [pointer, pointer, text, pointer, integer, pointer, pointer, pointer]),
        ("TF_CloseSession", None, [pointer, pointer]),
        ("TF_DeleteSession", None, [pointer, pointer]),
        ("TF_GraphOperationByName", pointer, [pointer, text]),
        ("TF_SessionRun", None,
         [pointer, pointer, pointer, pointer, integer, pointer, pointer, integer, pointer, integer, pointer, pointer]),
        ("TF_NewTensor", pointer, [integer, pointer, integer, pointer, size, _Deallocator, pointer]),
        ("TF_DeleteTensor", None, [pointer]),
        ("TF_TensorType", integer, [pointer]),
        ("TF_NumDims", integer, [pointer]),
        ("TF_Dim", ctypes.c_int64, [pointer, integer]),
        ("TF_TensorData", pointer, [pointer]),
        ("TF_TensorByteSize", size, [pointer]),
        ("TF_StringInit", None, [pointer]),
        ("TF_StringAssignView", None, [pointer, text, size]),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def _specs(tensors: Any) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(
            tensor=info.name,
            dtype=_DTYPE_OF.get(info.dtype, f"type {info.dtype}"),
            shape=None if info.tensor_shape.unknown_rank else tuple(dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in sorted(tensors.items())
    }


@cache
def _saved_model_message() -> Any:
    """The few fields of `tensorflow.SavedModel` that hold the signatures; others are skipped when parsing."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="saiki/saved_model.proto", package="saiki", syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto

    def add(parent: Any, message: str, fields: dict[str, tuple[int, str, bool]], *, entry: bool = False) -> Any:
        made = parent.add(name=message)
        made.options.map_entry = entry
        scalars = {
            "string": kinds.TYPE_STRING,
            "int32": kinds.TYPE_INT32,
            "int64": kinds.TYPE_INT64,
            "bool": kinds.TYPE_BOOL,
        }
        for name, (number, kind, repeated) in fields.items():
            field = made.field.add(name=name, number=number, type=scalars.get(kind, kinds.TYPE_MESSAGE))
            field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if kind not in scalars:
                field.type_name = f".saiki.{kind}"
        return made

    def entry(parent: Any, name: str, value: str) -> None:
        add(parent.nested_type, name, {"key": (1, "string", False), "value": (2, value, False)}, entry=True)

    top = file.message_type
    add(top, "Dim", {"size": (1, "int64", False)})
    add(top, "Shape", {"dim": (2, "Dim", True), "unknown_rank": (3, "bool", False)})
    add(top, "Info", {"name": (1, "string", False), "dtype": (2, "int32", False), "tensor_shape": (3, "Shape", False)})
    signature = add(
        top, "Signature", {"inputs": (1, "Signature.InputsEntry", True), "outputs": (2, "Signature.OutputsEntry", True)}
    )
    entry(signature, "InputsEntry", "Info")
    entry(signature, "OutputsEntry", "Info")
    graph = add(top, "Graph", {"signature_def": (5, "Graph.SignatureDefEntry", True)})
    entry(graph, "SignatureDefEntry", "Signature")
    add(top, "SavedModel", {"meta_graphs": (2, "Graph", True)})
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("saiki.SavedModel"))
