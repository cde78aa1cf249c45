"""The training methods, one module each: how the model that is trained is made, and what a training leaves of it."""

from ftassets.workers.training.methods.base import Method
from ftassets.workers.training.methods.full import Full
from ftassets.workers.training.methods.lora import Lora
from ftassets.workers.training.methods.prefix import Prefix
from ftassets.workers.training.methods.qlora import QLora

METHODS: dict[str, type[Method]] = {"lora": Lora, "qlora": QLora, "prefix": Prefix, "full": Full}
