"""How the words of a file are read: strictly, and with short forms that the schema knows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class Words(BaseModel):
    """A mapping of a file: known keys only, nothing converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def keys_at(cls, place: Iterable[str | int]) -> tuple[str, ...]:
        """Return the keys of the mapping at `place`, which is below one of this kind."""
        kind: type[Words] | None = cls
        for part in place:
            if kind is not None and isinstance(part, str):
                fields = {field.alias or name: field for name, field in kind.model_fields.items()}
                kind = _kind_in(fields[part].annotation) if part in fields else None
        if kind is None:
            return ()
        return tuple(field.alias or name for name, field in kind.model_fields.items())


def _kind_in(annotation: object) -> type[Words] | None:
    """Return the kind of mapping that an annotation is about, however it is wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, Words):
        return annotation
    found = (_kind_in(argument) for argument in get_args(annotation))
    return next((kind for kind in found if kind is not None), None)


class Said:
    """A key that may be left out, but not left empty: it would be a demand nobody makes."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the validator of what is there, without the `None` of what is not."""
        nullable: Any = handler(source)
        required: CoreSchema = nullable["schema"]
        return required


class OrWord:
    """In the JSON Schema: these words stand for the long form as well."""

    def __init__(self, *words: str) -> None:
        self._words = words

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema of the long form, or one of the words."""
        return {"anyOf": [{"enum": list(self._words)}, handler(schema)]}


class OrOne:
    """In the JSON Schema: one item stands for a list of it as well."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema of the list, or of its item."""
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


class OrName:
    """In the JSON Schema: a name stands for a mapping with that name as well."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema of the mapping, or of a name."""
        return {"anyOf": [{"type": "string"}, handler(schema)]}


class Read:
    """Read a value with a function of our own, which raises ValueError for what it is not."""

    def __init__(self, read: Callable[[object], Any], schema: Mapping[str, Any]) -> None:
        """Take the function, and what the JSON Schema says about the values it takes."""
        self._read = read
        self._schema = schema

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> CoreSchema:
        """Return the validator."""
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, _: CoreSchema, __: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the schema."""
        return dict(self._schema)
