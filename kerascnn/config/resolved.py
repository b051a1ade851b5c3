"""A config whose data are known. The settings that the data decide have values, and their types say so."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from kerascnn.config import Config, Data, Fit


class ResolvedData(Data):
    """The data section with the size and the resizing that its images have."""

    if TYPE_CHECKING:  # the same fields, with their bounds and defaults; `ResolvedConfig` checks that they have values
        image_size: int
        resize: Literal["crop", "pad", "squash"]


class ResolvedFit(Fit):
    """The fit section with its number of epochs."""

    if TYPE_CHECKING:
        epochs: int
        low_res_epochs: int


# What a resolved config says, with what stands there before.
_DECIDED = (
    ("data", "image_size", None),
    ("data", "resize", "auto"),
    ("fit", "epochs", None),
    ("fit", "low_res_epochs", None),
)


class ResolvedConfig(Config):
    """The config of a run: what `training.resolve` makes of a `Config`, and what a run keeps."""

    data: ResolvedData
    fit: ResolvedFit

    @model_validator(mode="after")
    def _decided(self) -> "ResolvedConfig":
        left = [f"{section}.{key}" for section, key, open_ in _DECIDED if getattr(getattr(self, section), key) == open_]
        if left:
            raise ValueError(f"expected a config whose data are known: {', '.join(left)} left to decide")
        return self

    @classmethod
    def of(cls, config: Config, **sections: dict[str, Any]) -> "ResolvedConfig":
        """`config` with what its data decide: each keyword names a section and gives the fields that change.

        Raises:
            FieldError: One of them is still left to decide.
        """
        known = {name: {**dict(getattr(config, name)), **sections.get(name, {})} for name in Config.model_fields}
        return cls.model_validate(known)
