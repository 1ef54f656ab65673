"""What a browser would stumble over: tags that do not close, ids twice, controls without a name, far addresses."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "input", "br", "img"})
_CLOSES_ITSELF = frozenset({"option"})


class Markup(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.refers: list[tuple[str, str]] = []  # attribute, id
        self.addresses: list[str] = []
        self.scripts: list[dict[str, str]] = []
        self.fields: dict[str, str] = {}  # hidden ones
        self.words: list[str] = []
        self.problems: list[str] = []
        self.feed(text)
        self.close()
        self._check(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if len(said) != len(attrs):
            self.problems.append(f"<{tag}> has an attribute twice: {attrs}")
        if tag in _CLOSES_ITSELF and self.open and self.open[-1] == tag:
            self.open.pop()
        if tag not in _VOID:
            self.open.append(tag)
        if "id" in said:
            self.ids.append(said["id"])
        for name in ("for", "aria-labelledby", "aria-describedby", "list"):
            self.refers += [(name, one) for one in said.get(name, "").split()]
        self.addresses += [said[name] for name in ("href", "src", "action") if name in said]
        if tag == "script":
            self.scripts.append(said)
        if said.get("type") == "hidden":
            self.fields[said["name"]] = said["value"]
        named = "aria-label" in said or "label" in self.open or "id" in said or said.get("type") == "hidden"
        if tag in ("input", "select", "textarea") and not named:
            self.problems.append(f"<{tag} {said}> has no label")
        self.problems += [f"{name} on <{tag}>" for name in said if name.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open[-1] in _CLOSES_ITSELF and tag != self.open[-1]:
            self.open.pop()
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> at {self.getpos()} closes what is not open")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def _check(self, text: str) -> None:
        if not text.startswith("<!doctype html>"):
            self.problems.append("no doctype")
        if self.open:
            self.problems.append(f"never closed: {self.open}")
        twice = {one for one in self.ids if self.ids.count(one) > 1}
        if twice:
            self.problems.append(f"ids twice: {twice}")
        self.problems += [f"{name} names no element: {one}" for name, one in self.refers if one not in self.ids]
        strange = [one for one in self.addresses if not one.startswith(("/", "#")) or one.startswith("//")]
        if strange:
            self.problems.append(f"addresses of elsewhere: {strange[:5]}")


def checked(text: str) -> Markup:
    found = Markup(text)
    assert found.problems == [], found.problems[:10]
    return found
