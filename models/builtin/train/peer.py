"""Does a program of llama.cpp's own answer as we do?  python3 peer.py FILE --tools DIR --prefix DIR --source DIR

Compiles llama.cpp's examples/simple, the least program that generates text, against the
same library, and asks it questions of the exam that libllama was asked through run.c.
Both are greedy, so every answer must be the same to the byte.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import corpus
from chat import render
from evaluate import ask, cpu_module

CASES_PER_SKILL, LONGEST = 4, 200


def build(source, prefix, directory):
    """The program, with only the one CPU module beside it that it is to find."""
    program = directory / "simple"
    subprocess.run(["g++", "-std=c++17", "-O1", f"-I{prefix}/include", f"{source}/examples/simple/simple.cpp", "-o", program,
                    f"-L{prefix}/lib", "-lllama", "-lggml", "-lggml-base", f"-Wl,-rpath,{prefix}/lib"], check=True)
    shutil.copy(cpu_module(f"{prefix}/lib"), directory)
    return program


def said_by(program, file, prompt):
    """Its output is the prompt and the answer."""
    done = subprocess.run([program, "-m", file, "-n", str(LONGEST), prompt], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd=program.parent, check=True)
    text = done.stdout.decode(errors="replace")
    if not text.startswith(prompt):
        raise SystemExit(f"the peer read {text[:len(prompt)]!r} instead of {prompt!r}")
    return text[len(prompt):].removesuffix("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--tools", required=True, type=Path, help="where run is, and where the peer goes")
    parser.add_argument("--prefix", required=True, help="the installed llama.cpp")
    parser.add_argument("--source", required=True, help="its source")
    args = parser.parse_args()
    file = str(Path(args.file).resolve())
    directory = args.tools / "peer"
    directory.mkdir(exist_ok=True)
    peer = build(args.source, args.prefix, directory)
    prompts = [render(c["messages"], c["tools"], True) for c in corpus.exam(1, CASES_PER_SKILL) if c["skill"] != "facts"]
    prompts += [render(c["messages"], c["tools"], True) for c in corpus.exam(1, 1)][:2 * CASES_PER_SKILL]
    ours = ask([str(args.tools / "run"), file, cpu_module(f"{args.prefix}/lib"), "answer"], prompts)
    same = 0
    for prompt, reply in zip(prompts, ours, strict=True):
        theirs = said_by(peer, file, prompt)
        same += theirs == reply[1:]
        if theirs != reply[1:]:
            print(f"  {prompt!r}\n    run says  {reply[1:]!r}\n    peer says {theirs!r}")
    print(f"peer: {same} of {len(prompts)} answers are the same")
    sys.exit(same != len(prompts))


if __name__ == "__main__":
    main()
