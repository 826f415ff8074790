"""Sends an export of ``--to hf`` to the Hugging Face hub, where that was asked for."""

from xdetr_data.errors import ConfigError, OutputError
from xdetr_data.storage import Folder

_REMEDY = "log in with 'hf auth login' or set HF_TOKEN, and say 'hf upload' or export with --overwrite"


def check_push(repository: str, to: str, out: Folder) -> None:
    """Raises ConfigError for a repository that cannot be one, before anything is written."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    if to != "hf" or not out.is_local:
        raise ConfigError("--push sends what --to hf writes into a local folder; give both, or leave --push out")
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ConfigError(f"--push {repository!r} is no repository: {str(error).splitlines()[0]}") from error


def push(out: Folder, repository: str, *, private: bool) -> str:
    """Makes the repository where it is not there yet, and sends all files in one commit; returns its address.

    Raises OutputError where the hub cannot be reached or refuses.
    """
    from huggingface_hub import HfApi

    hub = HfApi()
    try:
        made = hub.create_repo(repository, repo_type="dataset", private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=made.repo_id,
            repo_type="dataset",
            folder_path=out.path(""),
            commit_message="Add dataset",
        )
    except Exception as error:  # of which HTTP library errors are differs from version to version
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise OutputError(
            f"{repository}: could not be sent to the hub ({why}); {out.url} is complete: {_REMEDY}"
        ) from error
    return str(made)
