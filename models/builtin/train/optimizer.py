"""Muon for the matrices of the layers, Adam for everything else.

Muon steps along the momentum's orthogonal factor, U V' of its singular value
decomposition: every direction of a matrix moves by the same amount.  The factor
is approximated by a few rounds of a polynomial in X X', which is all matrix
products.  It is known to need fewer examples than Adam alone.

All numbers of the model lie in one vector, and so does each kind of state, so
that several processes can share them and a checkpoint is a handful of tensors.
A process updates the parameters it was given.
"""

import torch

MUON_RATE, MUON_MOMENTUM = 0.015, 0.95
# A word of a question is rare, and its row of the embeddings is pushed away a little by every
# other token that is predicted.  Adam's memory of squares must reach back to the word's last
# use, or that push counts as much as what the word means.
ADAM_RATE, ADAM_MEAN, ADAM_SQUARE = 0.006, 0.9, 0.999
DECAY = 0.01
LARGEST_GRADIENT = 1.0


def orthogonal(matrix, rounds=5):
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = (x / (x.norm() + 1e-7)).bfloat16()
    for _ in range(rounds):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).float()


def lay_out(model):
    """Moves the model's parameters into one shared vector; (vector, [(name, start, shape)])."""
    flat = torch.cat([p.data.flatten() for p in model.parameters()]).share_memory_()
    places, start = [], 0
    for name, p in model.named_parameters():
        p.data = flat[start:start + p.numel()].view(p.shape)
        places.append((name, start, p.shape))
        start += p.numel()
    return flat, places


def view(flat, start, shape):
    return flat[start:start + shape.numel()].view(shape)


@torch.no_grad()
def update(flat, places, gradient, mean, square, step, scale):
    """One step for the parameters in `places`; `scale` multiplies the rates."""
    gradient = gradient * (LARGEST_GRADIENT / max(LARGEST_GRADIENT, gradient.norm().item()))
    for name, start, shape in places:
        p, g, m = (view(t, start, shape) for t in (flat, gradient, mean))
        if len(shape) == 2 and "embed" not in name:
            m.lerp_(g, 1 - MUON_MOMENTUM)
            direction = orthogonal(g.lerp(m, MUON_MOMENTUM)) * max(1.0, shape[0] / shape[1]) ** 0.5
            rate = MUON_RATE * scale
        else:
            s = view(square, start, shape)
            m.lerp_(g, 1 - ADAM_MEAN)
            s.lerp_(g * g, 1 - ADAM_SQUARE)
            direction = (m / (1 - ADAM_MEAN ** step)) / ((s / (1 - ADAM_SQUARE ** step)).sqrt() + 1e-8)
            rate = ADAM_RATE * scale
        if len(shape) == 2:
            p.mul_(1 - rate * DECAY)
        p.add_(direction, alpha=-rate)
