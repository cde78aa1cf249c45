"""Imported by the process that `started.py` forks workers from: what a training imports, with a worker's settings."""

import os

from ftassets.workers.process import environment, set_up_libraries

os.environ |= environment()
set_up_libraries()

import peft  # noqa: E402, F401
import trl.trainer.sft_trainer  # noqa: E402, F401
from transformers import LlamaForCausalLM  # noqa: E402, F401
