"""Expressions of the kernel language as LLVM IR; `compiler` adds statements and functions."""

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import llvmlite.ir as ir

I1, I8, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
F32, F64 = ir.FloatType(), ir.DoubleType()
PTR = ir.PointerType()


class KernelError(SyntaxError):
    """A kernel's source uses something the kernel language does not have."""


@dataclass(frozen=True)
class Pointer:
    element: Any  # an IR type


@dataclass
class Value:
    type: Any  # an IR type, or Pointer
    ir: Any


class Expressions:
    """What an expression means. Those known when compiling are plain Python numbers; the rest are `Value`s.

    `compiler` provides the function around them: builders `x` and `allocas`, `static` names, `variables` and `types`.
    """

    owner: Any
    source: Callable[..., Any]
    tree: ast.FunctionDef
    code: Any
    types: Any
    x: ir.IRBuilder
    allocas: ir.IRBuilder
    static: dict[str, Any]
    unknown: Callable[[ast.AST], Any]
    variables: dict[str, tuple[Any, Any]]

    def expression(self, node: ast.expr) -> Any:
        return getattr(self, f"get_{type(node).__name__.lower()}", self.unknown)(node)

    def get_constant(self, node: ast.Constant) -> Any:
        return node.value

    def get_name(self, node: ast.Name) -> Any:
        if node.id in self.static:
            return self.static[node.id]
        if node.id in self.variables:
            kind, slot = self.variables[node.id]
            return Value(kind, self.x.load(slot, typ=ir_type(kind)))
        raise self.error(node, f"{node.id} has no value here: it is neither assigned nor given when compiling")

    def get_binop(self, node: ast.BinOp) -> Any:
        return self.binary(node, node.op, self.expression(node.left), self.expression(node.right))

    def get_unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.expression(node.operand)
        if not isinstance(value, Value):
            return operator.not_(value) if isinstance(node.op, ast.Not) else operator.neg(value)
        if isinstance(node.op, ast.Not):
            return Value(I1, self.x.not_(self.truth(value)))
        return Value(value.type, self.x.fneg(value.ir) if is_float(value.type) else self.x.neg(value.ir))

    def get_compare(self, node: ast.Compare) -> Any:
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        if len(node.ops) != 1:
            raise self.error(node, "compare two values at a time")
        sign = _COMPARE[type(node.ops[0])]
        if not isinstance(left, Value) and not isinstance(right, Value):
            return getattr(operator, _OPERATOR[sign])(left, right)
        kind, a, b = self.common(node, left, right)
        if is_float(kind):
            code = self.x.fcmp_unordered(sign, a, b) if sign == "!=" else self.x.fcmp_ordered(sign, a, b)
        else:
            code = self.x.icmp_signed(sign, a, b)
        return Value(code.type, code)

    def get_boolop(self, node: ast.BoolOp) -> Any:
        """Short-circuiting, so that a guard may protect a load."""
        conjunction = isinstance(node.op, ast.And)
        slot = None
        done = self.code.append_basic_block("decided")
        for number, part in enumerate(node.values):
            value = self.expression(part)
            if not isinstance(value, Value):
                value = Value(I1, ir.Constant(I1, int(bool(value))))
            if slot is None:
                slot = self.allocas.alloca(I1)
            test = self.truth(value)
            self.x.store(test, slot)
            if number == len(node.values) - 1:
                self.x.branch(done)
            else:
                more = self.code.append_basic_block("more")
                self.x.cbranch(test, *((more, done) if conjunction else (done, more)))
                self.x.position_at_end(more)
        self.x.position_at_end(done)
        return Value(I1, self.x.load(slot, typ=I1))

    def get_ifexp(self, node: ast.IfExp) -> Any:
        test = self.expression(node.test)
        if not isinstance(test, Value):
            return self.expression(node.body if test else node.orelse)
        return self.select(node, test, self.expression(node.body), self.expression(node.orelse))

    def get_subscript(self, node: ast.Subscript) -> Any:
        where, kind = self.element(node)
        if isinstance(kind, ir.VectorType):
            return Value(kind, self.x.load(where, typ=kind, align=byte_size(kind.element)))
        value = self.x.load(where, typ=kind)
        if isinstance(kind, ir.IntType) and kind.width < 64:
            return Value(I64, self.x.sext(value, I64))
        return Value(kind, value)

    def get_call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, "only plain names can be called")
        name = node.func.id
        builtin = getattr(self, f"call_{name}", None)
        if builtin is not None:
            return builtin(node)
        if name in ("Int", "Float", "Double", "Single"):
            return self.cast(self.types.names[name], self.expression(node.args[0]))
        callee: Any = self.source.__globals__.get(name)
        if not hasattr(callee, "function"):
            raise self.error(node, f"{name} is neither a word of the kernel language nor a kernel")
        constants = dict(self.types.constants)
        for keyword in node.keywords:
            assert keyword.arg is not None
            constants[keyword.arg] = self.expression(keyword.value)
        code, parameters, result = self.owner.function(callee.function, constants, callee.inline)
        values = [self.as_type(kind, self.expression(a)).ir for kind, a in zip(parameters, node.args, strict=True)]
        return Value(result, self.x.call(code, values))

    # words of the language

    def call_pointer(self, node: ast.Call) -> Value:
        kind = Pointer(self.types.of(node.args[0]))
        value = self.as_type(I64, self.expression(node.args[1]))
        return Value(kind, self.x.inttoptr(value.ir, PTR))

    def call_address(self, node: ast.Call) -> Value:
        return Value(I64, self.x.ptrtoint(self.expression(node.args[0]).ir, I64))

    def call_local(self, node: ast.Call) -> Value:
        kind, count = self.types.of(node.args[0]), self.expression(node.args[1])
        slot = self.allocas.alloca(ir.ArrayType(kind, count))
        slot.align = 64
        return Value(Pointer(kind), slot)

    def call_load(self, node: ast.Call) -> Value:
        place = self.expression(node.args[0])
        return Value(
            self.types.vector, self.x.load(place.ir, typ=self.types.vector, align=byte_size(self.types.element))
        )

    def call_store(self, node: ast.Call) -> None:
        place, value = self.expression(node.args[0]), self.as_type(self.types.vector, self.expression(node.args[1]))
        self.x.store(value.ir, place.ir, align=byte_size(self.types.element))

    def call_gather(self, node: ast.Call) -> Value:
        """Lane by lane: as quick as the processor's own gather, and the same on every target."""
        place, indices = (self.expression(argument) for argument in node.args)
        kind = place.type.element
        code = ir.Constant(ir.VectorType(kind, self.types.vector.count), ir.Undefined)
        for lane in range(self.types.vector.count):
            at = self.x.load(
                self.x.gep(indices.ir, [ir.Constant(I64, lane)], source_etype=indices.type.element),
                typ=indices.type.element,
            )
            index = at if at.type == I64 else self.x.sext(at, I64)
            value = self.x.load(self.x.gep(place.ir, [index], source_etype=kind), typ=kind)
            code = self.x.insert_element(code, value, ir.Constant(I32, lane))
        return Value(self.types.vector, code)

    def call_splat(self, node: ast.Call) -> Value:
        return self.as_type(self.types.vector, self.expression(node.args[0]))

    def call_fma(self, node: ast.Call) -> Value:
        values = [self.expression(argument) for argument in node.args]
        kind = self.widest(node, values)
        return self.intrinsic("fma", kind, *(self.as_type(kind, value) for value in values))

    def call_sqrt(self, node: ast.Call) -> Value:
        value = self.expression(node.args[0])
        return self.intrinsic("sqrt", value.type, value)

    def call_floor(self, node: ast.Call) -> Value:
        value = self.expression(node.args[0])
        return self.intrinsic("floor", value.type, value)

    def call_log(self, node: ast.Call) -> Value:
        value = self.expression(node.args[0])
        return self.intrinsic("log", value.type, value)

    def call_power_of_two(self, node: ast.Call) -> Value:
        value = self.expression(node.args[0])
        single = byte_size(self.types.element) == 4
        integer, bias, shift = (I32, 127, 23) if single else (I64, 1023, 52)
        if isinstance(value.type, ir.VectorType):
            integer = ir.VectorType(integer, value.type.count)
        exponent = self.x.add(self.x.fptosi(value.ir, integer), filled(integer, bias))
        return Value(value.type, self.x.bitcast(self.x.shl(exponent, filled(integer, shift)), value.type))

    def call_where(self, node: ast.Call) -> Value:
        test, yes, no = (self.expression(argument) for argument in node.args)
        return self.select(node, test, yes, no)

    def call_minimum(self, node: ast.Call) -> Any:
        return self.extreme(node, "<")

    def call_maximum(self, node: ast.Call) -> Any:
        return self.extreme(node, ">")

    def extreme(self, node: ast.Call, sign: str) -> Any:
        left, right = (self.expression(argument) for argument in node.args)
        if not isinstance(left, Value) and not isinstance(right, Value):
            return min(left, right) if sign == "<" else max(left, right)
        kind, a, b = self.common(node, left, right)
        test = self.x.fcmp_ordered(sign, a, b) if is_float(kind) else self.x.icmp_signed(sign, a, b)
        return Value(kind, self.x.select(test, a, b))

    def call_sum_lanes(self, node: ast.Call) -> Value:
        return self.fold(self.expression(node.args[0]), lambda a, b: self.x.fadd(a, b))

    def call_max_lanes(self, node: ast.Call) -> Value:
        return self.fold(
            self.expression(node.args[0]), lambda a, b: self.x.select(self.x.fcmp_ordered(">", a, b), a, b)
        )

    def fold(self, value: Value, combine: Callable[[Any, Any], Any]) -> Value:
        """Halves a vector until one value is left: a fixed order."""
        code, count = value.ir, value.type.count
        while count > 1:
            count //= 2
            undefined = ir.Constant(code.type, ir.Undefined)
            halves = [
                self.x.shuffle_vector(
                    code, undefined, ir.Constant(ir.VectorType(I32, count), list(range(s, s + count)))
                )
                for s in (0, count)
            ]
            code = combine(*halves)
        return Value(value.type.element, self.x.extract_element(code, ir.Constant(I32, 0)))

    def call_fetch_add(self, node: ast.Call) -> Value:
        place, amount = self.expression(node.args[0]), self.as_type(I64, self.expression(node.args[1]))
        return Value(I64, self.x.atomic_rmw("add", place.ir, amount.ir, "monotonic"))

    def intrinsic(self, name: str, kind: Any, *values: Value) -> Value:
        shape = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        element = kind.element if shape else kind
        full = f"llvm.{name}.{shape}f{byte_size(element) * 8}"
        code = self.owner.module.globals.get(full)
        if code is None:
            code = ir.Function(self.owner.module, ir.FunctionType(kind, [kind] * len(values)), full)
        return Value(kind, self.x.call(code, [value.ir for value in values]))

    # helpers

    def binary(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        if not isinstance(left, Value) and not isinstance(right, Value):
            return _FOLD[type(op)](left, right)
        if isinstance(left, Value) and isinstance(left.type, Pointer):
            offset = self.as_type(I64, right)
            if isinstance(op, ast.Sub):
                offset = Value(I64, self.x.neg(offset.ir))
            return Value(left.type, self.x.gep(left.ir, [offset.ir], source_etype=left.type.element))
        kind, a, b = self.common(node, left, right)
        if is_float(kind):
            method = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}[type(op)]
            return Value(kind, getattr(self.x, method)(a, b, flags=("contract",)))
        method = _INTEGER[type(op)]
        flags = {"flags": ("nsw",)} if method in ("add", "sub", "mul") else {}
        return Value(kind, getattr(self.x, method)(a, b, **flags))

    def common(self, node: ast.AST, left: Any, right: Any) -> tuple[Any, Any, Any]:
        kind = self.widest(node, [left, right])
        return kind, self.as_type(kind, left).ir, self.as_type(kind, right).ir

    def widest(self, node: ast.AST, values: list[Any]) -> Any:
        kinds = [value.type for value in values if isinstance(value, Value)]
        for kind in kinds:
            if isinstance(kind, ir.VectorType):
                return kind
        if any(kind != kinds[0] for kind in kinds):
            raise self.error(node, f"types differ: {', '.join(str(kind) for kind in kinds)}; cast one")
        return kinds[0]

    def select(self, node: ast.AST, test: Value, yes: Any, no: Any) -> Value:
        if not isinstance(yes, Value) and not isinstance(no, Value):
            yes = self.as_type(self.types.element if isinstance(yes, float) else I64, yes)
        kind, a, b = self.common(node, yes, no)
        condition = test.ir if isinstance(test.type, ir.VectorType) else self.truth(test)
        return Value(kind, self.x.select(condition, a, b))

    def as_type(self, kind: Any, value: Any) -> Value:
        """`value` as `kind` where no information is lost: a Python number, the same type, or a scalar to spread."""
        if isinstance(kind, ir.VectorType) and not (isinstance(value, Value) and value.type == kind):
            scalar = self.as_type(kind.element, value)
            undefined = ir.Constant(kind, ir.Undefined)
            first = self.x.insert_element(undefined, scalar.ir, ir.Constant(I32, 0))
            mask = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
            return Value(kind, self.x.shuffle_vector(first, undefined, mask))
        if not isinstance(value, Value):
            return Value(kind, ir.Constant(kind, float(value) if is_float(kind) else int(value)))
        if value.type == kind:
            return value
        if kind == I64 and value.type == I1:
            return Value(I64, self.x.zext(value.ir, I64))
        raise self.error(self.tree, f"a value of type {value.type} where {kind} is expected; cast it")

    def cast(self, kind: Any, value: Any) -> Value:
        if not isinstance(value, Value) or value.type == kind or isinstance(kind, Pointer | ir.VectorType):
            return self.as_type(kind, value)
        if is_float(kind):
            if is_float(value.type):
                change = self.x.fpext if byte_size(kind) > byte_size(value.type) else self.x.fptrunc
                return Value(kind, change(value.ir, kind))
            return Value(kind, self.x.sitofp(value.ir, kind))
        return Value(kind, self.x.fptosi(value.ir, kind) if is_float(value.type) else self.as_type(kind, value).ir)

    def truth(self, value: Value) -> Any:
        return value.ir if value.type == I1 else self.x.icmp_signed("!=", value.ir, ir.Constant(value.type, 0))

    def element(self, node: ast.Subscript) -> tuple[Any, Any]:
        base = self.expression(node.value)
        if not (isinstance(base, Value) and isinstance(base.type, Pointer)):
            raise self.error(node, "only pointers can be indexed")
        index = self.as_type(I64, self.expression(node.slice))
        return self.x.gep(base.ir, [index.ir], source_etype=base.type.element), base.type.element

    def error(self, node: ast.AST, what: str) -> KernelError:
        line = getattr(node, "lineno", 0)
        return KernelError(f"kernel {self.source.__name__}, line {line}: {what}")


def filled(kind: Any, value: int) -> ir.Constant:
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def ir_type(kind: Any) -> Any:
    return PTR if isinstance(kind, Pointer) else kind


def is_float(kind: Any) -> bool:
    return isinstance(kind.element if isinstance(kind, ir.VectorType) else kind, ir.FloatType | ir.DoubleType)


def byte_size(kind: Any) -> int:
    return 4 if kind == F32 else 8 if kind == F64 else kind.width // 8


_COMPARE = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_OPERATOR = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_INTEGER = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "sdiv", ast.Mod: "srem", ast.LShift: "shl",
    ast.RShift: "ashr", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor",
}  # fmt: skip
_FOLD: dict[Any, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
    ast.BitAnd: operator.and_, ast.BitOr: operator.or_, ast.BitXor: operator.xor, ast.Pow: operator.pow,
}  # fmt: skip
