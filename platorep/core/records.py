"""Records as JSON values, and specs: records with a content key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from typing import Any, ClassVar, Literal, Self

from platorep.core.errors import SpecError, unknown_name


SPEC_VERSION = 1
"""Incremented when the meaning of a spec changes; part of every key."""

LABEL = {"label": True}
"""Metadata of labels for people, which cannot change a feature and are not part of the key."""

LATER = {"later": True}
"""Metadata of fields added later: the key omits them at their default, so keys of existing features stay valid."""


class Record:
    """Conversion of a frozen dataclass to and from JSON."""

    __slots__ = ()

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]  # subclasses are dataclasses

    def to_dict(self) -> dict[str, Any]:
        """The spec as JSON values: all fields, with nested specs as dicts."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Builds a spec from the values of `to_dict` or of a configuration.

        Raises:
            UnknownNameError: the spec has no field of that name.
            SpecError: a field is missing or has an invalid value.
        """
        hints = typing.get_type_hints(cls)
        fields = {f.name: f for f in dataclasses.fields(cls)}
        fields_read = {}
        for name, value in values.items():
            if name not in fields:
                raise unknown_name(f"field of {cls.__name__}", name, fields)
            fields_read[name] = _read(f"{cls.__name__}.{name}", hints[name], value)
        required = {
            n
            for n, f in fields.items()
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        if missing := sorted(required - set(fields_read)):
            raise SpecError(
                f"{cls.__name__} lacks {', '.join(missing)}; got only {', '.join(sorted(fields_read)) or 'nothing'}."
            )
        return cls(**fields_read)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)


class Spec(Record):
    """A record with a content key."""

    __slots__ = ()

    def identity(self) -> dict[str, Any]:
        """The fields that the key covers, also in nested specs: all but labels and later fields at their default."""
        return {
            f.name: _identity(getattr(self, f.name))
            for f in dataclasses.fields(self)
            if not f.metadata.get("label") and not (f.metadata.get("later") and getattr(self, f.name) == f.default)
        }

    def key(self) -> str:
        """First 12 hex digits of SHA-256 over the canonical JSON of `identity()`, kind and spec version."""
        body = {"spec": type(self).__name__, "version": SPEC_VERSION, **self.identity()}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _identity(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.identity()
    if isinstance(value, dict):
        return {k: _identity(v) for k, v in value.items()}
    return [_identity(v) for v in value] if isinstance(value, (list, tuple)) else value


def _read(where: str, hint: Any, value: Any) -> Any:
    """Converts `value` to the annotated type, or raises a SpecError that names the field."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            if type(None) in args:
                return None
            raise SpecError(f"{where} must not be null.")
        choices = [a for a in args if a is not type(None)]
        errors = []
        for choice in choices:
            try:
                return _read(where, choice, value)
            except SpecError as error:
                errors.append(str(error))
        raise SpecError(errors[0] if len(errors) == 1 else f"{where}: got {value!r}; " + "; or ".join(errors))
    if origin is Literal:
        if value not in args:
            raise SpecError(f"{where} is {value!r}; expected one of {', '.join(map(repr, args))}.")
        return value
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise SpecError(f"{where} is {value!r}; expected a list.")
        return tuple(_read(where, args[0], v) for v in value)
    if origin is dict:
        if not hasattr(value, "items"):
            raise SpecError(f"{where} is {value!r}; expected a mapping.")
        return {str(k): _read(f"{where}.{k}", args[1], v) for k, v in value.items()}
    if isinstance(hint, type) and issubclass(hint, Record):
        return value if isinstance(value, hint) else hint.from_dict(dict(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any:
        return value
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SpecError(f"{where} is {value!r} ({type(value).__name__}); expected {hint.__name__}.")
    return value
