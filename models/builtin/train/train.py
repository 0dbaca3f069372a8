"""Trains the model: python3 train.py DIRECTORY [--chunks N | --minutes N] [--seed N]

The examples come in chunks, each made from the seed and its number just before
it is used, so no example is seen twice.  After every chunk the whole state goes
to DIRECTORY/checkpoint.pt; a run that was interrupted goes on from there.  The
learning rate is constant and falls to zero over the last part.  What is kept in
the end is the moving average of the weights.

With --minutes, the number of chunks follows from how many were done when the rate has
to fall; it is in the log then, and the same number given as --chunks makes the same run.
Matrix products are in bfloat16: a CPU with instructions for it needs half the time,
another needs more.

Two processes of one thread each share the weights.  Each computes the gradient
of its half of a batch and then updates its half of the matrices; they meet twice
per step.  On a machine with other work to do this is much faster than threads
that meet in every matrix product.

DIRECTORY then also holds words.json (the tokenizer) and log.txt.
"""

import argparse
import dataclasses
import math
import multiprocessing
import os
import random
import signal
import sys
import time

# Keep freed memory: asking the kernel for it again costs a quarter of the time.
for name, value in {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(2 ** 32),
                    "MALLOC_TRIM_THRESHOLD_": str(2 ** 33), "MALLOC_TOP_PAD_": str(2 ** 26)}.items():
    if os.environ.get(name) != value:
        os.environ[name] = value
        restart = True
if "restart" in globals() and __name__ == "__main__":
    os.execv(sys.executable, [sys.executable, *sys.argv])

import torch
from torch.nn import functional as F

import chat
import corpus
import optimizer
import skills
import tokenizer as tk
from model import Config, Model

WORKERS = 2
# The vocabulary is made from conversations like those of this chunk, but with more of what is answered by heart:
# there every word may be what tells two answers apart, and a word that is spelled hardly does.
VOCABULARY_CHUNK, VOCABULARY_BY_HEART = 20, 0.85
CHUNK = 2000            # conversations
# An answer known by heart is told from the others by its first tokens.  What comes after them is learned from a
# quarter of the examples; the others end there, and the time goes to more questions.
OPENING = 4             # tokens
OPENINGS = 0.75
HALF_BATCH = 1024       # tokens, with padding
WARM_UP = 60            # steps
FALL = 0.75            # the part of the run in which the rate falls
AVERAGE = 0.99         # of the weights, per step
EXAM_SEED, EXAM_CASES = 1, 100


def make_tokenizer(seed):
    phase = dataclasses.replace(corpus.phase_of(VOCABULARY_CHUNK), by_heart=VOCABULARY_BY_HEART)
    sample = corpus.examples(f"{seed} vocabulary", 20000, phase)
    texts = [skills.without_marked(m.get("content", "")) for messages, _ in sample for m in messages]
    texts += [skills.without_marked(chat.render(m, t)) for m, t in sample if t][:2000]
    texts += [t.answer for t in skills.FACTS + skills.SMALL_TALK + skills.UNKNOWN] * 3
    texts = [text for whole in texts for text in whole.replace("<|im_end|>", "\0").replace("<|im_start|>", "\0").split("\0")]
    return tk.train(texts, ["system", "user", "assistant", "tool", *skills.WHOLE], skills.SPELLED)


def batches_of(tokenizer, conversations, context, rng):
    """Lists of WORKERS batches (ids, wanted, targets); a batch's conversations are about equally long."""
    coded = []
    for messages, tools in conversations:
        ids, wanted = chat.encode(tokenizer, corpus.unmark(messages), corpus.unmark(tools))
        if messages[-1].get("content") in corpus.HEART_ANSWERS and rng.random() < OPENINGS:
            ids, wanted = chat.up_to_opening(ids, wanted, OPENING)
        coded.append((ids[:context], wanted[:context]))
    coded.sort(key=lambda c: len(c[0]) + rng.random() * 4)
    groups, group = [], []
    for item in coded:
        if group and (len(group) + 1) * len(item[0]) > HALF_BATCH:
            groups.append(group)
            group = []
        group.append(item)
    groups.append(group)
    # Neighbours take about the same time, so the workers wait little for each other.
    steps = [groups[i:i + WORKERS] for i in range(0, len(groups) - WORKERS + 1, WORKERS)]
    rng.shuffle(steps)
    return [[tensors(group) for group in step] for step in steps]


def tensors(group):
    length = max(len(ids) for ids, _ in group)
    x = torch.zeros(len(group), length, dtype=torch.long)
    wanted = torch.zeros(len(group), length, dtype=torch.bool)
    for row, (ids, want) in enumerate(group):
        x[row, :len(ids)] = torch.tensor(ids)
        wanted[row, :len(ids)] = torch.tensor(want)
    return x[:, :-1], wanted[:, 1:], x[:, 1:][wanted[:, 1:]]


def scale_at(step, done):
    return min(1.0, (1 - done) / FALL, (step + 1) / WARM_UP)


class Run:
    """The state that the workers share, and where it is kept."""

    def __init__(self, args):
        self.args, self.saved = args, os.path.join(args.directory, "checkpoint.pt")
        os.makedirs(args.directory, exist_ok=True)
        words = os.path.join(args.directory, "words.json")
        if not os.path.exists(words):
            make_tokenizer(args.seed).save(words)
        self.tokenizer = tk.Tokenizer.load(words)
        torch.manual_seed(args.seed)
        self.model = Model(Config(vocab=len(self.tokenizer.tokens)))
        self.flat, self.places = optimizer.lay_out(self.model)
        self.mean, self.square, self.average = (torch.zeros_like(self.flat).share_memory_() for _ in range(3))
        self.gradients = torch.zeros(WORKERS, len(self.flat)).share_memory_()
        self.losses = torch.zeros(WORKERS).share_memory_()
        self.chunk, self.step, self.tokens, self.seconds = 0, 0, 0, 0.0
        self.chunks = torch.tensor([0 if args.minutes else args.chunks]).share_memory_()        # 0: not known yet
        if os.path.exists(self.saved):
            state = torch.load(self.saved)
            for name in ("flat", "mean", "square", "average"):
                getattr(self, name).copy_(state[name])
            self.chunk, self.step, self.tokens, self.seconds = (state[name] for name in ("chunk", "step", "tokens", "seconds"))
            self.chunks[0] = self.chunks[0] or state["chunks"]

    def more(self):
        return self.chunks[0] == 0 or self.chunk < self.chunks[0]

    def done(self, part):
        """How much of the run is behind us, `part` of this chunk included."""
        return (self.chunk + part) / self.chunks[0].item() if self.chunks[0] else 0.0

    def plan(self):
        if self.chunks[0] == 0 and self.seconds >= (1 - FALL) * 60 * self.args.minutes:
            self.chunks[0] = math.ceil(self.chunk / (1 - FALL))
            self.say(f"the rate falls now, until chunk {self.chunks[0]}")

    def save(self):
        torch.save({"flat": self.flat, "mean": self.mean, "square": self.square, "average": self.average, "chunk": self.chunk,
                    "step": self.step, "tokens": self.tokens, "seconds": self.seconds, "chunks": self.chunks[0].item(), "seed": self.args.seed}, self.saved + ".new")
        os.replace(self.saved + ".new", self.saved)

    def say(self, text):
        print(text, flush=True)
        with open(os.path.join(self.args.directory, "log.txt"), "a", encoding="utf-8") as log:
            log.write(text + "\n")


def gradient(run, rank, batches):
    """The loss of this worker's batch, as its share of the whole; leaves the gradient in run.gradients."""
    ids, wanted, targets = batches[rank]
    run.gradients[rank].zero_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = run.model(ids, wanted)
    loss = F.cross_entropy(logits, targets, reduction="sum") / sum(len(b[2]) for b in batches)
    loss.backward()
    run.losses[rank] = loss.item()


def work(run, rank, barrier):
    torch.set_num_threads(1)
    mine = [place for i, place in enumerate(run.places) if i % WORKERS == rank]
    for p, (_, start, shape) in zip(run.model.parameters(), run.places):
        p.grad = optimizer.view(run.gradients[rank], start, shape)
    corpus.assert_patterns()
    cases = corpus.exam(EXAM_SEED, EXAM_CASES)
    excluded = corpus.excluded_by(cases)
    while run.more():
        began, name = time.monotonic(), f"{run.args.seed} {run.chunk}"
        conversations = corpus.examples(name, CHUNK, corpus.phase_of(run.chunk), excluded)
        corpus.assert_disjoint(cases, conversations)
        steps = batches_of(run.tokenizer, conversations, run.model.config.context, random.Random(name))
        total, tokens, made = 0.0, 0, time.monotonic() - began
        for number, batches in enumerate(steps):
            gradient(run, rank, batches)
            barrier.wait()
            run.step += 1
            scale = scale_at(run.step, run.done(number / len(steps)))
            optimizer.update(run.flat, mine, run.gradients.sum(0), run.mean, run.square, run.step, scale)
            total += run.losses.sum().item()
            barrier.wait()
            if rank == 0:
                run.average.lerp_(run.flat, 1 - min(AVERAGE, run.step / (run.step + 10)))
                tokens += sum(b[0].numel() for b in batches)
                if number % 25 == 24:
                    print(f"  step {run.step}, loss {total / (number + 1):.4f} in this chunk, "
                          f"{tokens / (time.monotonic() - began - made):.0f} tokens/s", flush=True)
        run.chunk += 1
        if rank == 0:
            run.seconds += time.monotonic() - began
            run.tokens += tokens
            run.plan()
            run.save()
            run.say(f"chunk {run.chunk} of {run.chunks[0] or '?'}: step {run.step}, loss {total / len(steps):.4f}, "
                    f"{run.seconds:.0f} s and {run.tokens} tokens in all ({made:.0f} s for the examples, {tokens} tokens)")
        barrier.wait()                  # for the plan


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--chunks", type=int, default=480)
    parser.add_argument("--minutes", type=float, help="instead of --chunks: how long it may take")
    parser.add_argument("--seed", type=int, default=1)
    run = Run(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))       # so that the other workers end too
    if run.step == 0:
        run.say(f"{len(run.flat)} parameters, {len(run.tokenizer.tokens)} tokens")
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(WORKERS)
    others = [context.Process(target=work, args=(run, rank, barrier), daemon=True) for rank in range(1, WORKERS)]
    for process in others:
        process.start()
    work(run, 0, barrier)
    for process in others:
        process.join()


if __name__ == "__main__":
    main()
