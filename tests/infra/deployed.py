"""What CloudFormation would make of a translated template with given parameters: conditions decided, `Fn::If` chosen,
parameters filled in. Every other function stays as it is written."""

from __future__ import annotations

from typing import Any

from .checks import Template

NO_VALUE = {"Ref": "AWS::NoValue"}
_NOTHING = object()


def deployed(template: Template, **given: str) -> Template:
    """Resources and outputs as they would be. Raises AssertionError where a rule of the template refuses the
    parameters."""
    parameters = {name: of.get("Default", "") for name, of in template.get("Parameters", {}).items()}
    assert given.keys() <= parameters.keys()
    maker = _Maker({**parameters, **given}, template.get("Conditions", {}))
    for rule in template.get("Rules", {}).values():
        if maker.holds(rule["RuleCondition"]):
            for assertion in rule["Assertions"]:
                assert maker.holds(assertion["Assert"]), assertion["AssertDescription"]
    made = {}
    for part in ("Resources", "Outputs"):
        there = {
            name: of
            for name, of in template.get(part, {}).items()
            if "Condition" not in of or maker.holds({"Condition": of["Condition"]})
        }
        made[part] = {name: maker.value(of) for name, of in there.items()}
    return {**template, **made}


class _Maker:
    def __init__(self, parameters: dict[str, str], conditions: dict[str, Any]) -> None:
        self._parameters = parameters
        self._conditions = conditions

    def holds(self, condition: Any) -> bool:
        ((function, of),) = condition.items()
        match function:
            case "Condition":
                return self.holds(self._conditions[of])
            case "Fn::Equals":
                first, second = (self._plain(each) for each in of)
                return first == second
            case "Fn::Not":
                return not self.holds(of[0])
            case "Fn::And":
                return all(map(self.holds, of))
            case "Fn::Or":
                return any(map(self.holds, of))
        raise NotImplementedError(function)

    def _plain(self, value: Any) -> str:
        match value:
            case {"Ref": name}:
                return str(self._parameters[name])
            case {"Fn::Join": [separator, parts]}:
                return str(separator).join(
                    [self._plain(parts)] if isinstance(parts, dict) else map(self._plain, parts)
                )
        return str(value)

    def value(self, value: Any) -> Any:
        made = self._value(value)
        return None if made is _NOTHING else made

    def _value(self, value: Any) -> Any:
        if value == NO_VALUE:
            return _NOTHING
        match value:
            case {"Fn::If": [name, yes, no]}:
                return self._value(yes if self.holds({"Condition": name}) else no)
            case {"Ref": name} if name in self._parameters:
                return self._parameters[name]
            case {"Fn::Split": [separator, text]}:
                return str(self._value(text)).split(separator)
            case dict():
                made = {key: self._value(each) for key, each in value.items()}
                return {key: each for key, each in made.items() if each is not _NOTHING}
            case list():
                return [each for each in map(self._value, value) if each is not _NOTHING]
        return value
