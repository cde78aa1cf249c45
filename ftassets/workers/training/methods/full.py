"""Full fine-tuning: all weights of the base, in fp32 while they are trained, for bf16 would lose small steps."""

from pathlib import Path
from typing import Any

from ftassets.domain.release.version import FULL, MERGED
from ftassets.workers.training.methods.base import Method, load_model, save_merged


class Full(Method):
    """All weights; a version of them has no adapter, only the copy that is served."""

    kind = FULL

    def model(self, tokenizer: Any, dtype: Any) -> Any:
        """The base, or the merged copy to continue from."""
        import torch

        return load_model(self.start_from or self.base, torch.float32)

    def save(self, model: Any, tokenizer: Any, version: Path) -> None:
        """Write the weights in bf16, as they are served."""
        import torch

        save_merged(model.to(torch.bfloat16), self.base, version / MERGED)

    def merge(self, version: Path) -> None:
        """Nothing: `save` wrote the copy that is served."""
