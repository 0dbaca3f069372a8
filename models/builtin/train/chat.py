"""What a conversation looks like to the model.

`render` says in Python what template.jinja says to llama.cpp; chatcheck.cpp
compares the two.  A conversation is a list of messages {role, content} or
{role, tool_calls: [{name, arguments}]} and a list of tools {name, description,
parameters: {name: type}}.
"""

import json

import tokenizer as tk

TOOLS_LINE = 'Tools, called as <tool_call>{"name": NAME, "arguments": {...}}</tool_call>:'


def dumps(value):
    return json.dumps(value, ensure_ascii=False)


def render_call(call):
    return f'<tool_call>{{"name": "{call["name"]}", "arguments": {dumps(call["arguments"])}}}</tool_call>'


def render_tool(tool):
    params = ", ".join(f"{name}: {kind}" for name, kind in tool["parameters"].items())
    return f"{tool['name']}({params}) {tool['description']}"


def content(message):
    return message.get("content", "") + "".join(map(render_call, message.get("tool_calls", [])))


def render(messages, tools=(), generate=False):
    system, rest = "", messages
    if messages[0]["role"] == "system":
        system, rest = messages[0]["content"], messages[1:]
    if tools:
        system += ("\n" if system else "") + "\n".join([TOOLS_LINE, *map(render_tool, tools)])
    text = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    for message in rest:
        text += f"<|im_start|>{message['role']}\n{content(message)}<|im_end|>\n"
    return text + ("<|im_start|>assistant\n" if generate else "")


def encode(tokenizer, messages, tools=()):
    """Token ids, and for each whether the model has to produce it."""
    ids = tokenizer.encode(render(messages, tools))
    head = tokenizer.encode("<|im_start|>assistant\n")
    wanted, speaking = [], False
    for i, token in enumerate(ids):
        wanted.append(speaking)
        if token == tk.IM_END:
            speaking = False
        elif ids[max(0, i + 1 - len(head)):i + 1] == head:
            speaking = True
    return ids, wanted


def up_to_opening(ids, wanted, count):
    """What `encode` made, without what follows the first `count` tokens of the last answer."""
    end = len(wanted) - wanted[::-1].index(True)
    start = end - wanted[:end][::-1].index(False)
    return ids[:start + count], wanted[:start + count]
