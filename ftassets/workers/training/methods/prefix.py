"""Learned tokens in front of each prompt: a soft prompt (Lester et al. 2021), written into vocabulary and chat template.

Keys and values in front of every layer (Li and Liang 2021) have no place in a model's files, so no server could load them. Learned
tokens have: any server reads a version of them as it reads any model (docs/decisions/0018-prefix-as-tokens.md).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftassets.domain.release.version import ADAPTER
from ftassets.workers.adapters import grow_vocabulary, put_on
from ftassets.workers.training.methods.base import Method, load_model, merge_adapter, save_adapter

_TOKEN = "<|prefix_{}|>"


class Prefix(Method):
    """Embeddings of new tokens, which the chat template writes in front of everything."""

    def refusal(self, recipe: Mapping[str, Any]) -> str | None:
        """Another number of tokens."""
        if self.start_from is None:
            return None
        learned = json.loads((self.start_from / "adapter_config.json").read_bytes())["token_indices"]
        asked = self.train.prefix_tokens
        return f"prefix_tokens {len(learned)}, and train asks for {asked}" if len(learned) != asked else None

    def tokenizer(self) -> Any:
        """The base's tokenizer with the new tokens, and a chat template that begins with them."""
        tokenizer = super().tokenizer()
        names = [_TOKEN.format(number) for number in range(self.train.prefix_tokens)]
        tokenizer.add_tokens(names, special_tokens=True)
        tokenizer.chat_template = "".join(names) + tokenizer.chat_template
        return tokenizer

    def model(self, tokenizer: Any, dtype: Any) -> Any:
        """The base with trainable embeddings of the new tokens. They begin as those of tokens drawn by the seed (Lester et al., 3.2)."""
        import torch
        from peft import TrainableTokensConfig, get_peft_model

        model = load_model(self.base, dtype)
        if self.start_from:
            return put_on(model, self.start_from, trainable=True)
        new = tokenizer.convert_tokens_to_ids([_TOKEN.format(number) for number in range(self.train.prefix_tokens)])
        grow_vocabulary(model, max(new) + 1)
        embeddings = model.get_input_embeddings()
        drawn = torch.randperm(min(new), generator=torch.Generator().manual_seed(self.train.seed))[: len(new)]
        with torch.no_grad():
            embeddings.weight[new] = embeddings.weight[drawn.repeat(-(-len(new) // len(drawn)))[: len(new)]]
        layer = next(name for name, module in model.named_modules() if module is embeddings)
        config = TrainableTokensConfig(token_indices=new, target_modules=[layer.rpartition(".")[2]], task_type="CAUSAL_LM")
        return get_peft_model(model, config)

    def save(self, model: Any, tokenizer: Any, version: Path) -> None:
        """Write the embeddings, and the tokenizer that knows the tokens."""
        save_adapter(model, self.base_model, version / ADAPTER)
        tokenizer.save_pretrained(version / ADAPTER)

    def merge(self, version: Path) -> None:
        """The base with the tokens in its vocabulary."""
        merge_adapter(self.base, version, version / ADAPTER)
