"""Stage 4, LLM calls: prompt files come in, the messages of a call go out; a prompt's version is its content's hash.

A prompt file is Markdown: YAML front matter between `---` lines, then a Jinja2 body with a line `# System` and a line
`# User`. The system part is constant, so that it is the same for the worked examples and the real brief and stays in a
provider's prefix cache; the user part sees the brief's fields as variables.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, ClassVar, Literal, TypedDict

import jinja2
import yaml
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mahler_agents.errors import ConfigError
from mahler_agents.llm.replies import explain

MEMORY = "memory"
"""The variable that shows what became of similar trades."""
ModelRole = Literal["analyst", "fund_manager"]


class Message(TypedDict):
    """One message of a chat completion."""

    role: Literal["system", "user", "assistant"]
    content: str


class Example(BaseModel):
    """A worked example: a brief and the reply that it should get."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    brief: dict[str, Any]
    reply: dict[str, Any]

    @field_validator("reply")
    @classmethod
    def _is_json(cls, reply: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical_json(reply)
        except (TypeError, ValueError) as error:  # YAML has NaN, sets and bytes
            raise ValueError(f"cannot be written as JSON: {error}") from error
        return reply


class FrontMatter(BaseModel):
    """The keys of a prompt file's front matter, no more and no less."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: str
    description: str
    model_role: ModelRole
    temperature: float = Field(ge=0, le=2)
    max_tokens: int = Field(ge=64, le=32_768)
    """Longest reply, in tokens."""
    variables: list[str]
    """The fields of the brief that the user part shows."""
    examples: list[Example]
    memory: int = Field(default=0, ge=0, le=20)
    """How many similar trades that had been closed by then the brief is given; 0: none."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One role's prompt, read from a file."""

    path: str
    """Where it was read from, as errors name it."""
    text: str
    """The whole file, normalised: what the content hash covers."""
    front: FrontMatter
    system: str
    user: str
    """Source of the user part's template."""

    @property
    def name(self) -> str:
        """The role's name, which is the file's."""
        return self.front.name

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of the normalised text, 64 hex characters: the prompt's version."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def used_variables(self) -> frozenset[str]:
        """The variables that the user part uses."""
        return frozenset(meta.find_undeclared_variables(_environment().parse(self.user)))

    @cached_property
    def _opening(self) -> tuple[Message, ...]:
        messages: list[Message] = [{"role": "system", "content": self.system}]
        for example in self.front.examples:
            messages.append({"role": "user", "content": self._render(example.brief)})
            messages.append({"role": "assistant", "content": canonical_json(example.reply)})
        return tuple(messages)

    def messages(self, facts: Mapping[str, Any]) -> list[Message]:
        """Return the call's messages: system, each worked example as a user and an assistant message, then the brief.

        `facts` are the brief's fields. Raises ConfigError, with the file and the variable, if a template fails.
        """
        return [*self._opening, {"role": "user", "content": self._render(facts)}]

    def _render(self, facts: Mapping[str, Any]) -> str:
        try:
            return _template(self.user).render({MEMORY: None, **facts})  # worked examples need none
        except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise ConfigError(f"{self.path}: cannot render the prompt: {_one_line(error)}") from error


def load_prompt(name: str, directory: Path | None = None) -> Prompt:
    """Read the prompt `name` from `directory`, or from the package if None.

    Raises ConfigError, naming file and key, if it cannot be read or does not have a prompt's form.
    """
    if not name.isidentifier():
        raise ConfigError(f"`{name}` is no prompt's name: use letters, digits and underscores")
    folder = resources.files("mahler_agents") / "prompts" if directory is None else directory
    path = f"prompts/{name}.md" if directory is None else str(directory / f"{name}.md")
    prompt = _read(folder / f"{name}.md", path)
    if prompt.name != name:
        raise ConfigError(f"{path}: `name` is `{prompt.name}`; it must be the file's name, `{name}`")
    return prompt


def read_prompt(path: Path) -> Prompt:
    """Read a prompt from a file of any name; its role is the `name` of its front matter. Raises as `load_prompt`."""
    return _read(path, str(path))


def _read(file: Traversable, path: str) -> Prompt:
    try:
        raw = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such prompt file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the prompt file: {_one_line(error)}") from error
    return parse_prompt(raw, path=path)


@lru_cache(maxsize=64)
def parse_prompt(raw: str, *, path: str) -> Prompt:
    """Return the prompt that the text of a prompt file holds; `path` is what errors name.

    The same text is read once in a process, however many desks, replays and evaluations ask for it.
    """
    text = normalised(raw)
    front, body = _split_front_matter(text, path)
    system, user = _split_body(body, path)
    for part, source in (("System", system), ("User", user)):
        try:
            used = meta.find_undeclared_variables(_environment().parse(source))
        except jinja2.TemplateSyntaxError as error:
            raise ConfigError(f"{path}: `# {part}`: {_one_line(error)}") from error
        if part == "System" and used:
            raise ConfigError(f"{path}: `# System` uses the variable `{min(used)}`; it must be constant, use `# User`")
    return Prompt(path=path, text=text, front=front, system=_template(system).render(), user=user)


def check_prompt(prompt: Prompt, brief_fields: Collection[str], reply: type[BaseModel]) -> None:
    """Check a prompt against its role: its variables against the brief's fields, its examples against the reply.

    Raises ConfigError, with the file and the variable or key.
    """
    declared = set(prompt.front.variables)
    has = f"the {prompt.name} brief has: {', '.join(brief_fields)}"
    for name in sorted(prompt.used_variables | declared):
        if name not in brief_fields:
            raise ConfigError(f"{prompt.path}: unknown variable `{name}`; {has}")
        if name not in declared:
            raise ConfigError(f"{prompt.path}: variable `{name}` is used; declare it under `variables`")
        if name not in prompt.used_variables:
            raise ConfigError(f"{prompt.path}: variable `{name}` is declared and not used; use it or take it away")
    _check_memory(prompt, brief_fields)
    for position, example in enumerate(prompt.front.examples):
        where = f"{prompt.path}: examples[{position}]"
        for name in example.brief:
            if name not in brief_fields:
                raise ConfigError(f"{where}.brief: unknown field `{name}`; {has}")
        _check_example_reply(example, reply, where)
    if prompt.front.examples:
        _check_rendering(prompt, prompt.front.examples[0])


def _check_memory(prompt: Prompt, brief_fields: Collection[str]) -> None:
    shown, asked = MEMORY in prompt.used_variables, prompt.front.memory
    if asked and MEMORY not in brief_fields:
        raise ConfigError(f"{prompt.path}: `memory: {asked}`: only an analyst is given closed trades; take it out")
    if asked and not shown:
        raise ConfigError(f"{prompt.path}: `memory: {asked}` and `memory` is not shown; show it, or take the key out")
    if shown and not asked:
        raise ConfigError(f"{prompt.path}: `memory` is shown; say of how many trades in the front matter: `memory: 5`")


def _check_rendering(prompt: Prompt, example: Example) -> None:
    try:
        prompt.messages(example.brief)
    except ConfigError as error:
        raise ConfigError(f"{error} (examples[0]); mend `# User`, or the example") from error


def _check_example_reply(example: Example, reply: type[BaseModel], where: str) -> None:
    try:
        reply.model_validate_json(canonical_json(example.reply))
    except ValidationError as error:
        raise ConfigError(f"{where}.reply: {explain(error)}") from error
    order = [name for name in reply.model_fields if name in example.reply]
    if list(example.reply) != order:  # a decoder held to the schema writes the keys in this order and no other
        raise ConfigError(f"{where}.reply: write the keys in the schema's order: {', '.join(order)}")


def normalised(raw: str) -> str:
    """Return text without differences that no reader sees: line endings, white space at the end of lines and text."""
    return "\n".join(line.rstrip() for line in raw.splitlines()).strip() + "\n"


def canonical_json(value: Any) -> str:
    """Return compact JSON in the given key order, without NaN."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


_WITHOUT_DATES = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _PlainLoader(yaml.SafeLoader):
    """YAML whose dates stay text: a brief holds JSON values, and JSON has no dates."""

    yaml_implicit_resolvers: ClassVar = _WITHOUT_DATES


_QUICK: Any = type(
    "_QuickLoader",
    (yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader,),
    {"yaml_implicit_resolvers": _WITHOUT_DATES},
)
"""The same in a tenth of the time; what is wrong, it says without showing the line."""


def _split_front_matter(text: str, path: str) -> tuple[FrontMatter, str]:
    lines = text.split("\n")
    if lines[0] != "---" or "---" not in lines[1:]:
        raise ConfigError(f"{path}: begin the file with front matter between two `---` lines")
    end = lines.index("---", 1)
    try:
        values = _plain("\n".join(lines[1:end]))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: front matter is not YAML: {_one_line(error)}") from error
    try:
        return FrontMatter.model_validate(values), "\n".join(lines[end + 1 :])
    except ValidationError as error:
        raise ConfigError(f"{path}: front matter: {explain(error)}") from error


def _plain(text: str) -> Any:
    try:
        return yaml.load(text, _QUICK)  # noqa: S506 - a SafeLoader without timestamps
    except yaml.YAMLError:
        return yaml.load(text, _PlainLoader)  # noqa: S506 - the same, for its words


def _split_body(body: str, path: str) -> tuple[str, str]:
    lines = body.split("\n")
    if lines.count("# System") != 1 or lines.count("# User") != 1:
        raise ConfigError(f"{path}: the body needs one line `# System` and one line `# User`")
    system_at, user_at = lines.index("# System"), lines.index("# User")
    if system_at > user_at or any(lines[:system_at]):
        raise ConfigError(f"{path}: the body begins with `# System`; `# User` follows it")
    system, user = "\n".join(lines[system_at + 1 : user_at]).strip(), "\n".join(lines[user_at + 1 :]).strip()
    if not system or not user:
        raise ConfigError(f"{path}: `# {'User' if system else 'System'}` is empty")
    return system, user


def _show(value: Any) -> Any:
    return "not available" if value is None else value


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    # Prompts are text for a model, not HTML: nothing is escaped. A fact that is absent is shown as absent.
    return ImmutableSandboxedEnvironment(
        undefined=jinja2.StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True, finalize=_show
    )


@lru_cache(maxsize=256)
def _template(source: str) -> jinja2.Template:
    return _environment().from_string(source)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
