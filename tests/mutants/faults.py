"""Single faults of a module, each one that a reviewer would call a bug: the text with one place changed."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any", "ceil": "floor", "floor": "ceil"}
LONGEST = 60
"""Characters of a place that are shown."""
ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True, slots=True)
class Fault:
    """A changed place of a module."""

    kind: str
    line: int
    """From 1."""
    old: str
    """The source of the place, on one line."""
    new: str
    source: str
    """The whole module with the fault in it."""

    text: str
    """The line as it was, without its indentation."""

    @property
    def name(self) -> str:
        """What tells the fault from others of its module, whatever is written above it."""
        return f"{self.text} ({self.kind}: {self.old} → {self.new})"


def faults(source: str) -> Iterator[Fault]:
    """Every fault of the module `source`, in the order of its lines; those that do not compile are left out."""
    data, lines = source.encode(), source.splitlines()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node in _nodes(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        old = data[begin:end].decode()
        for kind, make in _changes(node):
            new = make()
            changed = (data[:begin] + new.encode() + data[end:]).decode()
            try:
                compile(changed, "mutant", "exec")
            except SyntaxError:
                continue
            text = lines[node.lineno - 1].strip()
            yield Fault(kind, node.lineno, shortened(old), shortened(new), changed, text)


def shortened(text: str) -> str:
    """`text` on one line, cut to `LONGEST` characters."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _nodes(node: ast.AST) -> Iterator[ast.stmt | ast.expr | ast.ExceptHandler]:
    """What may be changed below `node`: no annotations, texts, logging, imports for types only, slots of classes."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Global() | ast.arguments(defaults=[]):
                continue
            case ast.Expr(value=ast.Constant()) | ast.Raise() | ast.Assert():
                continue
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log")))):
                continue
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.AnnAssign():
                yield from _nodes(ast.Expr(child.value)) if child.value else ()
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                for part in (*child.args.defaults, *(default for default in child.args.kw_defaults if default)):
                    yield from _nodes(ast.Expr(part))
                yield from _nodes(ast.Module(child.body, []))
                continue
            case ast.ClassDef():
                yield from _nodes(ast.Module(child.body, []))
                continue
            case ast.stmt() | ast.expr() | ast.ExceptHandler():
                yield child
        yield from _nodes(child)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[], str]]]:  # noqa: PLR0912 - one case for each kind
    """The kinds of fault that `node` can have, each with what makes its new source."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARED:
            yield "comparison", partial(_with, node, ops=[COMPARED[type(operator)]()])
        case ast.BinOp(left=left, op=ast.BitOr()):
            yield "flag removed", partial(_text, left)
        case ast.BinOp(op=operator, left=left, right=right) if type(operator) in COMPUTED and not (
            _is_text(left) or _is_text(right)
        ):
            yield "operator", partial(_with, node, op=COMPUTED[type(operator)]())
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            yield "sign" if isinstance(node.op, ast.USub) else "negation", partial(_text, operand)
        case ast.Constant(value=bool(value)):
            yield "constant", partial(repr, not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", partial(repr, value + 1 if isinstance(value, int) else value * 1.25 or 0.5)
        case ast.BoolOp(op=operator, values=[first, *_]):
            yield "and/or", partial(_with, node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
            yield "operand dropped", partial(_text, first)
        case ast.If(body=[*_, ast.stmt() as last], orelse=[]) if isinstance(last, ENDS):
            yield "guard dropped", lambda: "pass"
        case ast.If(test=test) | ast.IfExp(test=test):
            yield "condition negated", partial(_with, node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Expr(value=ast.Call()):
            yield "call dropped", lambda: "pass"
        case ast.AugAssign(op=operator):
            yield "assignment dropped", lambda: "pass"
            if type(operator) in COMPUTED:
                yield "operator", partial(_with, node, op=COMPUTED[type(operator)]())
        case ast.ExceptHandler(type=kind):
            head = f"except {_text(kind)} as _error:" if kind else "except BaseException as _error:"
            yield "except branch dropped", lambda: f"{head} raise"
        case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="suppress")) as call)], body=body):
            suppressing = ast.withitem(ast.Call(call.func, [], []))
            yield "except branch dropped", partial(_with, node, items=[suppressing], body=body)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant | ast.Name):
            yield "nothing returned", lambda: "return None"
        case ast.Call():
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[tuple[str, Callable[[], str]]]:
    is_symmetric = isinstance(node.func, ast.Name) and node.func.id in {"min", "max", "isinstance"}
    if isinstance(node.func, ast.Name) and node.func.id in CALLED:
        yield "function", partial(_with, node, func=ast.Name(CALLED[node.func.id]))
    match node.args:
        case [first, second, *rest] if not any(isinstance(arg, ast.Starred) for arg in node.args):
            if ast.dump(first) != ast.dump(second) and _is_value(first) and _is_value(second) and not is_symmetric:
                yield "arguments swapped", partial(_with, node, args=[second, first, *rest])
    for index, keyword in enumerate(node.keywords):
        if keyword.arg is not None:
            yield "argument dropped", partial(_with, node, keywords=node.keywords[:index] + node.keywords[index + 1 :])


def _with(node: ast.stmt | ast.expr, **fields: object) -> str:
    """The source of `node` with other `fields`."""
    kept = {name: getattr(node, name) for name in node._fields if hasattr(node, name)}
    changed = type(node)(**(kept | fields))
    ast.copy_location(changed, node)
    text = ast.unparse(ast.fix_missing_locations(changed))
    if isinstance(node, ast.expr):
        return f"({text})"
    return text.replace("\n", "\n" + " " * node.col_offset)


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def _is_value(node: ast.expr) -> bool:
    """Whether `node` may be of the same type as its neighbour, so that a swap is more than an error of types."""
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp)


def _is_text(node: ast.expr) -> bool:
    """Whether `node` is a text, so that a fault in it would only be an error of types."""
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))
