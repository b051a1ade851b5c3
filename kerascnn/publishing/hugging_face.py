"""Publishes a folder on the Hugging Face hub, by its own library and with the token that this library finds."""

from pathlib import Path

from kerascnn.cli.extras import require
from kerascnn.errors import UserError
from kerascnn.publishing.destination import Destination


def check() -> None:
    """Raises UserError if the library or a token is missing."""
    require("hub", "huggingface_hub")
    import huggingface_hub

    if huggingface_hub.get_token() is None:
        raise UserError("the hub needs a token with write access: `hf auth login`, or the variable HF_TOKEN")


def push(folder: Path, to: Destination, *, public: bool, message: str) -> str:
    """Uploads a folder as one commit; the repository is made if it is missing.

    Args:
        folder: The folder; files of the repository that it lacks stay.
        to: The repository.
        public: Whether a repository that is made here is public. One that exists stays as it is.
        message: Title of the commit.

    Returns:
        The address of the commit.

    Raises:
        UserError: The hub refuses it, or cannot be reached.
    """
    import huggingface_hub

    api = huggingface_hub.HfApi()
    try:
        api.create_repo(to.repository, private=not public, exist_ok=True)
        done = api.upload_folder(repo_id=to.repository, folder_path=folder, commit_message=message)
    except Exception as error:  # of HTTP, of the network, of names: each has a class of its own
        raise UserError(f"{to} was not published: {' '.join(str(error).split())[:400]}") from error
    return str(done.commit_url)
