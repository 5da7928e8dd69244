"""Compiles kernels: functions written in the subset of Python that `lang` describes, to LLVM IR."""

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import llvmlite.ir as ir

_I1, _I8, _I32, _I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_F32, _F64 = ir.FloatType(), ir.DoubleType()
_PTR = ir.PointerType()


def emit(function: Callable[..., Any], constants: Mapping[str, Any]) -> str:
    """LLVM IR of `function` and of every kernel it calls, specialised for `constants` (LANES, Float, capitals)."""
    module = ir.Module(name=function.__name__)
    _Module(module).function(function, constants)
    return str(module)


class KernelError(SyntaxError):
    """A kernel's source uses something the kernel language does not have."""


@dataclass(frozen=True)
class _Pointer:
    element: Any  # an IR type


@dataclass
class _Value:
    type: Any  # an IR type, or _Pointer
    ir: Any


class _Module:
    """One LLVM module; a function appears once for each set of constants it is called with."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module
        self.functions: dict[Any, tuple[ir.Function, list[Any], Any]] = {}

    def function(
        self, function: Callable[..., Any], constants: Mapping[str, Any], inline: bool = True
    ) -> tuple[ir.Function, list[Any], Any]:
        key = (function, tuple(sorted(constants.items())))
        if key not in self.functions:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
            assert isinstance(tree, ast.FunctionDef)
            types = _Types(constants)
            parameters = [types.of(argument.annotation) for argument in tree.args.args]
            result = types.of(tree.returns) if tree.returns is not None else None
            signature = ir.FunctionType(
                ir.VoidType() if result is None else _ir_type(result), [_ir_type(p) for p in parameters]
            )
            exported = not self.functions
            name = function.__name__ if exported else f"{function.__name__}.{len(self.functions)}"
            code = ir.Function(self.module, signature, name)
            if not exported:
                code.linkage = "internal"
                if not inline:
                    code.attributes.add("noinline")
            self.functions[key] = code, parameters, result
            _Function(self, function, tree, code, parameters, result, types).build()
        return self.functions[key]


class _Types:
    """The IR types that annotation names stand for under the given constants."""

    def __init__(self, constants: Mapping[str, Any]) -> None:
        self.constants = constants
        self.element = {"float32": _F32, "float64": _F64}[constants.get("Float", "float32")]
        self.vector = ir.VectorType(self.element, int(constants.get("LANES", 4)))
        self.names = {
            "Int": _I64, "Int32": _I32, "Byte": _I8, "Float": self.element, "Double": _F64, "Single": _F32,
            "Vector": self.vector,
        }  # fmt: skip

    def of(self, node: ast.expr | None) -> Any:
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Pointer":
            return _Pointer(self.of(node.slice))
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        raise KernelError(f"not a type of the kernel language: {ast.unparse(node) if node else 'nothing'}")


class _Function:
    """Emits one function. Expressions known when compiling are plain Python numbers; the rest are `_Value`s."""

    def __init__(
        self, owner: _Module, function: Callable[..., Any], tree: ast.FunctionDef, code: ir.Function,
        parameters: list[Any], result: Any, types: _Types,
    ) -> None:  # fmt: skip
        self.owner, self.source, self.tree, self.code = owner, function, tree, code
        self.parameters, self.result, self.types = parameters, result, types
        self.variables: dict[str, tuple[Any, Any]] = {}  # name -> (type, stack slot)
        self.static: dict[str, Any] = {k: v for k, v in types.constants.items() if k != "Float"}
        self.loops: list[tuple[Any, Any]] = []  # (block for continue, block for break)

    def build(self) -> None:
        self.entry = self.code.append_basic_block("entry")
        self.allocas = ir.IRBuilder(self.entry)
        start = self.code.append_basic_block("start")
        self.x = ir.IRBuilder(start)
        for argument, kind, value in zip(self.tree.args.args, self.parameters, self.code.args):
            self.assign(argument.arg, _Value(kind, value))
        self.block(self.tree.body)
        if not self.x.block.is_terminated:
            if self.result is not None:
                raise self.error(self.tree, "a path ends without a return")
            self.x.ret_void()
        self.allocas.branch(start)

    # statements

    def block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            if self.x.block.is_terminated:
                return
            getattr(self, f"do_{type(statement).__name__}", self.unknown)(statement)

    def unknown(self, node: ast.AST) -> Any:
        raise self.error(node, f"{type(node).__name__} is not in the kernel language")

    def do_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.expression(node.value)

    def do_Pass(self, node: ast.Pass) -> None:
        pass

    def do_Assign(self, node: ast.Assign) -> None:
        (target,) = node.targets
        if isinstance(target, ast.Tuple):
            raise self.error(node, "assign one name at a time")
        self.assign_to(target, self.expression(node.value))

    def do_AnnAssign(self, node: ast.AnnAssign) -> None:
        assert node.value is not None
        self.assign_to(node.target, self.cast(self.types.of(node.annotation), self.expression(node.value)))

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        load = ast.copy_location(_as_load(node.target), node.target)
        self.assign_to(node.target, self.binary(node, node.op, self.expression(load), self.expression(node.value)))

    def assign_to(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        elif isinstance(target, ast.Subscript):
            where, kind = self.element(target)
            if isinstance(kind, ir.VectorType):
                self.x.store(self.as_type(kind, value).ir, where, align=_bytes(kind.element))
            elif isinstance(kind, ir.IntType) and kind.width < 64:
                self.x.store(self.x.trunc(self.as_type(_I64, value).ir, kind), where)
            else:
                self.x.store(self.as_type(kind, value).ir, where)
        else:
            raise self.error(target, "cannot assign to this")

    def assign(self, name: str, value: Any) -> None:
        if name in self.static:
            raise self.error(self.tree, f"{name} is a constant")
        if name not in self.variables:
            if not isinstance(value, _Value):
                value = self.as_type(self.types.element if isinstance(value, float) else _I64, value)
            self.variables[name] = value.type, self.allocas.alloca(_ir_type(value.type))
        kind, slot = self.variables[name]
        self.x.store(self.as_type(kind, value).ir, slot)

    def do_If(self, node: ast.If) -> None:
        test = self.expression(node.test)
        if not isinstance(test, _Value):
            self.block(node.body if test else node.orelse)
            return
        then, done = self.code.append_basic_block("then"), self.code.append_basic_block("endif")
        other = self.code.append_basic_block("else") if node.orelse else done
        self.x.cbranch(self.truth(test), then, other)
        self.branch_block(then, node.body, done)
        if node.orelse:
            self.branch_block(other, node.orelse, done)
        self.x.position_at_end(done)

    def branch_block(self, block: Any, body: list[ast.stmt], after: Any) -> None:
        self.x.position_at_end(block)
        self.block(body)
        if not self.x.block.is_terminated:
            self.x.branch(after)

    def do_While(self, node: ast.While) -> None:
        head, body, done = (self.code.append_basic_block(n) for n in ("while", "body", "done"))
        self.x.branch(head)
        self.x.position_at_end(head)
        test = self.expression(node.test)
        if isinstance(test, _Value):
            self.x.cbranch(self.truth(test), body, done)
        else:
            self.x.branch(body if test else done)
        self.loops.append((head, done))
        self.branch_block(body, node.body, head)
        self.loops.pop()
        self.x.position_at_end(done)

    def do_For(self, node: ast.For) -> None:
        call, target = node.iter, node.target
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and isinstance(target, ast.Name)):
            raise self.error(node, "loops run over range(...) or unroll(...)")
        bounds = [self.expression(argument) for argument in call.args]
        if call.func.id == "unroll":
            if any(isinstance(bound, _Value) for bound in bounds):
                raise self.error(node, "unroll needs bounds known when compiling")
            for value in range(*bounds):
                self.static[target.id] = value
                self.block(node.body)
            self.static.pop(target.id, None)
            return
        first, last, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1) if len(bounds) == 2 else bounds
        end, stride = self.as_type(_I64, last).ir, self.as_type(_I64, step).ir
        down = isinstance(step, int) and step < 0
        head, body, tail, done = (self.code.append_basic_block(n) for n in ("for", "body", "next", "done"))
        self.assign(target.id, self.as_type(_I64, first))
        slot = self.variables[target.id][1]
        self.x.branch(head)
        self.x.position_at_end(head)
        self.x.cbranch(self.x.icmp_signed(">" if down else "<", self.x.load(slot, typ=_I64), end), body, done)
        self.loops.append((tail, done))
        self.branch_block(body, node.body, tail)
        self.loops.pop()
        self.x.position_at_end(tail)
        self.x.store(self.x.add(self.x.load(slot, typ=_I64), stride, flags=("nsw",)), slot)
        self.x.branch(head)
        self.x.position_at_end(done)

    def do_Break(self, node: ast.Break) -> None:
        self.x.branch(self.loops[-1][1])

    def do_Continue(self, node: ast.Continue) -> None:
        self.x.branch(self.loops[-1][0])

    def do_Return(self, node: ast.Return) -> None:
        if node.value is None:
            self.x.ret_void()
        else:
            self.x.ret(self.as_type(self.result, self.expression(node.value)).ir)

    # expressions

    def expression(self, node: ast.expr) -> Any:
        return getattr(self, f"get_{type(node).__name__}", self.unknown)(node)

    def get_Constant(self, node: ast.Constant) -> Any:
        return node.value

    def get_Name(self, node: ast.Name) -> Any:
        if node.id in self.static:
            return self.static[node.id]
        if node.id in self.variables:
            kind, slot = self.variables[node.id]
            return _Value(kind, self.x.load(slot, typ=_ir_type(kind)))
        value = self.source.__globals__.get(node.id)
        if isinstance(value, int | float):
            return value
        raise self.error(node, f"{node.id} has no value here")

    def get_BinOp(self, node: ast.BinOp) -> Any:
        return self.binary(node, node.op, self.expression(node.left), self.expression(node.right))

    def get_UnaryOp(self, node: ast.UnaryOp) -> Any:
        value = self.expression(node.operand)
        if not isinstance(value, _Value):
            return {ast.USub: operator.neg, ast.Not: operator.not_, ast.UAdd: operator.pos}[type(node.op)](value)
        if isinstance(node.op, ast.Not):
            return _Value(_I1, self.x.not_(self.truth(value)))
        return _Value(value.type, self.x.fneg(value.ir) if _is_float(value.type) else self.x.neg(value.ir))

    def get_Compare(self, node: ast.Compare) -> Any:
        left, right = self.expression(node.left), self.expression(node.comparators[0])
        if len(node.ops) != 1:
            raise self.error(node, "compare two values at a time")
        sign = _COMPARE[type(node.ops[0])]
        if not isinstance(left, _Value) and not isinstance(right, _Value):
            return getattr(operator, _OPERATOR[sign])(left, right)
        kind, a, b = self.common(node, left, right)
        if _is_float(kind):
            code = self.x.fcmp_unordered(sign, a, b) if sign == "!=" else self.x.fcmp_ordered(sign, a, b)
        else:
            code = self.x.icmp_signed(sign, a, b)
        return _Value(code.type, code)

    def get_BoolOp(self, node: ast.BoolOp) -> Any:
        """Short-circuiting, so that a guard may protect a load."""
        conjunction = isinstance(node.op, ast.And)
        slot = None
        done = self.code.append_basic_block("decided")
        for number, part in enumerate(node.values):
            value = self.expression(part)
            if not isinstance(value, _Value):
                value = _Value(_I1, ir.Constant(_I1, int(bool(value))))
            if slot is None:
                slot = self.allocas.alloca(_I1)
            test = self.truth(value)
            self.x.store(test, slot)
            if number == len(node.values) - 1:
                self.x.branch(done)
            else:
                more = self.code.append_basic_block("more")
                self.x.cbranch(test, *((more, done) if conjunction else (done, more)))
                self.x.position_at_end(more)
        self.x.position_at_end(done)
        return _Value(_I1, self.x.load(slot, typ=_I1))

    def get_IfExp(self, node: ast.IfExp) -> Any:
        test = self.expression(node.test)
        if not isinstance(test, _Value):
            return self.expression(node.body if test else node.orelse)
        return self.select(node, test, self.expression(node.body), self.expression(node.orelse))

    def get_Subscript(self, node: ast.Subscript) -> Any:
        where, kind = self.element(node)
        if isinstance(kind, ir.VectorType):
            return _Value(kind, self.x.load(where, typ=kind, align=_bytes(kind.element)))
        value = self.x.load(where, typ=kind)
        if isinstance(kind, ir.IntType) and kind.width < 64:
            return _Value(_I64, self.x.sext(value, _I64))
        return _Value(kind, value)

    def get_Call(self, node: ast.Call) -> Any:
        if not isinstance(node.func, ast.Name):
            raise self.error(node, "only plain names can be called")
        name = node.func.id
        builtin = getattr(self, f"call_{name}", None)
        if builtin is not None:
            return builtin(node)
        if name in ("Int", "Float", "Double", "Single"):
            return self.cast(self.types.names[name], self.expression(node.args[0]))
        callee = self.source.__globals__.get(name)
        if not hasattr(callee, "function"):
            raise self.error(node, f"{name} is neither a word of the kernel language nor a kernel")
        constants = dict(self.types.constants)
        for keyword in node.keywords:
            assert keyword.arg is not None
            constants[keyword.arg] = self.expression(keyword.value)
        code, parameters, result = self.owner.function(callee.function, constants, callee.inline)
        values = [self.as_type(kind, self.expression(a)).ir for kind, a in zip(parameters, node.args, strict=True)]
        return _Value(result, self.x.call(code, values))

    # words of the language

    def call_pointer(self, node: ast.Call) -> _Value:
        kind = _Pointer(self.types.of(node.args[0]))
        value = self.as_type(_I64, self.expression(node.args[1]))
        return _Value(kind, self.x.inttoptr(value.ir, _PTR))

    def call_address(self, node: ast.Call) -> _Value:
        return _Value(_I64, self.x.ptrtoint(self.expression(node.args[0]).ir, _I64))

    def call_local(self, node: ast.Call) -> _Value:
        kind, count = self.types.of(node.args[0]), self.expression(node.args[1])
        slot = self.allocas.alloca(ir.ArrayType(kind, count))
        slot.align = 64
        return _Value(_Pointer(kind), slot)

    def call_load(self, node: ast.Call) -> _Value:
        place = self.expression(node.args[0])
        return _Value(self.types.vector, self.x.load(place.ir, typ=self.types.vector, align=_bytes(self.types.element)))

    def call_store(self, node: ast.Call) -> None:
        place, value = self.expression(node.args[0]), self.as_type(self.types.vector, self.expression(node.args[1]))
        self.x.store(value.ir, place.ir, align=_bytes(self.types.element))

    def call_splat(self, node: ast.Call) -> _Value:
        return self.as_type(self.types.vector, self.expression(node.args[0]))

    def call_fma(self, node: ast.Call) -> _Value:
        values = [self.expression(argument) for argument in node.args]
        kind = self.widest(node, values)
        return self.intrinsic("fma", kind, *(self.as_type(kind, value) for value in values))

    def call_sqrt(self, node: ast.Call) -> _Value:
        value = self.expression(node.args[0])
        return self.intrinsic("sqrt", value.type, value)

    def call_floor(self, node: ast.Call) -> _Value:
        value = self.expression(node.args[0])
        return self.intrinsic("floor", value.type, value)

    def call_log(self, node: ast.Call) -> _Value:
        value = self.expression(node.args[0])
        return self.intrinsic("log", value.type, value)

    def call_power_of_two(self, node: ast.Call) -> _Value:
        value = self.expression(node.args[0])
        single = _bytes(self.types.element) == 4
        integer, bias, shift = (_I32, 127, 23) if single else (_I64, 1023, 52)
        if isinstance(value.type, ir.VectorType):
            integer = ir.VectorType(integer, value.type.count)
        exponent = self.x.add(self.x.fptosi(value.ir, integer), _filled(integer, bias))
        return _Value(value.type, self.x.bitcast(self.x.shl(exponent, _filled(integer, shift)), value.type))

    def call_where(self, node: ast.Call) -> _Value:
        test, yes, no = (self.expression(argument) for argument in node.args)
        return self.select(node, test, yes, no)

    def call_minimum(self, node: ast.Call) -> Any:
        return self.extreme(node, "<")

    def call_maximum(self, node: ast.Call) -> Any:
        return self.extreme(node, ">")

    def extreme(self, node: ast.Call, sign: str) -> Any:
        left, right = (self.expression(argument) for argument in node.args)
        if not isinstance(left, _Value) and not isinstance(right, _Value):
            return min(left, right) if sign == "<" else max(left, right)
        kind, a, b = self.common(node, left, right)
        test = self.x.fcmp_ordered(sign, a, b) if _is_float(kind) else self.x.icmp_signed(sign, a, b)
        return _Value(kind, self.x.select(test, a, b))

    def call_sum_lanes(self, node: ast.Call) -> _Value:
        return self.fold(self.expression(node.args[0]), lambda a, b: self.x.fadd(a, b))

    def call_max_lanes(self, node: ast.Call) -> _Value:
        return self.fold(
            self.expression(node.args[0]), lambda a, b: self.x.select(self.x.fcmp_ordered(">", a, b), a, b)
        )

    def fold(self, value: _Value, combine: Callable[[Any, Any], Any]) -> _Value:
        """Halves a vector until one value is left: a fixed order."""
        code, count = value.ir, value.type.count
        while count > 1:
            count //= 2
            undefined = ir.Constant(code.type, ir.Undefined)
            halves = [
                self.x.shuffle_vector(
                    code, undefined, ir.Constant(ir.VectorType(_I32, count), list(range(s, s + count)))
                )
                for s in (0, count)
            ]
            code = combine(*halves)
        return _Value(value.type.element, self.x.extract_element(code, ir.Constant(_I32, 0)))

    def call_fetch_add(self, node: ast.Call) -> _Value:
        place, amount = self.expression(node.args[0]), self.as_type(_I64, self.expression(node.args[1]))
        return _Value(_I64, self.x.atomic_rmw("add", place.ir, amount.ir, "monotonic"))

    def intrinsic(self, name: str, kind: Any, *values: _Value) -> _Value:
        shape = f"v{kind.count}" if isinstance(kind, ir.VectorType) else ""
        element = kind.element if shape else kind
        full = f"llvm.{name}.{shape}f{_bytes(element) * 8}"
        code = self.owner.module.globals.get(full)
        if code is None:
            code = ir.Function(self.owner.module, ir.FunctionType(kind, [kind] * len(values)), full)
        return _Value(kind, self.x.call(code, [value.ir for value in values]))

    # helpers

    def binary(self, node: ast.AST, op: ast.operator, left: Any, right: Any) -> Any:
        if not isinstance(left, _Value) and not isinstance(right, _Value):
            return _FOLD[type(op)](left, right)
        if isinstance(left, _Value) and isinstance(left.type, _Pointer):
            offset = self.as_type(_I64, right)
            if isinstance(op, ast.Sub):
                offset = _Value(_I64, self.x.neg(offset.ir))
            return _Value(left.type, self.x.gep(left.ir, [offset.ir], source_etype=left.type.element))
        kind, a, b = self.common(node, left, right)
        if _is_float(kind):
            method = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}[type(op)]
            return _Value(kind, getattr(self.x, method)(a, b, flags=("contract",)))
        method = _INTEGER[type(op)]
        flags = {"flags": ("nsw",)} if method in ("add", "sub", "mul") else {}
        return _Value(kind, getattr(self.x, method)(a, b, **flags))

    def common(self, node: ast.AST, left: Any, right: Any) -> tuple[Any, Any, Any]:
        kind = self.widest(node, [left, right])
        return kind, self.as_type(kind, left).ir, self.as_type(kind, right).ir

    def widest(self, node: ast.AST, values: list[Any]) -> Any:
        kinds = [value.type for value in values if isinstance(value, _Value)]
        for kind in kinds:
            if isinstance(kind, ir.VectorType):
                return kind
        if any(kind != kinds[0] for kind in kinds):
            raise self.error(node, f"types differ: {', '.join(str(kind) for kind in kinds)}; cast one")
        return kinds[0]

    def select(self, node: ast.AST, test: _Value, yes: Any, no: Any) -> _Value:
        if not isinstance(yes, _Value) and not isinstance(no, _Value):
            yes = self.as_type(self.types.element if isinstance(yes, float) else _I64, yes)
        kind, a, b = self.common(node, yes, no)
        condition = test.ir if isinstance(test.type, ir.VectorType) else self.truth(test)
        return _Value(kind, self.x.select(condition, a, b))

    def as_type(self, kind: Any, value: Any) -> _Value:
        """`value` as `kind` where no information is lost: a Python number, the same type, or a scalar to spread."""
        if isinstance(kind, ir.VectorType) and not (isinstance(value, _Value) and value.type == kind):
            scalar = self.as_type(kind.element, value)
            undefined = ir.Constant(kind, ir.Undefined)
            first = self.x.insert_element(undefined, scalar.ir, ir.Constant(_I32, 0))
            mask = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
            return _Value(kind, self.x.shuffle_vector(first, undefined, mask))
        if not isinstance(value, _Value):
            return _Value(kind, ir.Constant(kind, float(value) if _is_float(kind) else int(value)))
        if value.type == kind:
            return value
        if kind == _I64 and value.type == _I1:
            return _Value(_I64, self.x.zext(value.ir, _I64))
        raise self.error(self.tree, f"a value of type {value.type} where {kind} is expected; cast it")

    def cast(self, kind: Any, value: Any) -> _Value:
        if not isinstance(value, _Value) or value.type == kind or isinstance(kind, _Pointer | ir.VectorType):
            return self.as_type(kind, value)
        if _is_float(kind):
            if _is_float(value.type):
                change = self.x.fpext if _bytes(kind) > _bytes(value.type) else self.x.fptrunc
                return _Value(kind, change(value.ir, kind))
            return _Value(kind, self.x.sitofp(value.ir, kind))
        return _Value(kind, self.x.fptosi(value.ir, kind) if _is_float(value.type) else self.as_type(kind, value).ir)

    def truth(self, value: _Value) -> Any:
        return value.ir if value.type == _I1 else self.x.icmp_signed("!=", value.ir, ir.Constant(value.type, 0))

    def element(self, node: ast.Subscript) -> tuple[Any, Any]:
        base = self.expression(node.value)
        if not (isinstance(base, _Value) and isinstance(base.type, _Pointer)):
            raise self.error(node, "only pointers can be indexed")
        index = self.as_type(_I64, self.expression(node.slice))
        return self.x.gep(base.ir, [index.ir], source_etype=base.type.element), base.type.element

    def error(self, node: ast.AST, what: str) -> KernelError:
        line = getattr(node, "lineno", 0)
        return KernelError(f"kernel {self.source.__name__}, line {line}: {what}")


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    assert isinstance(target, ast.Subscript)
    return ast.Subscript(target.value, target.slice, ast.Load())


def _filled(kind: Any, value: int) -> ir.Constant:
    return ir.Constant(kind, [value] * kind.count if isinstance(kind, ir.VectorType) else value)


def _ir_type(kind: Any) -> Any:
    return _PTR if isinstance(kind, _Pointer) else kind


def _is_float(kind: Any) -> bool:
    return isinstance(kind.element if isinstance(kind, ir.VectorType) else kind, ir.FloatType | ir.DoubleType)


def _bytes(kind: Any) -> int:
    return 4 if kind == _F32 else 8 if kind == _F64 else kind.width // 8


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
