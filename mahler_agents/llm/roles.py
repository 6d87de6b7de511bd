"""Stage 4, LLM calls: what `--model` and `--model-for` say comes in, each role's endpoint goes out."""

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass

from mahler_agents.errors import InputError
from mahler_agents.llm.models import SCRIPTED, Endpoint, ModelSpec, open_endpoint, parse_model
from mahler_agents.llm.prompts import Prompt

VARIABLE = "MAHLER_MODEL_FOR"
ROLES_OF_PROMPTS = ("analyst", "fund_manager")
"""What a prompt's `model_role` may be: `analyst` stands for every role whose prompt says so."""

Choice = ModelSpec | Endpoint


@dataclass(frozen=True, kw_only=True)
class RoleModels:
    """Which model each role asks: its own, or else that of its prompt's `model_role`, or else the desk's."""

    desk: Choice
    by_role: Mapping[str, Choice]

    @property
    def spec(self) -> ModelSpec:
        """The desk's own choice."""
        return SCRIPTED if isinstance(self.desk, Endpoint) else self.desk

    @property
    def has_toy(self) -> bool:
        """Whether any role asks the embedded model, whose opinions are for show."""
        chosen = [self.desk, *self.by_role.values()]
        return any(isinstance(one, ModelSpec) and one.kind == "local" and one.path is None for one in chosen)

    def check(self, roles: Iterable[str]) -> None:
        """Raise InputError if a model is chosen for a role that the desk does not have."""
        known = dict.fromkeys([*ROLES_OF_PROMPTS, *roles])
        for role in self.by_role:
            if role not in known:
                raise InputError(f"--model-for {role}=...: no such role; use one of: {', '.join(known)}")

    def chosen(self, prompts: Mapping[str, Prompt]) -> dict[str, Choice]:
        """Return which model each role that has a prompt asks."""
        return {role: self._choice(role, prompt) for role, prompt in prompts.items()}

    def open(
        self, stack: ExitStack | AsyncExitStack, prompts: Mapping[str, Prompt], environ: Mapping[str, str]
    ) -> dict[str, Endpoint]:
        """Return the endpoint of every role that has a prompt; one that several roles chose is opened once.

        Raises ConfigError if a key, the embedded model or its server is missing.
        """
        chosen = self.chosen(prompts)
        opened: dict[ModelSpec, Endpoint] = {}
        for choice in chosen.values():
            if isinstance(choice, ModelSpec) and choice not in opened:
                roles = [role for role, same in chosen.items() if same == choice]
                opened[choice] = stack.enter_context(open_endpoint(choice, roles, environ))
        return {role: opened[one] if isinstance(one, ModelSpec) else one for role, one in chosen.items()}

    def _choice(self, role: str, prompt: Prompt) -> Choice:
        return self.by_role.get(role) or self.by_role.get(prompt.front.model_role) or self.desk


def choose_models(
    model: str | Endpoint, model_for: Mapping[str, str | Endpoint], environ: Mapping[str, str]
) -> RoleModels:
    """Return the choices of a desk: MAHLER_MODEL_FOR's, and before them those of `model_for`.

    Raises InputError or ConfigError for a model that does not exist, or if a role's model could not be asked.
    """
    texts: dict[str, str | Endpoint] = {**parse_model_for(_variable(environ), where=VARIABLE), **model_for}
    desk = model if isinstance(model, Endpoint) else _parsed(model, environ)
    by_role = {role: one if isinstance(one, Endpoint) else _parsed(one, environ) for role, one in texts.items()}
    for role, choice in by_role.items():
        if isinstance(choice, ModelSpec) and choice.kind == "none":
            raise InputError(f"--model-for {role}=none: a role has a model or the desk has none (--model none)")
    if isinstance(desk, ModelSpec) and desk.kind == "none":
        # Rules only is said of the whole desk, so that what the variable says of a role does not bring the LLM back.
        if model_for:
            raise InputError("--model none asks nobody: leave out --model-for")
        by_role = {}
    return RoleModels(desk=desk, by_role=by_role)


def parse_model_for(parts: Iterable[str], *, where: str = "--model-for") -> dict[str, str]:
    """Return role to model of texts such as `fund_manager=openai:NAME`. Raises InputError for any other form."""
    chosen: dict[str, str] = {}
    for part in parts:
        role, equals, model = part.strip().partition("=")
        if not (role and equals and model):
            raise InputError(f"{where} {part}: use ROLE=MODEL, such as fund_manager=openai:NAME")
        chosen[role] = model
    return chosen


def _variable(environ: Mapping[str, str]) -> list[str]:
    return [part for part in environ.get(VARIABLE, "").split(",") if part.strip()]


def _parsed(text: str, environ: Mapping[str, str]) -> ModelSpec:
    return parse_model(text, configured=environ.get("MAHLER_MODEL"), environ=environ)
