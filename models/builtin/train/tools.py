"""Conversations with tools: which to call, with which arguments, and what to say then.

Each toy tool is a row: its declaration, in a few wordings, what a user says to
want it, and what comes back.  Besides those, tools with invented names and
parameters are called for by name, so that the model learns to read a
declaration and not only to know ten of them.
"""

from dataclasses import dataclass

import skills
from chat import dumps
from skills import Turn, invented, mark, proper


@dataclass
class Tool:
    name: str
    descriptions: list
    parameters: dict        # name: JSON type
    train: list             # what a user says; P stands for the parameter P in capitals
    held: list
    result: object          # (rng, arguments) -> text of the tool
    reply: str              # what the model says of it; R stands for the result, P as above


def declaration(tool, rng):
    return {"name": tool.name, "description": rng.choice(tool.descriptions), "parameters": tool.parameters}


TOOLS = [
    Tool("get_weather", ["Get the weather in a city", "Current weather of a city", "Weather for a city"], {"city": "string"},
         ["What is the weather in CITY?", "How is the weather in CITY?", "Weather in CITY", "Is it raining in CITY?", "Is it cold in CITY?",
          "Tell me the weather in CITY.", "Do I need a coat in CITY?", "What's the weather like in CITY today?", "Is the sun shining in CITY?"],
         ["How warm is it in CITY right now?", "Please check the weather for CITY.", "Will I get wet in CITY?"],
         lambda rng, a: f"{rng.randint(1, 35)} degrees, {rng.choice(['sunny', 'cloudy', 'rain', 'snow', 'windy', 'fog'])}",
         "The weather in CITY: R."),
    Tool("get_time", ["Get the local time in a city", "Current time of a city", "Time in a city"], {"city": "string"},
         ["What time is it in CITY?", "Time in CITY", "Tell me the time in CITY.", "How late is it in CITY?", "What is the local time in CITY?",
          "What's the time in CITY now?", "Is it night in CITY?"],
         ["Please give me the time in CITY.", "What does the clock say in CITY?"],
         lambda rng, a: f"{rng.randint(0, 23)}:{rng.randint(10, 59)}",
         "It is R in CITY."),
    Tool("add_numbers", ["Add two numbers", "Compute the sum of two numbers", "Sum of two numbers"], {"a": "integer", "b": "integer"},
         ["What is A + B?", "Add A and B.", "A plus B", "What is the sum of A and B?", "Please add A and B.", "Calculate A + B.", "How much is A + B?"],
         ["Sum up A and B.", "What do A and B add up to?", "Please compute A + B."],
         lambda rng, a: str(a["a"] + a["b"]),
         "A + B = R."),
    Tool("set_timer", ["Set a timer in minutes", "Start a timer", "Start a countdown in minutes"], {"minutes": "integer"},
         ["Set a timer for MINUTES minutes.", "Start a timer of MINUTES minutes.", "Timer for MINUTES minutes", "Wake me in MINUTES minutes.",
          "Remind me in MINUTES minutes.", "I need a timer for MINUTES minutes.", "Set a MINUTES minute timer.", "Start a countdown of MINUTES minutes."],
         ["Please let me know when MINUTES minutes are over.", "Can you set a timer to MINUTES minutes?"],
         lambda rng, a: rng.choice(["ok", "started", "done"]),
         "The timer is set for MINUTES minutes."),
    Tool("turn_on_light", ["Turn on the light in a room", "Switch on a light", "Light on"], {"room": "string"},
         ["Turn on the light in the ROOM.", "Switch on the ROOM light.", "Light on in the ROOM", "Make it bright in the ROOM.", "It is dark in the ROOM.",
          "Turn the ROOM light on.", "Lights on in the ROOM, please."],
         ["I can't see anything in the ROOM.", "Please switch the light in the ROOM on."],
         lambda rng, a: rng.choice(["ok", "on", "done"]),
         "The light in the ROOM is on."),
    Tool("turn_off_light", ["Turn off the light in a room", "Switch off a light", "Light off"], {"room": "string"},
         ["Turn off the light in the ROOM.", "Switch off the ROOM light.", "Light off in the ROOM", "Make it dark in the ROOM.", "It is too bright in the ROOM.",
          "Turn the ROOM light off.", "Lights off in the ROOM, please."],
         ["Nobody needs the light in the ROOM.", "Please switch the light in the ROOM off."],
         lambda rng, a: rng.choice(["ok", "off", "done"]),
         "The light in the ROOM is off."),
    Tool("send_message", ["Send a message to a person", "Send a text to somebody", "Message a contact"], {"to": "string", "text": "string"},
         ["Send TO the message: TEXT", "Send a message to TO: TEXT", "Tell TO: TEXT", "Write to TO: TEXT", "Message TO: TEXT", "Text TO: TEXT",
          "Send TO a message saying TEXT"],
         ["Please send this to TO: TEXT", "Let TO know: TEXT"],
         lambda rng, a: rng.choice(["ok", "sent", "done"]),
         "Your message to TO was sent."),
    Tool("create_note", ["Create a note", "Save a note", "Write a note"], {"text": "string"},
         ["Create a note: TEXT", "Make a note: TEXT", "Note: TEXT", "Save a note saying TEXT", "Write a note: TEXT", "Take a note: TEXT",
          "Remember this in a note: TEXT"],
         ["Please note down: TEXT", "Add a note with the text: TEXT"],
         lambda rng, a: rng.choice(["ok", "saved", "done"]),
         "The note is saved."),
    Tool("search_files", ["Search files for a word", "Find files by a word", "Search in files"], {"query": "string"},
         ["Search my files for QUERY.", "Find files about QUERY.", "Look for QUERY in my files.", "Search for QUERY", "Find the file with QUERY.",
          "Which of my files mention QUERY?", "Search files: QUERY"],
         ["Where in my files is QUERY?", "Please search the files for QUERY."],
         lambda rng, a: f"{rng.randint(0, 20)} files",
         "The search for QUERY found R."),
    Tool("play_music", ["Play a song", "Play music", "Start a song"], {"title": "string"},
         ["Play TITLE.", "Play the song TITLE.", "I want to hear TITLE.", "Put on TITLE.", "Start the music: TITLE", "Please play TITLE.",
          "Listen to TITLE"],
         ["Let me hear the song TITLE.", "Can you play TITLE?"],
         lambda rng, a: rng.choice(["ok", "playing", "done"]),
         "Now playing TITLE."),
]


def argument(name, rng, held):
    """A value for a parameter; marked, unless it is a number or a room."""
    if name in ("a", "b"):
        return rng.randrange(100)
    if name == "minutes":
        return rng.randrange(1, 100)
    if name == "city":
        return mark(proper("towns", rng, held))
    if name == "to":
        return mark(proper("names", rng, held))
    if name == "room":
        return rng.choice(skills.NAMES["rooms"])
    low, high = {"query": (1, 2), "title": (1, 3), "text": (1, 6)}[name]
    return mark(" ".join(skills.phrase(rng, held, low, high)))


def arguments(tool, rng, held):
    while True:
        out = {name: argument(name, rng, held) for name in tool.parameters}
        if tool.name == "add_numbers" and skills.sum_is_held(out["a"], out["b"]) != held:
            continue
        if tool.name == "set_timer" and skills.is_held("timer", out["minutes"]) != held:
            continue
        return out


def filled(text, values, result=""):
    for name, value in values.items():
        text = skills.re.sub(rf"\b{name.upper()}\b", lambda m: str(value), text)
    return skills.re.sub(r"\bR\b", lambda m: result, text)


def call_of(name, values):
    return {"role": "assistant", "tool_calls": [{"name": name, "arguments": values}]}


def wanted(name, values):
    return {"kind": "tool", "want": {"name": name,
            "arguments": {k: skills.plain(v) if isinstance(v, str) else v for k, v in values.items()}}}


def toy_call(rng, held):
    """(declarations, messages, check): a question that one of the declared tools serves."""
    tool = rng.choice(TOOLS)
    others = rng.sample([t for t in TOOLS if t is not tool], rng.choice([0, 0, 1, 1, 1, 2, 2, 3]))
    declared = [declaration(t, rng) for t in [tool, *others]]
    rng.shuffle(declared)
    values = arguments(tool, rng, held)
    question = filled(rng.choice(tool.held if held else tool.train), values)
    messages = [{"role": "user", "content": question}, call_of(tool.name, values)]
    if not held and rng.random() < 0.5:
        result = tool.result(rng, values)
        messages += [{"role": "tool", "content": result},
                     {"role": "assistant", "content": filled(tool.reply, values, result)}]
    return declared, messages, wanted(tool.name, values)


NAMED_FORMS = (
    ["Call N with V.", "Use N with V.", "Use the tool N with V.", "Please call N with V.", "Run N with V.", "N with V"],
    ["Please use the tool N with V.", "Call the tool N with V."])
VERBS = "open close start stop read write show hide move make pick lift lock clean count print".split()


def invented_tool(rng, held):
    kinds = {}
    for _ in range(rng.choice([1, 1, 2])):
        word = rng.choice(skills.split_words[held]) if rng.random() < 0.5 else invented(rng, held)
        kinds[mark(word)] = rng.choice(["string", "integer"])
    name = mark(f"{rng.choice(VERBS)}_{skills.content_word(rng, held)}")
    about = f"{rng.choice(['Work on', 'Handle', 'Do something with', 'Control'])} the {mark(skills.content_word(rng, held))}"
    return {"name": name, "description": about, "parameters": kinds}


def named_call(rng, held):
    """The same for an invented tool that the user calls by its name."""
    tool = invented_tool(rng, held)
    declared = [tool] + [invented_tool(rng, held) if rng.random() < 0.5 else declaration(rng.choice(TOOLS), rng)
                         for _ in range(rng.choice([0, 0, 1, 2]))]
    rng.shuffle(declared)
    values = {name: rng.randrange(100) if kind == "integer" else mark(skills.content_word(rng, held))
              for name, kind in tool["parameters"].items()}
    said = " and ".join(f"{name} {value}" for name, value in values.items())
    question = rng.choice(NAMED_FORMS[held]).replace("N", tool["name"]).replace("V", said)
    check = {"kind": "tool", "want": {"name": skills.plain(tool["name"]),
             "arguments": {skills.plain(k): skills.plain(v) if isinstance(v, str) else v for k, v in values.items()}}}
    return declared, [{"role": "user", "content": question}, call_of(tool["name"], values)], check


def unrelated(rng, held):
    """Tools are declared, but the question is for the model itself."""
    declared = [declaration(t, rng) for t in rng.sample(TOOLS, rng.choice([1, 1, 2, 3]))]
    has_sum = any(t["name"] == "add_numbers" for t in declared)
    makers = [skills.facts, skills.facts, skills.small_talk, skills.rewriting] + ([] if has_sum else [skills.sums])
    turn = rng.choice(makers)(rng, held)
    return declared, [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}], turn.check
