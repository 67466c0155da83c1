"""`models`: which models a tenant, or a key, may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from ..catalog import matches
from ..engine.middleware import NO_SUCH_MODEL, TurnContext
from ..protocol.errors import ApiError, quoted
from ..routing import Router
from ..store.limits import LIMITS


@dataclass(kw_only=True)
class Models:
    """Other models are 404 `model_not_found`, as those are that nobody has, and GET /v1/models does not list them.

    A pattern is compared with the name as it is asked for, with `provider/model`, and with the model's bare name where
    that leads to the same provider.
    """

    allow: list[str]

    def __post_init__(self) -> None:
        if not LIMITS["models"].ok(self.allow):
            raise ValueError(f"allow: must be {LIMITS['models'].expected}")

    async def before_turn(self, turn: TurnContext) -> None:
        model = turn.request["model"]
        if not self.shows_model(model, turn.services.router):
            raise ApiError("model_not_found", NO_SUCH_MODEL.format(quoted(model)), param="model")

    def shows_model(self, model: str, router: Router) -> bool:
        route = router.resolve(model)
        names = [model, f"{route.provider.name}/{route.model}"]
        try:
            if router.resolve(route.model).provider is route.provider:
                names.append(route.model)
        except ApiError:  # no route leads to the bare name
            pass
        return any(matches(self.allow, name) for name in names)
