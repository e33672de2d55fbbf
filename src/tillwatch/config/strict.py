"""What every file of a chain directory has in common: frozen, strict, and a place for what plugins understand."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic import Field as Key
from pydantic_core import CoreSchema

from tillwatch.config.bind import EMPTY, Located, Raw
from tillwatch.config.yaml import Mapping


class Strict(BaseModel):
    """Frozen, and an unknown key is an error. Python code may use field names, files use the keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class WithOptions(Strict):
    """Keys we do not know belong to the plugin and are kept as located nodes in `options`."""

    options: Annotated[Raw, Key(repr=False)] = EMPTY

    @model_validator(mode="before")
    @classmethod
    def _keep_the_rest(cls, value: Any) -> Any:
        if not isinstance(value, Located):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()} - {"options"}
        mine = {key: item for key, item in value.items() if key in known}
        rest = {key: item for key, item in value.node.entries.items() if key not in known}
        places = {key: value.node.keys[key] for key in rest}
        return {**mine, "options": Mapping(place=value.node.place, entries=rest, keys=places)}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shape = handler.resolve_ref_schema(handler(schema))
        shape["properties"].pop("options")
        shape["additionalProperties"] = True
        return shape
