"""Publishes a folder as a Keras model on Kaggle, by Kaggle's own library and with the credentials that it finds."""

from pathlib import Path

from kerascnn.cli.extras import require
from kerascnn.errors import UserError
from kerascnn.publishing.destination import Destination

VARIATION = "keras/default"  # Kaggle keeps variations of a model by their framework


def check() -> None:
    """Raises UserError if the library or the credentials are missing."""
    require("kaggle", "kagglehub")
    from kagglehub.config import get_kaggle_credentials

    if get_kaggle_credentials() is None:
        raise UserError("Kaggle needs your credentials: ~/.kaggle/kaggle.json, or KAGGLE_USERNAME and KAGGLE_KEY")


def handle_of(to: Destination) -> str:
    """Returns Kaggle's name of the model."""
    return f"{to.repository}/{VARIATION}"


def push(folder: Path, to: Destination, *, license_name: str | None, message: str) -> str:
    """Uploads a folder as a new version of a model, which is made, private, if it is missing.

    Args:
        folder: The folder.
        to: The model.
        license_name: Name of the license as Kaggle writes it, or None.
        message: Notes of the version.

    Returns:
        The address of the model.

    Raises:
        UserError: Kaggle refuses it, or cannot be reached.
    """
    import kagglehub

    try:
        kagglehub.model_upload(handle_of(to), str(folder), license_name=license_name, version_notes=message)
    except Exception as error:  # of HTTP, of the network, of names: each has a class of its own
        raise UserError(f"{to} was not published: {' '.join(str(error).split())[:400]}") from error
    return f"https://www.kaggle.com/models/{handle_of(to)}"
