"""The network: a small Llama, so that llama.cpp runs it as it is.

RMS norm, rotary positions on neighbouring pairs (llama.cpp's layout for this
architecture), causal attention, SwiGLU, and one matrix for reading and writing
tokens.  Query, key and value lie in one matrix, gate and up in another; the
export takes them apart.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F


@dataclass
class Config:
    vocab: int
    width: int = 160
    layers: int = 5
    heads: int = 5
    feed: int = 448
    context: int = 1024
    rope_base: float = 10000.0
    epsilon: float = 1e-5


class Norm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.width))
        self.epsilon = config.epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.attention_norm, self.feed_norm = Norm(config), Norm(config)
        self.query_key_value = nn.Linear(config.width, 3 * config.width, bias=False)
        self.attention_out = nn.Linear(config.width, config.width, bias=False)
        self.gate_up = nn.Linear(config.width, 2 * config.feed, bias=False)
        self.down = nn.Linear(config.feed, config.width, bias=False)

    def forward(self, x, turn, mask):
        batch, length, width = x.shape
        q, k, v = self.query_key_value(self.attention_norm(x)) \
            .view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = rotate(q, turn), rotate(k, turn)
        scores = q @ k.transpose(-1, -2) / math.sqrt(width // self.heads) + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, width)
        x = x + self.attention_out(mixed)
        gate, up = self.gate_up(self.feed_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def rotate(x, turn):
    """Turns each pair of neighbouring values by the angle of its position."""
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turn).flatten(-2)


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = Norm(config)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("attention_out.weight", "down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * config.layers) if deep else 0.02 if "embed" in name else p.shape[1] ** -0.5 * 0.6)
        size = config.width // config.heads
        angle = torch.arange(config.context)[:, None] * config.rope_base ** (-torch.arange(0, size, 2) / size)
        self.register_buffer("turn", torch.polar(torch.ones_like(angle), angle), persistent=False)

    def forward(self, ids, wanted):
        """Logits at the places where `wanted` is true: what the next token is there."""
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x, self.turn[:length], mask)
        with torch.autocast("cpu", enabled=False):
            return self.norm(x[wanted].float()) @ self.embedding.weight.T
