"""QLoRA: LoRA on a base in 4 bits, NF4 with double quantization (Dettmers et al. 2023), through bitsandbytes."""

from typing import Any

from ftassets.workers.training.methods.base import load_model
from ftassets.workers.training.methods.lora import Lora


class QLora(Lora):
    """A LoRA adapter on a base in 4 bits; it is merged into the whole base."""

    def frozen(self, dtype: Any) -> Any:
        """The base in 4 bits, with what its quantization must not touch in fp32."""
        from bitsandbytes.nn import Linear4bit
        from peft import prepare_model_for_kbit_training
        from transformers import BitsAndBytesConfig

        quantization = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
        model = load_model(self.base, dtype, quantization_config=quantization)
        for layer in model.modules():
            if isinstance(layer, Linear4bit):
                # else the first validation packs its weights for a CPU's fast inference, and no gradient gets through it any more
                layer.support_avx512bf16_for_cpu = False
        return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
