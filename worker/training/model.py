"""The model: a transformers Llama behind Composer's interface, and what it costs to run.

A small ComposerModel of our own instead of composer's HuggingFaceModel, which wants a tokenizer inside every
checkpoint and `peft` to export; this one needs neither, and its weights leave through `save_pretrained`.
"""

from __future__ import annotations

from typing import Any

import torch
from composer.metrics import LanguageCrossEntropy
from composer.models import ComposerModel
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import Metric
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from worker.specs import ModelShape, TrainRecipe
from worker.training.data import Batch, ShardSet

IGNORED = -100  # no next token is known there


class TrainedLlama(ComposerModel):
    """Next-token prediction on packed sequences; mean cross-entropy in nats per token.

    With `end_of_text` a token attends only to those of its own document, which that token ends.
    """

    def __init__(self, llama: LlamaForCausalLM, end_of_text: int | None = None) -> None:
        super().__init__()
        self.llama, self.end_of_text = llama, end_of_text
        self._sample_losses: list[Tensor] = []
        # Composer's FSDP looks for an attribute of this name; nn.Module would type it as a submodule.
        object.__setattr__(llama, "fsdp_wrap_fn", _is_layer)

    def forward(self, batch: Batch) -> Tensor:
        """Logits, (batch, sequence, vocabulary)."""
        ids = batch["input_ids"]
        mask = None if self.end_of_text is None else within_documents(ids, self.end_of_text)
        logits: Tensor = self.llama(input_ids=ids, attention_mask=mask, use_cache=False).logits
        return logits

    def loss(self, outputs: Tensor, batch: Batch, *args: Any, **kwargs: Any) -> Tensor:
        """The mean over all predicted tokens; each sample's own mean is kept for `take_sample_losses`."""
        targets = next_tokens(batch["input_ids"])
        flat = functional.cross_entropy(
            outputs.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        )
        # Every sample predicts the same number of tokens, so the mean of the samples' means is the mean of the tokens.
        each = flat.view_as(targets)[:, :-1].mean(dim=1)
        self._sample_losses.append(each.detach())
        return each.mean()

    def take_sample_losses(self) -> Tensor:
        """Losses of the samples since the last call, (samples,), in their order over the microbatches."""
        taken, self._sample_losses = self._sample_losses, []
        return torch.cat(taken)

    def eval_forward(self, batch: Batch, outputs: Any = None) -> Tensor:
        return self.forward(batch)

    def update_metric(self, batch: Batch, outputs: Tensor, metric: Metric) -> None:
        metric.update(outputs.float(), next_tokens(batch["input_ids"]))

    def get_metrics(self, is_train: bool = False) -> dict[str, Metric]:
        # None on the training data: the loss is there already, and a train metric runs the forward pass again.
        return {} if is_train else {"LanguageCrossEntropy": LanguageCrossEntropy(ignore_index=IGNORED)}


def build(recipe: TrainRecipe, shards: ShardSet) -> TrainedLlama:
    """A freshly initialised model; equal seeds give equal weights."""
    torch.manual_seed(recipe.seed)
    end_of_text = shards.special_ids["end_of_text"] if recipe.mask_documents else None
    return TrainedLlama(LlamaForCausalLM(config_of(recipe.shape, shards)), end_of_text)


def config_of(shape: ModelShape, shards: ShardSet) -> LlamaConfig:
    ids = shards.special_ids
    return LlamaConfig(
        vocab_size=shards.vocabulary_size,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.key_value_heads,
        max_position_embeddings=shards.sequence_length,
        tie_word_embeddings=shape.tie_embeddings,
        bos_token_id=ids["end_of_text"],
        eos_token_id=ids["end_of_text"],
        pad_token_id=ids["fim_pad"],
        attn_implementation="sdpa",
    )


def next_tokens(input_ids: Tensor) -> Tensor:
    """Targets: each position's next token. Shifting these and not the logits saves a copy as large as the logits."""
    return functional.pad(input_ids[:, 1:], (0, 1), value=IGNORED)


def within_documents(input_ids: Tensor, end_of_text: int) -> Tensor:
    """Which tokens each may attend to, (batch, 1, sequence, sequence) bool: earlier ones of its own document.

    Read from the tokens themselves and not from the shards' recorded starts: fill-in-the-middle moves these, and an
    end-of-text token ends each document still.
    """
    ended = torch.cumsum(input_ids == end_of_text, dim=1)
    document = functional.pad(ended[:, :-1], (1, 0))
    same = document[:, :, None] == document[:, None, :]
    length = input_ids.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()
    return (same & causal)[:, None]


def n_parameters(module: nn.Module) -> int:
    """Each tensor once, tied ones too."""
    return sum(parameter.numel() for parameter in module.parameters())


def flops_per_token(llama: LlamaForCausalLM, sequence_length: int) -> float:
    """Of one training step: 6 per weight that multiplies, and 6 · layers · length · width for attention.

    PaLM (Chowdhery et al. 2022), appendix B, with the attention term halved because it is causal. An input embedding
    that is not also the output head only looks up, so it does not count.
    """
    config = llama.config
    weights = n_parameters(llama)
    if not config.tie_word_embeddings:
        weights -= config.vocab_size * config.hidden_size
    return 6.0 * weights + 6.0 * config.num_hidden_layers * sequence_length * config.hidden_size


def _is_layer(module: nn.Module) -> bool:
    """FSDP wraps layer by layer."""
    return isinstance(module, LlamaDecoderLayer)
