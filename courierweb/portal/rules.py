"""A Sieve script as a list of rules, and back.

What nobody changes keeps its text to the octet. A command becomes a rule only when the rule,
written again, means the same; everything else stays as a block of Sieve in its place.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from courierweb.portal import chunks, sieve_words, vacation_text
from courierweb.portal.chunks import Chunk
from courierweb.portal.rule import Opaque, Rule, Vacation
from mta.filters.sieve import syntax
from mta.filters.sieve.syntax import Node, Tag

_NAME = re.compile(r"(?P<note>(?:[\s\S]*\n)?)[ \t]*# rule:\[(?P<name>[^\n]*)\][ \t]*\r?\n\s*\Z")

Content = Rule | Vacation | Opaque


@dataclass(frozen=True, slots=True)
class Item:
    """`source` is the text it was read from, "" for what is new or changed."""

    content: Content
    source: str = ""

    @property
    def text(self) -> str:
        return self.source or write(self.content)


@dataclass(frozen=True, slots=True)
class Script:
    """`head` has the `require` commands, `tail` what follows the last command."""

    head: str = ""
    items: tuple[Item, ...] = ()
    tail: str = ""

    @property
    def vacation(self) -> Vacation | None:
        found = (each.content for each in self.items if isinstance(each.content, Vacation))
        return next(found, None)

    def with_item(self, index: int, content: Content) -> "Script":
        """Another content in this place, or at the end."""
        items = list(self.items)
        items[index : index + 1] = [Item(content)]
        return replace(self, items=tuple(items))

    def without(self, index: int) -> "Script":
        return replace(self, items=self.items[:index] + self.items[index + 1 :])

    def moved(self, index: int, to: int) -> "Script":
        items = list(self.items)
        items.insert(to, items.pop(index))
        return replace(self, items=tuple(items))

    def with_vacation(self, vacation: Vacation | None) -> "Script":
        """In the place of the one there is, else before everything."""
        places = [i for i, each in enumerate(self.items) if isinstance(each.content, Vacation)]
        if vacation is None:
            return self.without(places[0]) if places else self
        if places:
            return self.with_item(places[0], vacation)
        return replace(self, items=(Item(vacation), *self.items))


def read(text: str) -> Script:
    """Raises SieveError."""
    syntax.parse(text)
    found, tail = chunks.cut(text)
    count = next((i for i, each in enumerate(found) if each.name != "require"), len(found))
    head = "".join(each.text for each in found[:count])
    items: list[Item] = []
    has_vacation = False
    for chunk in found[count:]:
        content = _content(chunk)
        if isinstance(content, Vacation):
            content = Opaque(chunk.text) if has_vacation else content
            has_vacation = True
        items.append(Item(content, chunk.text))
    return Script(head, tuple(items), tail)


def write_script(script: Script) -> str:
    parts = [_head(script)]
    for item in script.items:
        if parts[-1] and not parts[-1].endswith("\n"):
            parts.append("\n")
        parts.append(item.text)
    return "".join(parts) + script.tail


def write(content: Content) -> str:
    match content:
        case Rule():
            return write_rule(content)
        case Vacation():
            return vacation_text.write(content)
    return content.text


def write_rule(rule: Rule) -> str:
    title = f"# rule:[{rule.name}]\n" if rule.name else ""
    command = _command(rule)
    if not rule.enabled:
        command = f"if false {{\n{command}}}\n"
    return rule.note + title + command


def needs(content: Content) -> set[str]:
    """The extensions that must be required for it; nothing for a block, which has its own."""
    match content:
        case Rule():
            tests = [sieve_words.test_needs(each) for each in content.tests]
            actions = [sieve_words.action_needs(each) for each in content.actions]
            return set().union(*tests, *actions)
        case Vacation():
            return vacation_text.needs(content)
    return set()


def _head(script: Script) -> str:
    """With what is new to require. A head of one plain `require` stays one."""
    missing = set().union(*(needs(item.content) for item in script.items if not item.source))
    there = [each for node in syntax.parse(script.head) for each in node.arguments]
    required = {name for names in there if isinstance(names, tuple) for name in names}
    if missing <= required:
        return script.head
    if len(there) > 1 or chunks.has_comment(script.head):
        separate = "" if script.head.endswith("\n") else "\n"
        return f"{script.head}{separate}{_require(missing - required)}"
    return _require(required | missing)


def _require(names: set[str]) -> str:
    return f"require [{', '.join(map(sieve_words.string, sorted(names)))}];\n"


def _command(rule: Rule) -> str:
    tests = [sieve_words.write_test(each) for each in rule.tests] or ["true"]
    if rule.every and len(tests) == 1:
        condition = tests[0]
    else:
        condition = f"{'allof' if rule.every else 'anyof'} ({_listed(tests)})"
    actions = "".join(f"    {sieve_words.write_action(each)}\n" for each in rule.actions)
    return f"if {condition} {{\n{actions}}}\n"


def _listed(tests: list[str]) -> str:
    return tests[0] if len(tests) == 1 else ",\n    ".join(["", *tests]).removeprefix(",") + "\n"


def _content(chunk: Chunk) -> Content:
    opaque = Opaque(chunk.text)
    if chunk.has_comment or chunks.has_comment(chunk.after):
        return opaque
    nodes = syntax.parse(chunk.body)
    found: Content | None = vacation_text.read(chunk.before, nodes)
    if found is None:
        found = _rule(chunk.before, nodes)
    if found is None or meaning(syntax.parse(write(found))) != meaning(nodes):
        return opaque
    return found


def _rule(before: str, nodes: tuple[Node, ...]) -> Rule | None:
    named = _NAME.match(before)
    note, name = (named["note"], named["name"]) if named else (before, "")
    if len(nodes) == 1 and (inner := switched_off(nodes[0])) is not None:
        rule = _rule_of(inner)
        return rule and replace(rule, name=name, note=_note(note), enabled=False)
    rule = _rule_of(nodes[0]) if len(nodes) == 1 else None
    return rule and replace(rule, name=name, note=_note(note))


def _note(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def switched_off(node: Node) -> Node | None:
    """The command in an `if false` that has nothing else."""
    match node:
        case Node(name="if", tests=(Node(name="false"),), block=(inner,)):
            return inner
    return None


def _rule_of(node: Node) -> Rule | None:
    if node.name != "if" or len(node.tests) != 1 or not node.block:
        return None
    (test,) = node.tests
    several = test.name in ("allof", "anyof")
    tested = [each for each in (test.tests if several else node.tests) if each.name != "true"]
    tests = [sieve_words.read_test(each) for each in tested]
    actions = [sieve_words.read_action(each) for each in node.block]
    read_tests = tuple(each for each in tests if each is not None)
    read_actions = tuple(each for each in actions if each is not None)
    if len(read_tests) < len(tests) or len(read_actions) < len(actions):
        return None
    return Rule("", read_tests, read_actions, every=test.name != "anyof")


def meaning(nodes: tuple[Node, ...]) -> Any:
    """What is the same for two texts that mean the same to the builder: all but the positions,
    and whether a folder that is missing is made, which the builder always asks for."""
    return [
        (
            node.name,
            [_meaning_of(each) for each in node.arguments if not _is_create(node, each)],
            meaning(node.tests),
            None if node.block is None else meaning(node.block),
        )
        for node in nodes
    ]


def _meaning_of(argument: Any) -> Any:
    return f":{argument.name}" if isinstance(argument, Tag) else argument


def _is_create(node: Node, argument: Any) -> bool:
    return node.name == "fileinto" and isinstance(argument, Tag) and argument.name == "create"
