"""`python -m ftassets.gateway.model_hosts.transformers_serve VERSION`: check every byte of a version, then become its `transformers serve`.

The check comes before every start, also when supervisord restarts a server: weights that were changed on disk never answer.
"""

import argparse
import os
import sys
from pathlib import Path

from ftassets.backends.artifacts.version_folder import VersionDamaged, verify_folder
from ftassets.domain.release.version import MERGED
from ftassets.gateway.model_hosts.programs import DAMAGED
from ftassets.processor import has_bf16

_BLOCK = 64  # tokens
_BLOCKS = 64
CONTEXT = _BLOCK * _BLOCKS  # the cache all requests share; one that alone is larger ends the engine


def main() -> int:
    """Does not return when the version is sound."""
    parser = argparse.ArgumentParser(prog="model_server")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="an empty folder: nothing is taken from a hub cache")
    args = parser.parse_args()
    try:
        verify_folder(args.folder)
    except VersionDamaged as error:
        print(error, file=sys.stderr)
        return DAMAGED
    args.cache.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_CACHE": str(args.cache.resolve()),
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    os.chdir(args.folder)  # the start argument is the model's name: every version answers to the same
    # -P: a file in the version's folder must never be imported
    command = [
        sys.executable,
        "-P",
        "-m",
        "transformers.cli.transformers",
        "serve",
        MERGED,
        "--host",
        "127.0.0.1",
        "--port",
        str(args.port),
        "--device",
        "cpu",
        "--continuous-batching",
        "--attn-implementation",
        "sdpa",
        "--dtype",
        "auto" if has_bf16() else "float32",
        "--cb-num-blocks",
        str(_BLOCKS),
        "--cb-block-size",
        str(_BLOCK),
        "--cb-max-batch-tokens",
        "512",
    ]
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
