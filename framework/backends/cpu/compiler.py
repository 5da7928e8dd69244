"""Compiles kernels: functions written in the subset of Python that `lang` describes, to LLVM IR."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import llvmlite.ir as ir

from framework.backends.cpu.expressions import (
    F32,
    F64,
    I8,
    I32,
    I64,
    Expressions,
    KernelError,
    Pointer,
    Value,
    byte_size,
    ir_type,
)  # fmt: skip


def emit(function: Callable[..., Any], constants: Mapping[str, Any]) -> str:
    """LLVM IR of `function` and of every kernel it calls, specialised for `constants` (LANES, Float, capitals)."""
    module = ir.Module(name=function.__name__)
    _Module(module).function(function, constants)
    return str(module)


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
                ir.VoidType() if result is None else ir_type(result), [ir_type(p) for p in parameters]
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
        self.element = {"float32": F32, "float64": F64}[constants.get("Float", "float32")]
        self.vector = ir.VectorType(self.element, int(constants.get("LANES", 4)))
        self.names = {
            "Int": I64, "Int32": I32, "Byte": I8, "Float": self.element, "Double": F64, "Single": F32,
            "Vector": self.vector,
        }  # fmt: skip

    def of(self, node: ast.expr | None) -> Any:
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Pointer":
            return Pointer(self.of(node.slice))
        if isinstance(node, ast.Constant) and node.value is None:
            return None
        raise KernelError(f"not a type of the kernel language: {ast.unparse(node) if node else 'nothing'}")


class _Function(Expressions):
    """Emits one function. Expressions known when compiling are plain Python numbers; the rest are `Value`s."""

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
            self.assign(argument.arg, Value(kind, value))
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
            getattr(self, f"do_{type(statement).__name__.lower()}", self.unknown)(statement)

    def unknown(self, node: ast.AST) -> Any:
        raise self.error(node, f"{type(node).__name__} is not in the kernel language")

    def do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.expression(node.value)

    def do_pass(self, node: ast.Pass) -> None:
        pass

    def do_assign(self, node: ast.Assign) -> None:
        target = node.targets[0]
        if len(node.targets) > 1 or isinstance(target, ast.Tuple):
            raise self.error(node, "assign one name at a time")
        self.assign_to(target, self.expression(node.value))

    def do_annassign(self, node: ast.AnnAssign) -> None:
        assert node.value is not None
        self.assign_to(node.target, self.cast(self.types.of(node.annotation), self.expression(node.value)))

    def do_augassign(self, node: ast.AugAssign) -> None:
        load = ast.copy_location(_as_load(node.target), node.target)
        self.assign_to(node.target, self.binary(node, node.op, self.expression(load), self.expression(node.value)))

    def assign_to(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.assign(target.id, value)
        elif isinstance(target, ast.Subscript):
            where, kind = self.element(target)
            if isinstance(kind, ir.VectorType):
                self.x.store(self.as_type(kind, value).ir, where, align=byte_size(kind.element))
            elif isinstance(kind, ir.IntType) and kind.width < 64:
                self.x.store(self.x.trunc(self.as_type(I64, value).ir, kind), where)
            else:
                self.x.store(self.as_type(kind, value).ir, where)
        else:
            raise self.error(target, "cannot assign to this")

    def assign(self, name: str, value: Any) -> None:
        if name in self.static:
            raise self.error(self.tree, f"{name} is a constant")
        if name not in self.variables:
            if not isinstance(value, Value):
                value = self.as_type(self.types.element if isinstance(value, float) else I64, value)
            self.variables[name] = value.type, self.allocas.alloca(ir_type(value.type))
        kind, slot = self.variables[name]
        self.x.store(self.as_type(kind, value).ir, slot)

    def do_if(self, node: ast.If) -> None:
        test = self.expression(node.test)
        if not isinstance(test, Value):
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

    def do_while(self, node: ast.While) -> None:
        head, body, done = (self.code.append_basic_block(n) for n in ("while", "body", "done"))
        self.x.branch(head)
        self.x.position_at_end(head)
        test = self.expression(node.test)
        if isinstance(test, Value):
            self.x.cbranch(self.truth(test), body, done)
        else:
            self.x.branch(body if test else done)
        self.loops.append((head, done))
        self.branch_block(body, node.body, head)
        self.loops.pop()
        self.x.position_at_end(done)

    def do_for(self, node: ast.For) -> None:
        call, target = node.iter, node.target
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and isinstance(target, ast.Name)):
            raise self.error(node, "loops run over range(...) or unroll(...)")
        bounds = [self.expression(argument) for argument in call.args]
        if call.func.id == "unroll":
            if any(isinstance(bound, Value) for bound in bounds):
                raise self.error(node, "unroll needs bounds known when compiling")
            for value in range(*bounds):
                self.static[target.id] = value
                self.block(node.body)
            self.static.pop(target.id, None)
            return
        first, last, step = (0, bounds[0], 1) if len(bounds) == 1 else (*bounds, 1) if len(bounds) == 2 else bounds
        end, stride = self.as_type(I64, last).ir, self.as_type(I64, step).ir
        down = isinstance(step, int) and step < 0
        head, body, tail, done = (self.code.append_basic_block(n) for n in ("for", "body", "next", "done"))
        self.assign(target.id, self.as_type(I64, first))
        slot = self.variables[target.id][1]
        self.x.branch(head)
        self.x.position_at_end(head)
        self.x.cbranch(self.x.icmp_signed(">" if down else "<", self.x.load(slot, typ=I64), end), body, done)
        self.loops.append((tail, done))
        self.branch_block(body, node.body, tail)
        self.loops.pop()
        self.x.position_at_end(tail)
        self.x.store(self.x.add(self.x.load(slot, typ=I64), stride, flags=("nsw",)), slot)
        self.x.branch(head)
        self.x.position_at_end(done)

    def do_break(self, node: ast.Break) -> None:
        self.x.branch(self.loops[-1][1])

    def do_continue(self, node: ast.Continue) -> None:
        self.x.branch(self.loops[-1][0])

    def do_return(self, node: ast.Return) -> None:
        if node.value is None:
            self.x.ret_void()
        else:
            self.x.ret(self.as_type(self.result, self.expression(node.value)).ir)


def _as_load(target: ast.expr) -> ast.expr:
    if isinstance(target, ast.Name):
        return ast.Name(target.id, ast.Load())
    assert isinstance(target, ast.Subscript)
    return ast.Subscript(target.value, target.slice, ast.Load())
