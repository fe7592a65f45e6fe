"""Compile, second half: what is written is checked and becomes a Program (RFC 5228)."""

from mta.filters.sieve import program, syntax
from mta.filters.sieve.program import Match, Part, Subject, Verb
from mta.filters.sieve.syntax import Node, Tag

# comparator-i;octet and comparator-i;ascii-casemap are always there (RFC 5228, section 2.7.3).
CAPABILITIES = frozenset(
    ("fileinto", "reject", "ereject", "envelope", "copy")
    + ("comparator-i;octet", "comparator-i;ascii-casemap")
)
_COMPARATORS = {"i;octet": False, "i;ascii-casemap": True}
_NEEDS = {"fileinto": "fileinto", "reject": "reject", "ereject": "ereject", "envelope": "envelope"}
_WITH_TEXT = frozenset((Verb.FILEINTO, Verb.REDIRECT, Verb.REJECT, Verb.EREJECT))
_WITH_COPY = frozenset((Verb.FILEINTO, Verb.REDIRECT))


def compile_script(text: str) -> program.Program:
    """Raises SieveError, which names line and column and says what is wrong."""
    nodes = list(syntax.parse(text))
    capabilities: set[str] = set()
    while nodes and nodes[0].name == "require":
        capabilities.update(_required(nodes.pop(0)))
    commands = _Compiler(frozenset(capabilities)).block(tuple(nodes))
    return program.Program(commands, frozenset(capabilities))


def _required(node: Node) -> tuple[str, ...]:
    match node:
        case Node(arguments=(tuple(names),), tests=(), block=None):
            for name in names:
                if name not in CAPABILITIES:
                    raise node.at.error(f"the extension {name!r} is not known here")
            return names
    raise node.at.error('"require" takes one string or one list of strings')


class _Compiler:
    def __init__(self, capabilities: frozenset[str]) -> None:
        self._capabilities = capabilities

    def block(self, nodes: tuple[Node, ...]) -> tuple[program.Command, ...]:
        commands: list[program.Command] = []
        at = 0
        while at < len(nodes):
            end = at + 1
            if nodes[at].name == "if":
                while end < len(nodes) and nodes[end].name in ("elsif", "else"):
                    end += 1
                commands.append(self._if(nodes[at:end]))
            else:
                commands.append(self._act(nodes[at]))
            at = end
        return tuple(commands)

    def _if(self, nodes: tuple[Node, ...]) -> program.If:
        branches = []
        for index, node in enumerate(nodes):
            if node.block is None or node.arguments:
                raise node.at.error(f'"{node.name}" takes a test and a block in braces')
            if node.name == "else":
                if node.tests or index + 1 < len(nodes):
                    raise node.at.error('"else" takes no test and is the last branch')
                test: program.Test = program.Constant(node.at, value=True)
            else:
                test = self._test(_only_test(node))
            branches.append((test, self.block(node.block)))
        return program.If(nodes[0].at, tuple(branches))

    def _act(self, node: Node) -> program.Act:
        if node.name == "require":
            raise node.at.error('"require" must stand before all other commands')
        if node.name in ("elsif", "else"):
            raise node.at.error(f'"{node.name}" must follow an "if" or "elsif"')
        try:
            verb = Verb(node.name)
        except ValueError:
            raise node.at.error(f'"{node.name}" is no command known here') from None
        self._check_required(node, _NEEDS.get(node.name))
        if node.tests or node.block is not None:
            raise node.at.error(f'"{node.name}" takes neither a test nor a block')
        tags, others = _split(node)
        copy = self._copy(verb, tags)
        match others:
            case [(str() as value,)] if verb in _WITH_TEXT and value:
                return program.Act(node.at, verb, value, copy)
            case [] if verb not in _WITH_TEXT:
                return program.Act(node.at, verb)
        wanted = "one string that is not empty" if verb in _WITH_TEXT else "no argument"
        raise node.at.error(f'"{node.name}" takes {wanted}')

    def _copy(self, verb: Verb, tags: list[tuple[Tag, str]]) -> bool:
        for tag, _ in tags:
            if tag.name != "copy" or verb not in _WITH_COPY:
                raise tag.at.error(f'":{tag.name}" is not known with "{verb.value}"')
            if "copy" not in self._capabilities:
                raise tag.at.error('":copy" needs require "copy" at the beginning')
        return bool(tags)

    def _test(self, node: Node) -> program.Test:
        match node.name:
            case "allof" | "anyof" if not node.arguments and node.tests:
                tests = tuple(self._test(each) for each in node.tests)
                return program.Several(node.at, node.name == "allof", tests)
            case "not" if not node.arguments:
                return program.Not(node.at, self._test(_only_test(node)))
            case "true" | "false" if not node.arguments and not node.tests:
                return program.Constant(node.at, node.name == "true")
            case "header" | "address" | "envelope" if not node.tests:
                return self._compare(node)
        match node:
            case Node(name="exists", arguments=(tuple(names),), tests=()):
                return program.Exists(node.at, names)
            case Node(name="size", arguments=(Tag(name="over" | "under" as way), int(limit))):
                return program.Size(node.at, way == "over", limit)
        known = ("allof", "anyof", "not", "true", "false", "exists", "size")
        problem = "has wrong arguments" if node.name in known else "is no test known here"
        raise node.at.error(f'"{node.name}" {problem}')

    def _compare(self, node: Node) -> program.Compare:
        subject = Subject(node.name)
        self._check_required(node, _NEEDS.get(node.name))
        tags, others = _split(node)
        match, part, fold_case = Match.IS, Part.ALL, True
        seen: set[str] = set()
        for tag, value in tags:
            if tag.name in {each.value for each in Match}:
                group, match = "match type", Match(tag.name)
            elif subject is not Subject.HEADER and tag.name in {each.value for each in Part}:
                group, part = "address part", Part(tag.name)
            elif tag.name == "comparator" and value in _COMPARATORS:
                group, fold_case = "comparator", _COMPARATORS[value]
            else:
                raise tag.at.error(f'":{tag.name}" {value} is not known with "{node.name}"')
            if group in seen:
                raise tag.at.error(f"this is the second {group} of one test")
            seen.add(group)
        if len(others) != 2:
            raise node.at.error(f'"{node.name}" takes a list of names and a list of keys')
        names, keys = others
        if subject is Subject.ENVELOPE and not {each.lower() for each in names} <= {"from", "to"}:
            raise node.at.error('"envelope" knows "from" and "to"')
        return program.Compare(node.at, subject, names, keys, match, part, fold_case)

    def _check_required(self, node: Node, capability: str | None) -> None:
        if capability and capability not in self._capabilities:
            raise node.at.error(f'"{node.name}" needs require "{capability}" at the beginning')


def _only_test(node: Node) -> Node:
    if len(node.tests) != 1:
        raise node.at.error(f'"{node.name}" takes exactly one test')
    return node.tests[0]


def _split(node: Node) -> tuple[list[tuple[Tag, str]], list[tuple[str, ...]]]:
    """Tags, with the value of `:comparator`, and the lists of strings, in their order."""
    tags: list[tuple[Tag, str]] = []
    others: list[tuple[str, ...]] = []
    for argument in node.arguments:
        if isinstance(argument, int):
            raise node.at.error(f'"{node.name}" takes no number')
        if isinstance(argument, Tag):
            tags.append((argument, ""))
        elif tags and tags[-1][0].name == "comparator" and not tags[-1][1] and not others:
            tags[-1] = (tags[-1][0], argument[0])
        else:
            others.append(argument)
    return tags, others
