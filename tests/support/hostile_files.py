"""Files made to harm or to break a reader of weights, and small honest ones to mutilate."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."


def text(value: str) -> bytes:
    """The instruction that pushes a string."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    """The instruction that pushes an integer."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name(module: str, attribute: str) -> bytes:
    """The instruction that pushes a global."""
    return f"c{module}\n{attribute}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    """Instructions that call a function."""
    return function + b"(" + b"".join(arguments) + b"tR"


def numbers(*values: int) -> bytes:
    """Instructions that push a tuple of integers."""
    return b"(" + b"".join(map(integer, values)) + b"t"


def storage(key: str = "0", count: int = 4, kind: str = "FloatStorage") -> bytes:
    """Instructions that push a storage."""
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + integer(count) + b"tQ"


def tensor(offset: int = 0, size: bytes = b"", stride: bytes = b"", where: bytes = b"") -> bytes:
    """Instructions that push a tensor."""
    return call(
        name("torch._utils", "_rebuild_tensor_v2"), where or storage(), integer(offset), size or numbers(4),
        stride or numbers(1), b"\x89", call(name("collections", "OrderedDict")),
    )  # fmt: skip


def state(*items: bytes) -> bytes:
    """A pickle of a dictionary of these values."""
    return b"\x80\x02}(" + b"".join(text(f"v{i}") + item for i, item in enumerate(items)) + b"u."


def archive(pickled: bytes, storages: dict[str, bytes] | None = None, **options: int) -> bytes:
    """A zip archive as torch.save writes them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as file:  # type: ignore[arg-type]
        file.writestr("a/data.pkl", pickled)
        for key, content in ({"0": bytes(16)} if storages is None else storages).items():
            file.writestr(f"a/data/{key}", content)
    return buffer.getvalue()


def legacy(pickled: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """A file as torch.save wrote them before PyTorch 1.6; storages are of float32."""
    content = MAGIC + pickled
    held = {"0": bytes(16)} if storages is None else storages
    content += b"\x80\x02](" + b"".join(map(text, held)) + b"e."
    return content + b"".join(struct.pack("<q", len(raw) // 4) + raw for raw in held.values())


def legacy_storage(count: int = 4) -> bytes:
    """As `storage`, as the older format names one."""
    return b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + integer(count) + b"NtQ"


def safetensors(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


class Run:
    """An object whose pickle calls a function when it is read by Python's own reader."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def attacks(marker: Path) -> dict[str, bytes]:
    """Pickles that would create `marker` if anything in them were run."""
    import os

    shell = f"touch '{marker}'"
    system, ordered = name("os", "system"), name("collections", "OrderedDict")
    of_class, plain = name("torch._tensor", "_rebuild_from_type_v2"), name("torch", "Tensor")
    attribute = call(name("builtins", "getattr"), system, text("__call__"))
    return {
        "os.system": pickle.dumps(Run(os.system, shell), 2),
        "os.system, protocol 4": pickle.dumps({"a": [Run(os.system, shell)]}, 4),
        "eval": pickle.dumps(Run(eval, f"open({str(marker)!r}, 'w')"), 2),
        "exec": pickle.dumps(Run(exec, f"open({str(marker)!r}, 'w')"), 2),
        "open": pickle.dumps(Run(open, str(marker), "w"), 2),
        "nested call": state(call(attribute, text(shell))),
        "inside OrderedDict": state(call(ordered, call(system, text(shell)))),
        "setstate": state(ordered + b")R}" + text("__setstate__") + system + b"sb"),
        "attributes": state(ordered + b")R}" + text("__class__") + text("x") + b"sb"),
        "build of a function": state(name("torch._utils", "_rebuild_tensor_v2") + b"}" + text("call") + b"Nsb"),
        "object": state(name("builtins", "object") + b")\x81}b"),
        "dotted name": b"\x80\x04" + text("torch") + text("os.system") + b"\x93" + text(shell) + b"\x85R.",
        "of class": state(call(of_class, system, plain, b"(" + text(shell) + b"t", b"}")),
        "of class, by a harmless name": state(call(of_class, ordered, plain, b")", b"}")),
        "extension registry": b"\x80\x02\x82\x01.",
        "instance": b"\x80\x02(ios\nsystem\n.",
        "text protocol": b"cos\nsystem\n(S'" + shell.encode() + b"'\ntR.",
        "persistent module": state(b"(" + text("module") + system + text("a") + text("b") + b"tQ"),
    }


def bombs() -> dict[str, bytes]:
    """Pickles that are small and want to become large, or never to end."""
    doubled = b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 200
    alike = 2**61 - 1
    lists = b"]" + b"K\x01aq\x00" + b"0](h\x00h\x00h\x00eq\x00" * 100
    return {
        "exponential tuples": state(doubled),
        "exponential lists": state(lists),
        "exponential key": b"\x80\x02}" + doubled + b"Ns.",
        "exponential set": b"\x80\x04\x8f(" + doubled + b"\x90.",
        "exponential parameters": state(tensor() + b"q\x00" + b"0](h\x00h\x00h\x00eq\x00" * 100),
        "list within itself": b"\x80\x02]q\x00h\x00a.",
        "tuple within itself": b"\x80\x02](]q\x00h\x00\x85q\x01ah\x01e.",
        "deep lists": b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b".",
        "deep tuples": b"\x80\x02N" + b"\x85" * 1_000_000 + b".",
        "many dictionaries": b"\x80\x02(" + b"}" * 4_000_000 + b"t.",
        "many marks": b"\x80\x02" + b"(" * 4_000_000,
        "memo": b"\x80\x02K\x01" + b"".join(b"r" + struct.pack("<I", 2**32 - 1 - i) for i in range(1000)) + b"\x86.",
        "missing memo": b"\x80\x02j\xff\xff\xff\xff.",
        "long integer": b"\x80\x02\x8b" + struct.pack("<i", -5) + b".",
        "text beyond the end": b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a.",
        "bytes beyond the end": b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"a.",
        "keys that hash alike": b"\x80\x02}(" + b"".join(integer(k * alike) + b"N" for k in range(1, 10**5)) + b"u.",
        "counter": b"\x80\x02" + call(name("collections", "Counter"), b"}" + text("a") + doubled + b"s") + b".",
    }  # fmt: skip


def nonsense() -> dict[str, bytes]:
    """Pickles whose tensors cannot be."""
    return {
        "reaches beyond": state(tensor(1)),
        "offset below": state(tensor(-1)),
        "negative size": state(tensor(0, numbers(-4))),
        "negative stride": state(tensor(3, numbers(4), numbers(-1))),
        "stride beyond": state(tensor(0, numbers(2), numbers(2**61))),
        "more sizes than strides": state(tensor(0, numbers(2, 2), numbers(1))),
        "huge sizes": state(tensor(0, numbers(2**61, 2**61), numbers(0, 0))),
        "repeated to a terabyte": state(tensor(0, numbers(2**40), numbers(0))),
        "too many dimensions": state(tensor(0, numbers(*[1] * 65), numbers(*[0] * 65))),
        "sizes that are no numbers": state(tensor(0, b"(" + text("a") + b"t")),
        "storage of another length": state(tensor(where=storage(count=5))),
        "storage below": state(tensor(where=storage(count=-1))),
        "storage without end": state(tensor(where=storage(count=2**62))),
        "storage that is missing": state(tensor(where=storage("7"))),
        "storage outside": state(tensor(where=storage("../data.pkl"))),
        "storage that is none": state(tensor(where=b"K\x01")),
        "one key, two lengths": state(tensor(), tensor(where=storage(count=2))),
        "identifier": state(b"K\x01Q"),
        "unknown type": state(tensor(where=storage(kind="FancyStorage"))),
        "type for a tensor": state(call(name("torch._utils", "_rebuild_tensor_v2"), name("torch", "float32"))),
        "parameter of nothing": state(call(name("torch._utils", "_rebuild_parameter"), b"N", b"\x88", b")")),
        "NumPy type": state(call(name("numpy", "dtype"), text("O8"), b"\x89", b"\x88")),
        "NumPy array without content": state(call(name("numpy._core.multiarray", "_reconstruct"))),
        "device": state(call(name("torch", "device"), text("warp"))),
        "size": state(call(name("torch", "Size"), numbers(-1))),
        "empty": b"",
        "stop": b".",
        "two values": b"\x80\x02NN.",
        "mark as value": b"\x80\x02(.",
        "append to nothing": b"\x80\x02a.",
        "protocol": b"\x80\x09N.",
    }  # fmt: skip


def zips() -> dict[str, bytes]:
    """Archives that want to unpack to more than they are, or to other places."""
    good = archive(state(tensor()))
    end = good.rindex(b"PK\5\6")
    entry = good.index(b"PK\1\2")
    second = good.index(b"PK\1\2", entry + 1)
    begin = good.index(b"PK\3\4", 4)

    def changed(position: int, form: str, *values: int) -> bytes:
        raw = struct.pack(form, *values)
        return good[:position] + raw + good[position + len(raw) :]

    def named(*names: str) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as file:
            for each in names:
                file.writestr(zipfile.ZipInfo(each), state(tensor()))
        return buffer.getvalue()

    return {
        "compressed pickle": archive(state(tensor()), compression=zipfile.ZIP_DEFLATED),
        "compressed zeros": archive(state(tensor(where=storage(count=2**24))), {"0": bytes(2**24)}, compression=8),
        "declared size": changed(second + 20, "<2L", 2**31, 2**31),
        "declared size of 64 bits": changed(second + 20, "<2L", 2**32 - 1, 2**32 - 1),
        "packed size alone": changed(second + 20, "<L", 17),
        "offset beyond": changed(second + 42, "<L", 2**31),
        "two on one place": changed(second + 42, "<L", 0),
        "number of records": changed(end + 8, "<2H", 65535, 65535),
        "directory beyond": changed(end + 16, "<L", 2**31),
        "directory size": changed(end + 12, "<L", 2**31),
        "checksum": changed(entry + 16, "<L", 1),
        "encrypted": changed(entry + 8, "<H", 1),
        "other name before the data": good[: begin + 30] + b"b/data/0" + good[begin + 38 :],
        "long second header": changed(begin + 26, "<2H", 8, 65535),
        "64-bit directory": good[:end] + b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 0, 0, 0, 0, 2**60, 2**60, 2**60, entry)
        + b"PK\6\7" + struct.pack("<LQL", 0, end, 1) + good[end:],
        "64-bit directory elsewhere": good[:end] + b"PK\6\7" + struct.pack("<LQL", 0, 2**63, 1) + good[end:],
        "many records": named("a/data.pkl", *(f"a/{i}" for i in range(3000)), "a/../x"),
        "climbs out": named("a/data.pkl", "a/../../etc/passwd"),
        "absolute": named("a/data.pkl", "/etc/passwd"),
        "drive": named("a/data.pkl", "C:/x"),
        "backslashes": named("a/data.pkl").replace(b"a/data.pkl", b"a\\data.pkl"),
        "two pickles": named("a/data.pkl", "b/data.pkl"),
        "no pickle": named("a/b"),
        "same name twice": named("a/data.pkl", "a/data.pkk").replace(b"a/data.pkk", b"a/data.pkl"),
        "only an end": b"PK\3\4" + good[end:],
    }  # fmt: skip


def script(pickled: bytes, code: bytes = b"") -> bytes:
    """A TorchScript archive with this tree of modules."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for each, content in (("data.pkl", pickled), ("constants.pkl", b"\x80\x02)."), ("data/0", bytes(16))):
            file.writestr(f"a/{each}", content)
        file.writestr("a/code/__torch__.py", code, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def scripts() -> dict[str, bytes]:
    """TorchScript archives with trees that do not end, or code that unpacks to more than it is."""

    module = name("__torch__", "N") + b")\x81"
    inner = module + b"}" + text("w") + tensor() + b"sb"
    shared = inner + b"q\x00" + (b"0" + module + b"}(" + text("a") + b"h\x00" + text("b") + b"h\x00ubq\x00") * 60
    return {
        "module within itself": script(b"\x80\x02" + module + b"q\x00}" + text("m") + b"h\x00sb."),
        "exponential modules": script(b"\x80\x02" + shared + b"."),
        "no module": script(b"\x80\x02}."),
        "state that is none": script(b"\x80\x02" + module + b"K\x01b."),
        "packed": script(b"\x80\x02" + name("__torch__.torch.classes.quantized", "Packed") + b")\x81}b."),
        "asks for os.system": script(b"\x80\x02" + call(name("os", "system"), text("true")) + b"."),
        "code that unpacks to much": script(b"\x80\x02" + inner + b".", bytes(2**26)),
    }  # fmt: skip


def headers() -> dict[str, bytes]:
    """Safetensors whose headers are large, deep or false."""
    one = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    return {
        "claimed length": safetensors(b"{}", length=2**40),
        "long and deep": safetensors(b'{"a":' + b"[" * 2**23),
        "long and empty": safetensors(b"{" + b" " * 2**24 + b"}", b"1"),
        "many lists": safetensors(b'{"a":[' + b"[]," * 2**21 + b"[]]}"),
        "many tensors": safetensors(b"{" + b",".join(b'"%d":{}' % i for i in range(10**5)) + b"}"),
        "long number": safetensors(b'{"a":' + b"9" * 10**6 + b"}"),
        "same name twice": safetensors(one + b"," + one[1:] + b"}", bytes(4)),
        "negative shape": safetensors(b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4)),
        "huge shape": safetensors(b'{"a":{"dtype":"F32","shape":[%d],"data_offsets":[0,4]}}' % 10**30, bytes(4)),
        "offsets beyond": safetensors(b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}', bytes(4)),
        "overlap": safetensors(one + b',"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "type": safetensors(b'{"a":{"dtype":"OBJECT","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
        "metadata": safetensors(b'{"__metadata__":{"a":[1]}}'),
        "deep tree": safetensors(b'{"__metadata__":{"voxhelix.version":"2","voxhelix.tree":"' + b"[" * 10**6 + b'"}}'),
        "tree of tuples": safetensors(
            b'{"__metadata__":{"voxhelix.version":"2","voxhelix.tree":"'
            + rb'{\"$tuple\":[' * 150 + b"]}" * 150 + b'"}}'
        ),
        "key of tuples": safetensors(
            b'{"__metadata__":{"voxhelix.version":"2","voxhelix.tree":"'
            + rb'{\"$items\":[[{\"$tuple\":[{\"$tuple\":[1]}]},1]]}' + b'"}}'
        ),
    }  # fmt: skip


def honest() -> dict[str, bytes]:
    """Small files of each format, without any other library."""
    values = np.arange(4, dtype=np.float32).tobytes()
    pickled = state(tensor(), tensor(0, numbers(2, 2), numbers(2, 1)), text("note"), integer(7))
    older = state(tensor(where=legacy_storage()), tensor(1, numbers(3), numbers(1), legacy_storage()), text("note"))
    return {
        "zip": archive(pickled, {"0": values}),
        "legacy": legacy(older, {"0": values}),
        "safetensors": safetensors(
            b'{"__metadata__":{"note":"x"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"b":{"dtype":"I16","shape":[2,2],"data_offsets":[8,16]}}', values
        ),
    }  # fmt: skip
