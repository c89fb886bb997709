"""Reads TFRecord files of `tf.Example` without TensorFlow: the framing with its checksums, and the message.

A record is its length (8 bytes), the masked CRC-32C of those, the bytes, and their masked CRC-32C
(https://www.tensorflow.org/tutorials/load_data/tfrecord); the message is `tensorflow/core/example/example.proto`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any, BinaryIO

from components._shared.errors import DataError

_LARGEST_RECORD = 1 << 30


def read_records(stream: BinaryIO, where: str) -> Iterator[bytes | None]:
    """The records of a TFRecord file; None for one whose bytes do not have their checksum.

    Raises:
        DataError: The file ends within a record, or is no TFRecord file.
    """
    number = 0
    while head := stream.read(12):
        number += 1
        if len(head) < 12:
            raise _truncated(where, number)
        length, checksum = struct.unpack("<QI", head)
        if _masked_crc(head[:8]) != checksum or length > _LARGEST_RECORD:
            raise DataError(
                "This is not a TFRecord file, or it is damaged: a record's length does not have its checksum",
                where=f"{where}, record {number}",
                fix="export it again, or name the right format under data.format",
            )
        body = stream.read(length + 4)
        if len(body) < length + 4:
            raise _truncated(where, number)
        record = body[:length]
        yield record if _masked_crc(record) == struct.unpack("<I", body[length:])[0] else None


def parse_example(record: bytes) -> dict[str, Any] | None:
    """Feature → its value, None, or a list if there are several; None if the record is no `tf.Example`."""
    from google.protobuf.message import DecodeError

    try:
        example = example_class().FromString(record)
    except DecodeError:
        return None
    return {name: _value(feature) for name, feature in example.features.feature.items()}


@cache
def example_class() -> Any:
    """The message class of `tf.Example`, made here since its own module comes with TensorFlow."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="saiki/example.proto", package="saiki", syntax="proto3")
    for name, kind in (
        ("BytesList", field.TYPE_BYTES),
        ("FloatList", field.TYPE_FLOAT),
        ("Int64List", field.TYPE_INT64),
    ):
        file.message_type.add(name=name).field.add(name="value", number=1, label=field.LABEL_REPEATED, type=kind)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        feature.field.add(
            name=name,
            number=number,
            label=field.LABEL_OPTIONAL,
            type=field.TYPE_MESSAGE,
            type_name=f".saiki.{file.message_type[number - 1].name}",
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".saiki.Feature"
    )
    features.field.add(
        name="feature",
        number=1,
        label=field.LABEL_REPEATED,
        type=field.TYPE_MESSAGE,
        type_name=".saiki.Features.FeatureEntry",
    )
    file.message_type.add(name="Example").field.add(
        name="features", number=1, label=field.LABEL_OPTIONAL, type=field.TYPE_MESSAGE, type_name=".saiki.Features"
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("saiki.Example"))


def _value(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    values = list(getattr(feature, kind).value) if kind else []
    return values[0] if len(values) == 1 else values or None


def _masked_crc(data: bytes) -> int:
    import google_crc32c

    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _truncated(where: str, number: int) -> DataError:
    return DataError(
        "The file is truncated: it ends within a record", where=f"{where}, record {number}", fix="export it again"
    )
