"""Where the server keeps everything, unless told otherwise."""

import argparse
from pathlib import Path

import platformdirs

NAME = "magicanimate"


def default_data_dir() -> Path:
    """The user's data folder by the rules of the operating system."""
    return platformdirs.user_data_path(NAME, appauthor=False)


def add_data_dir_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, default=default_data_dir(), metavar="FOLDER", help="data folder (default: %(default)s)"
    )
