"""Examines a GGUF file through libllama: python3 evaluate.py FILE --tools DIR --modules DIR

Three things are checked, and a missed goal is a failure:

  - libllama cuts texts into the same tokens as tokenizer.py, also strange ones
  - llama.cpp's chat code renders conversations as chat.py does, and finds the
    tool calls in replies
  - the replies to an exam of questions, operands and words never trained on; every
    answer is greedy and made from the file itself

--wrong shows what went wrong, --seed draws another exam.
"""

import argparse
import collections
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import corpus
import gguf
import skills
import tokenizer as tk
from chat import render

GOALS = {"facts": 90, "sums": 95, "rewriting": 80, "tool calls": 90, "json": 90}
GOAL_ENDED = 98


def ask(program, texts):
    data = b"".join(text.encode() + b"\0" for text in texts)
    done = subprocess.run(program, input=data, stdout=subprocess.PIPE, check=True)
    return [part.decode(errors="replace") for part in done.stdout.split(b"\0")[:-1]]


def cpu_module(directory):
    """The plainest module that this CPU runs at a decent speed."""
    flags = set(re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    name = "haswell" if {"avx2", "fma", "f16c", "bmi2"} <= flags else "x64"
    return str(Path(directory) / f"libggml-cpu-{name}.so")


# --- the tokenizer and the template --------------------------------------------

def strange_texts(rng):
    pools = ["abc xyz", "ABC", "0123456789", " \n\t\r", "äöüßéñ", "日本語中文", "العربية", "🙂🚀👩‍💻", "{}[]\":,.!?'", "<|im_end|> <tool_call>", "'s't're",
             "\u00a0\u2003", "\u0001\u007f", "१२३", "ﬁ\u0301"]
    out = ["", " ", "\n\n", "  two  spaces  ", "it's I'LL we've", "123456 1,5 a1b2", "\r\n\r\n x", "<|im_start|>user\nhi<|im_end|>\n"]
    for _ in range(400):
        out.append("".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 40))))
    return out


def check_tokens(run, tokenizer):
    texts = strange_texts(random.Random(1)) + [f"{t.answer} {t.key}" for t in skills.FACTS]
    texts += [render(corpus.unmark(m), corpus.unmark(t)) for m, t in corpus.examples("tokens", 500)]
    texts = [t for t in texts if t]
    wrong = 0
    for text, got in zip(texts, ask([*run, "tokens"], texts), strict=True):
        ids = tokenizer.encode(text)
        if ids != [int(i) for i in got.split()] or tokenizer.decode(ids) != text:
            wrong += 1
            print(f"  tokens differ: {text!r}\n    here {ids}\n    libllama {got}")
    print(f"tokenizer: {len(texts) - wrong} of {len(texts)} texts have the same tokens")
    return wrong == 0


def open_ai(messages, tools):
    """Messages and tools as the OpenAI API writes them."""
    out = []
    for i, m in enumerate(messages):
        m = dict(m)
        if "tool_calls" in m:
            m["content"] = ""
            m["tool_calls"] = [{"id": f"call{i}", "type": "function", "function": {"name": c["name"], "arguments": json.dumps(c["arguments"])}}
                               for c in m["tool_calls"]]
        if m["role"] == "tool":
            m["tool_call_id"] = f"call{i - 1}"
        out.append(m)
    declared = [{"type": "function", "function": {
        "name": t["name"], "description": t["description"],
        "parameters": {"type": "object", "properties": {k: {"type": v} for k, v in t["parameters"].items()},
                       "required": list(t["parameters"])}}} for t in tools]
    return out, declared


def check_template(chatcheck, file):
    cases, wrong = [], 0
    while len(cases) < 200:
        messages, tools = map(corpus.unmark, corpus.example(skills.Source(f"template {len(cases)}")))
        cases.append((messages[:-1], tools, messages[-1]))
    given = []
    for messages, tools, last in cases:
        m, t = open_ai(messages, tools)
        given.append(json.dumps({"messages": m, "tools": t, "reply": corpus_reply(last)}))
    for (messages, tools, last), got in zip(cases, ask([chatcheck, file], given), strict=True):
        got = json.loads(got)
        calls = [{"name": c["function"]["name"], "arguments": json.loads(c["function"]["arguments"])}
                 for c in got["message"].get("tool_calls") or []]
        if got["prompt"] != render(messages, tools, True) or calls != last.get("tool_calls", []) \
                or (got["message"].get("content") or "") != last.get("content", ""):
            wrong += 1
            print(f"  template: {messages} {tools}\n    got {got}\n    expected {render(messages, tools, True)!r} {last}")
    print(f"template: {len(cases) - wrong} of {len(cases)} conversations are rendered and parsed alike")
    return wrong == 0


def corpus_reply(message):
    """What the model says in this message."""
    return render([message]).removeprefix("<|im_start|>assistant\n").removesuffix("<|im_end|>\n")


# --- the exam ------------------------------------------------------------------

def parsed(text):
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def passes(check, reply):
    kind, want = check["kind"], check["want"]
    if kind == "contains":
        return want.lower() in reply.lower()
    if kind == "ends":
        return reply.endswith(want)
    if kind == "exact":
        return reply == want
    if kind == "json":
        return parsed(reply) == want
    call = re.fullmatch(r"<tool_call>(.*)</tool_call>", reply, re.S)
    return call is not None and parsed(call[1]) == want


def examine(run, seed, per_skill, show):
    corpus.assert_patterns()
    cases = corpus.exam(seed, per_skill)
    replies = ask([*run, "answer"], [render(c["messages"], c["tools"], True) for c in cases])
    right, count, ended = collections.Counter(), collections.Counter(), 0
    for case, reply in zip(cases, replies, strict=True):
        skill, reply, by_itself = case["skill"], reply[1:], reply[0] == "."
        count[skill, case["held"]] += 1
        ended += by_itself
        if by_itself and passes(case["check"], reply):
            right[skill, case["held"]] += 1
        elif show:
            print(f"  {skill}, {case['held']}: {case['messages'][-1]['content']!r}\n    said {reply!r}\n    not  {case['check']['want']!r}")
    good = report(right, count)
    share = 100 * ended / len(cases)
    print(f"{'ended':14} {ended:4} of {len(cases):4}  {share:5.1f} %  (goal {GOAL_ENDED} %)")
    return good and share >= GOAL_ENDED


def report(right, count):
    """A line per skill; the goal is for all of its cases, the shares behind it are by how they are worded."""
    good = True
    for skill in dict.fromkeys(skill for skill, _ in count):
        kinds = [kind for name, kind in count if name == skill]
        passed, n = sum(right[skill, k] for k in kinds), sum(count[skill, k] for k in kinds)
        score, goal = 100 * passed / n, GOALS.get(skill)
        good &= goal is None or score >= goal
        shares = ", ".join(f"{k}s {100 * right[skill, k] / count[skill, k]:.0f} %" for k in kinds)
        print(f"{skill:14} {passed:4} of {n:4}  {score:5.1f} %  {f'(goal {goal} %)' if goal else '':11}  {shares}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--tools", required=True, help="where run and chatcheck are")
    parser.add_argument("--modules", required=True, help="where the CPU modules are")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--wrong", action="store_true")
    args = parser.parse_args()
    run = [str(Path(args.tools) / "run"), args.file, cpu_module(args.modules)]
    tokenizer = tk.Tokenizer.of_tokens(gguf.read_facts(args.file)["tokenizer.ggml.tokens"])
    good = check_tokens(run, tokenizer)
    good &= check_template(str(Path(args.tools) / "chatcheck"), args.file)
    good &= examine(run, args.seed, args.cases, args.wrong)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
