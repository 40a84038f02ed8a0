"""Arguments and inputs: read from the resolver's signature, shown as GraphQL, turned back into domain values.

A resolver speaks of `BrandId`, `PageArgs` or a frozen dataclass of the domain. Here each becomes what a client sends
(an opaque ID, first/after/last/before, an input object) and what came is checked and converted on its way in.
"""

import dataclasses
import inspect
import types
from collections.abc import Callable
from enum import Enum
from functools import cached_property, partial
from typing import Annotated, Any, ForwardRef, Union, get_args, get_origin, get_type_hints

import strawberry
from strawberry.scalars import JSON
from strawberry.types.lazy_type import LazyType, StrawberryLazyReference
from strawberry.types.unset import UNSET

from domain.errors import BadInput
from domain.ids import ABSENT, Absent, NodeOf, Wide
from domain.inputs import AnyJson
from domain.page import PageArgs
from resolvers.nodes import AnyId
from schema import ids
from schema.scalars import Int64

Convert = Callable[[Any, str], Any]
MAX_FIRST = 100


@dataclasses.dataclass(frozen=True)
class Shape:
    """How a domain type looks in GraphQL, and how a value of it is read."""

    annotation: Any
    convert: Convert


class Argument:
    """One parameter of a resolver."""

    def __init__(self, name: str, shape: Shape, default: Any) -> None:
        self.name = name
        self.shape = shape
        self.default = default
        self._shown = _camel(name)

    def parameters(self) -> list[inspect.Parameter]:
        """Return the GraphQL arguments it stands for."""
        return [_parameter(self.name, self.shape.annotation, self.default)]

    def convert(self, given: Any, path: str) -> Any:
        return self.shape.convert(given, path)

    def take(self, given: dict[str, Any], context: Any) -> Any:
        """Return the domain value among the arguments that came."""
        sent = given.get(self.name, UNSET)
        sent = self.default if sent is UNSET else sent
        converted = self.shape.convert(sent, self._shown)
        if self.name == "first" and not 1 <= converted <= MAX_FIRST:
            raise BadInput(f"first must be between 1 and {MAX_FIRST}.", field=("first",))
        return converted


class _PageArgument(Argument):
    """The four arguments of a connection, read as one window."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Shape(None, _keep), None)

    def parameters(self) -> list[inspect.Parameter]:
        kinds = {"first": int, "after": str, "last": int, "before": str}
        return [_parameter(name, kind | None, None) for name, kind in kinds.items()]

    def take(self, given: dict[str, Any], context: Any) -> PageArgs:
        names = ("first", "after", "last", "before")
        window = {name: None if given.get(name) is UNSET else given.get(name) for name in names}
        return PageArgs(**window, limit=context.max_page)


def read_arguments(resolver: Callable[..., Any], *, skip: int) -> list[Argument]:
    """Return the arguments of a resolver after its first `skip` parameters."""
    hints = get_type_hints(resolver, include_extras=True)
    parameters = list(inspect.signature(resolver).parameters.values())[skip:]
    return [_argument(p.name, hints[p.name], p.default) for p in parameters]


def input_argument(resolver: Callable[..., Any]) -> Argument:
    """Return the one `input` of a mutation; its GraphQL type is named after the mutation."""
    hints = get_type_hints(resolver, include_extras=True)
    name = "".join(word.capitalize() for word in resolver.__name__.split("_")) + "Input"
    return Argument("input", _input_shape(hints["input"], name), inspect.Parameter.empty)


def _argument(name: str, hint: Any, default: Any) -> Argument:
    return _PageArgument(name) if hint is PageArgs else Argument(name, _shape(hint), default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    # a default of null is no default: strawberry leaves UNSET out of the schema
    shown = UNSET if default is None else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=annotation)


def _keep(given: Any, path: str) -> Any:
    return given


def _shape(hint: Any) -> Shape:
    """Find the GraphQL look and the reader of a domain type."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _marked(*get_args(hint))
    if origin in (Union, types.UnionType):
        return _optional(list(get_args(hint)))
    if origin is list:
        return _listed(get_args(hint)[0])
    if hint is AnyId:
        return Shape(strawberry.ID, lambda given, path: AnyId(*ids.decode(given, path)))
    if hint is str:
        return Shape(str, _text)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return Shape(enum_type(hint), _keep)
    if dataclasses.is_dataclass(hint):
        return _input_shape(hint, f"{hint.__name__.removesuffix('Input')}Input")  # type: ignore[union-attr]
    return Shape(hint, _keep)


def _text(given: Any, path: str) -> Any:
    # PostgreSQL has no NUL in a text and no half of a surrogate pair in UTF-8
    if "\0" in given or any("\ud800" <= letter <= "\udfff" for letter in given):
        raise BadInput(f"{path} holds a character that cannot be stored.", field=path.split("."))
    return given


def _object(given: Any, path: str) -> Any:
    if not isinstance(given, dict):
        raise BadInput(f"{path} must be an object.", field=path.split("."))
    return given


def _marked(hint: Any, *marks: Any) -> Shape:
    for mark in marks:
        if isinstance(mark, NodeOf):
            return Shape(strawberry.ID, partial(ids.decode_as, mark.kind))
        if isinstance(mark, Wide):
            return Shape(Int64, _keep)
        if isinstance(mark, AnyJson):
            return Shape(JSON, _object)
    return _shape(hint)


def _optional(arms: list[Any]) -> Shape:
    kept = [arm for arm in arms if arm is not type(None) and arm is not Absent]
    inner = _shape(kept[0])
    nullable = type(None) in arms or Absent in arms

    def convert(given: Any, path: str) -> Any:
        if given is UNSET or given is ABSENT:
            return ABSENT if Absent in arms else None
        if given is None and type(None) not in arms:
            raise BadInput(f"{path} cannot be null.", field=path.split("."))
        return None if given is None else inner.convert(given, path)

    return Shape(inner.annotation | None if nullable else inner.annotation, convert)


def _listed(item: Any) -> Shape:
    inner = _shape(item)

    def convert(given: Any, path: str) -> Any:
        return [inner.convert(one, f"{path}.{position}") for position, one in enumerate(given)]

    return Shape(list[inner.annotation], convert)  # type: ignore[name-defined]


_ENUMS: dict[type[Enum], Any] = {}
_INPUTS: dict[tuple[Any, str], Shape] = {}


def enum_type(enum: type[Enum]) -> Any:
    """Declare a domain enum in GraphQL, once."""
    if enum not in _ENUMS:
        _ENUMS[enum] = strawberry.enum(enum, description=_sentence(enum))
    return _ENUMS[enum]


def _input_shape(model: Any, name: str) -> Shape:
    """Declare a domain dataclass as an input object, once, and build the reader that makes it again."""
    known = _INPUTS.get((model, name))
    if known is not None:
        return known
    readers: dict[str, Convert] = {}

    def convert(given: Any, path: str) -> Any:
        values = {
            field: read(getattr(given, field), f"{path}.{_camel(field)}")
            for field, read in readers.items()
            if getattr(given, field) is not UNSET or field in absentable
        }
        return model(**values)

    shape = _INPUTS[model, name] = Shape(Annotated[name, _Forward(__name__)], convert)
    hints = get_type_hints(model, include_extras=True)
    annotations: dict[str, Any] = {}
    namespace: dict[str, Any] = {"__annotations__": annotations, "__module__": __name__}
    absentable = {field for field, hint in hints.items() if Absent in get_args(hint)}
    for field in dataclasses.fields(model):
        inner = _shape(hints[field.name])
        annotations[field.name], readers[field.name] = inner.annotation, inner.convert
        said = field.metadata.get("said")
        namespace[field.name] = strawberry.field(name=_camel(field.name), description=said, **_default(field))
    if name in globals():
        raise TypeError(f"two inputs would be called {name}")
    globals()[name] = strawberry.input(type(name, (), namespace), name=name, description=_sentence(model))
    return shape


class _Known(LazyType[Any, Any]):
    """A type by its name, found once: strawberry would look for its module, and at its file, for every value read."""

    @cached_property
    def _found(self) -> type[Any]:
        return super().resolve_type()

    def resolve_type(self) -> type[Any]:
        return self._found


class _Forward(StrawberryLazyReference):
    def resolve_forward_ref(self, forward_ref: ForwardRef) -> LazyType[Any, Any]:
        return _Known(forward_ref.__forward_arg__, self.module, self.package)


def _default(field: Any) -> dict[str, Any]:
    if field.default is ABSENT or field.default is None:
        return {"default": UNSET}
    if field.default is not dataclasses.MISSING:
        return {"default": field.default}
    if field.default_factory is not dataclasses.MISSING:
        return {"default_factory": field.default_factory}
    return {}


def _sentence(owner: Any) -> str:
    return inspect.cleandoc(owner.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def _camel(name: str) -> str:
    head, *rest = name.rstrip("_").split("_")
    return head + "".join(word.capitalize() for word in rest)
