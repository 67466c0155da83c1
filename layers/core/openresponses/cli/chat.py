"""`openresponses chat`: a conversation at the terminal; each turn continues the one before by its id."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

import click

from .answer import CALLS, Answer, reason_of
from .ask import ECHO, model_option
from .attachments import file_part, image_part, message, read_tools
from .base import FAILED, CommandError, RequestFailed, command
from .gateway import Gateway, Json, Target, gateway_options, with_gateway
from .input import Input, Interrupts, Left
from .terminal import write
from .transcript import Turn, saved

WELCOME = "{model}. /help lists the commands, Ctrl-C cancels an answer, Ctrl-D or /quit leaves.\n"


@command(
    examples=[
        "openresponses chat --model claude-opus-4-6",
        "printf 'My name is Alice.\\nWhat is my name?\\n' | openresponses chat",
    ]
)
@model_option
@click.option("--instructions", "-i", help="Instructions for the model, as /system gives them.")
@click.option("--tools", metavar="PATH", help="JSON file of tools; you answer their calls.")
@click.option("--previous", metavar="ID", help="Continue this response.")
@gateway_options
def chat(
    target: Target, model: str | None, instructions: str | None, tools: str | None, previous: str | None
) -> int:
    """Talk with a model. Lines that begin with / are commands; a line of // begins with one /."""
    offered = read_tools(tools) if tools else []

    async def work(gateway: Gateway) -> int:
        talk = Chat(gateway, model or ECHO, instructions, offered, previous)
        await talk.run()
        return FAILED if talk.has_failed and not talk.input.is_person else 0

    code: int = with_gateway(target, work)
    return code


class Chat:
    """The conversation so far, and what the next turn is asked with."""

    def __init__(
        self,
        gateway: Gateway,
        model: str,
        instructions: str | None = None,
        tools: list[Json] | None = None,
        previous: str | None = None,
    ) -> None:
        self.gateway = gateway
        self.model = model
        self.instructions = instructions
        self.tools = tools or []
        self.turns: list[Turn] = []
        self.attached: list[Json] = []
        self.began_at = previous
        self.input = Input([f"/{name}" for name in COMMANDS])
        self.interrupts = Interrupts()
        self.has_failed = False  # a turn, not a line that was written wrongly

    @property
    def previous(self) -> str | None:
        return self.turns[-1].response["id"] if self.turns else self.began_at

    async def run(self) -> None:
        write(WELCOME.format(model=self.model), "dim")
        with self.interrupts:
            await self._talk()

    async def _talk(self) -> None:
        while True:
            try:
                line = (await self.input.line(f"{len(self.turns) + 1}> ")).strip()
            except Left:
                return
            if not line:
                continue
            try:
                if line.startswith("/") and not line.startswith("//"):
                    if await self._command(line):
                        return
                else:
                    await self._turn(line.removeprefix("/") if line.startswith("//") else line)
            except CommandError as error:
                self.has_failed |= isinstance(error, RequestFailed)
                write(f"{error}\n", "red")

    # ---------------------------------------------------------------- a turn

    async def _turn(self, text: str) -> None:
        """Asks, answers the calls that come back, and asks on until the model has said all. If it fails, or is
        cancelled, the conversation is where it was."""
        turn: Turn | None = None
        given: str | list[Json] = message(text, self.attached)
        previous = self.previous
        while True:
            response, said = await self._asked(given, previous)
            if response is None:
                return
            turn = Turn(text, said if turn is None else turn.answer + said, response)
            calls = [item for item in response["output"] if item["type"] in CALLS]
            if not calls:
                break
            outputs = await self._answered(calls)
            if outputs is None:
                write("Not answered: the conversation goes on before it.\n", "dim")
                return
            given, previous = outputs, response["id"]
        self.attached = []
        self.turns.append(turn)

    async def _asked(self, given: str | list[Json], previous: str | None) -> tuple[Json | None, str]:
        """The response and its text; None if it was cancelled."""
        body: Json = {"model": self.model, "input": given}
        if previous:
            body["previous_response_id"] = previous
        if self.instructions:
            body["instructions"] = self.instructions
        if self.tools:
            body["tools"] = self.tools
        answer = Answer()

        async def show() -> Json:
            async with aclosing(self.gateway.events(body)) as events:
                return await answer.show(events)

        response = await self.interrupts.cancellable(show())
        if response is None:
            write("\nCancelled.\n", "dim")
        elif reason := reason_of(response):
            write(f"({reason})\n", "dim")
        return response, answer.text

    async def _answered(self, calls: list[Json]) -> list[Json] | None:
        """What the person at the terminal gives back for each call; None if they would not."""
        outputs = []
        for call in calls:
            approval = call["type"] == "mcp_approval_request"
            question = "approve? y/n" if approval else f"result of {call['name']}"
            try:
                said = await self.input.line(f"{question}> ", of_call=True)
            except Left:
                return None
            outputs.append(output_of(call, said))
        return outputs

    # ---------------------------------------------------------------- commands

    async def _command(self, line: str) -> bool:
        """Whether it is to leave."""
        name, _, rest = line[1:].partition(" ")
        if name in ("quit", "exit", "q"):
            return True
        known = COMMANDS.get(name)
        if known is None:
            raise CommandError(f"there is no /{name}: /help lists the commands; to send it, write //{name}")
        known[2](self, rest.strip())
        return False

    def set_model(self, name: str) -> None:
        self.model = name or self.model
        write(f"Model: {self.model}\n", "dim")

    def attach_image(self, path: str) -> None:
        self.attached.append(image_part(_needed(path, "/image PATH")))
        write("Attached to your next message.\n", "dim")

    def attach_file(self, path: str) -> None:
        self.attached.append(file_part(_needed(path, "/file PATH")))
        write("Attached to your next message.\n", "dim")

    def set_tools(self, path: str) -> None:
        self.tools = read_tools(path) if path else []
        names = ", ".join(str(tool.get("name", tool["type"])) for tool in self.tools)
        write(f"Tools: {names or 'none'}\n", "dim")

    def set_system(self, text: str) -> None:
        self.instructions = text or None
        write(f"Instructions: {text or 'none'}\n", "dim")

    def fork(self, number: str) -> None:
        """Back to the end of turn n; without n, before the last turn."""
        kept = len(self.turns) - 1 if not number else int(number) if number.isdecimal() else -1
        if not 0 <= kept <= len(self.turns):
            raise CommandError(f"/fork N goes back to the end of a turn, 0 to {len(self.turns)}")
        del self.turns[kept:]
        write(f"Back at the end of turn {kept}: the next message branches off there.\n", "dim")

    def save(self, path: str) -> None:
        saved(_needed(path, "/save PATH"), self.turns, self.instructions)
        write(f"Saved {len(self.turns)} turns in {path}.\n", "dim")

    def new(self, _: str) -> None:
        self.turns, self.attached, self.began_at = [], [], None
        write("A new conversation.\n", "dim")

    def help(self, _: str) -> None:
        for name, (argument, meaning, _work) in COMMANDS.items():
            write(f"  {f'/{name} {argument}':<15} {meaning}\n")


# Name → its argument, what it does, its work.
COMMANDS: dict[str, tuple[str, str, Callable[[Chat, str], None]]] = {
    "model": ("[NAME]", "go on with another model; without a name: say which", Chat.set_model),
    "image": ("PATH", "attach an image to the next message (a URL, too)", Chat.attach_image),
    "file": ("PATH", "attach a file, such as a PDF (a URL, too)", Chat.attach_file),
    "tools": ("[FILE]", "offer the tools in a JSON file; without a file: none", Chat.set_tools),
    "system": ("[TEXT]", "instructions from the next message on; without text: none", Chat.set_system),
    "fork": ("[N]", "go back to the end of turn N, and branch off; without N: before the last", Chat.fork),
    "save": ("PATH", "save the conversation: .json whole, else as Markdown", Chat.save),
    "new": ("", "begin a new conversation", Chat.new),
    "help": ("", "list these commands", Chat.help),
    "quit": ("", "leave", Chat.help),
}


def _needed(argument: str, usage: str) -> str:
    if not argument:
        raise CommandError(f"it needs its argument: {usage}")
    return argument


def output_of(call: Json, said: str) -> Json:
    """The answer to a call, as an input item."""
    if call["type"] == "mcp_approval_request":
        approve = said.strip().lower() in ("y", "yes")
        return {"type": "mcp_approval_response", "approval_request_id": call["id"], "approve": approve}
    return {"type": f"{call['type']}_output", "call_id": call["call_id"], "output": said}
