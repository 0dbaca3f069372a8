"""Writes a GGUF file (version 3) and reads its facts; Q8_0 is the one quantization that is used.

    header    magic, version, number of tensors, number of facts
    facts     key, type, value
    tensors   name, shape (the innermost dimension first), type, offset
    data      each tensor at a multiple of 32 bytes
"""

import struct

import numpy as np

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
TENSOR_F32, TENSOR_Q8_0 = 0, 8
Q8_0_BLOCK = 32


def _string(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value):
    """The type and the bytes of a fact."""
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return U32, struct.pack("<I", value)
    if isinstance(value, float):
        return F32, struct.pack("<f", value)
    if isinstance(value, str):
        return STRING, _string(value)
    if value and isinstance(value[0], int):
        return ARRAY, struct.pack("<IQ", I32, len(value)) + struct.pack(f"<{len(value)}i", *value)
    return ARRAY, struct.pack("<IQ", STRING, len(value)) + b"".join(map(_string, value))


def q8_0(array):
    """Blocks of 32 numbers: a scale in half precision, and a signed byte for each."""
    blocks = array.astype(np.float32).reshape(-1, Q8_0_BLOCK)
    scale = np.abs(blocks).max(1, keepdims=True) / 127
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 0)
    scaled = blocks * inverse
    whole = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int8)
    return np.concatenate([scale.astype("<f2").view(np.uint8), whole.view(np.uint8)], 1).tobytes()


def _padding(length):
    return b"\0" * (-length % ALIGNMENT)


def write(path, facts, tensors):
    """`facts` maps keys to values; `tensors` maps names to arrays.  Matrices become Q8_0."""
    data, table = bytearray(), bytearray()
    for name, array in tensors.items():
        kind = TENSOR_Q8_0 if array.ndim == 2 else TENSOR_F32
        table += _string(name) + struct.pack("<I", array.ndim)
        table += struct.pack(f"<{array.ndim}Q", *reversed(array.shape)) + struct.pack("<IQ", kind, len(data))
        data += q8_0(array) if kind == TENSOR_Q8_0 else array.astype("<f4").tobytes()
        data += _padding(len(data))
    head = bytearray(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(facts)))
    for key, value in facts.items():
        kind, encoded = _value(value)
        head += _string(key) + struct.pack("<I", kind) + encoded
    head += table
    head += _padding(len(head))
    with open(path, "wb") as out:
        out.write(head + data)
    return len(head) + len(data)


def read_facts(path):
    """What `write` was given as facts."""
    with open(path, "rb") as file:
        def number(code):
            return struct.unpack("<" + code, file.read(struct.calcsize("<" + code)))[0]

        def value(kind):
            if kind == STRING:
                return file.read(number("Q")).decode()
            if kind == ARRAY:
                inner, count = number("I"), number("Q")
                return [value(inner) for _ in range(count)]
            return number({U32: "I", I32: "i", F32: "f", BOOL: "?"}[kind])

        if file.read(4) != MAGIC or number("I") != VERSION:
            raise ValueError(f"{path} is not a GGUF file of version {VERSION}")
        number("Q")
        return {value(STRING): value(number("I")) for _ in range(number("Q"))}
