"""Compile, second half: what is written is checked and becomes a Program (RFC 5228)."""

from collections.abc import Iterable

from mta.filters.sieve import syntax, templates
from mta.filters.sieve.checks import check_call
from mta.filters.sieve.matching import RELATIONS, BadKey, Comparator, Comparison, Key, Match
from mta.filters.sieve.program import Call, Command, If, Option, Program, Text, Value
from mta.filters.sieve.syntax import Argument, Node, Position, SieveError, Strings, Tag
from mta.filters.sieve.templates import Template, TemplateError
from mta.filters.sieve.vocabulary import (
    ALWAYS,
    COMMANDS,
    EXTENSIONS,
    READ_BEFORE,
    TESTS,
    Kind,
    OptionShape,
    Shape,
    Tests,
)

__all__ = ["SieveError", "compile_script"]

# In states of re2; making them takes some microseconds each.
_MAX_EXPRESSIONS = 50_000


def compile_script(text: str) -> Program:
    """Raises SieveError, which names line and column and says what is wrong."""
    nodes = list(syntax.parse(text))
    capabilities: set[str] = set()
    while nodes and nodes[0].name == "require":
        capabilities.update(_required(nodes.pop(0)))
    compiler = _Compiler(capabilities)
    commands = compiler.block(tuple(nodes))
    return Program(commands, frozenset(capabilities))


def _required(node: Node) -> tuple[str, ...]:
    match node:
        case Node(arguments=(Strings() as names,), tests=(), block=None):
            for name, at in zip(names, names.positions, strict=True):
                if name not in EXTENSIONS:
                    raise at.error(f"the extension {name!r} is not known here")
            return names
    raise node.at.error('"require" takes one string or one list of strings')


def _known(test: Call) -> bool | None:
    """What a test gives whatever the message is; None when that depends.

    What hangs on an `ihave` that fails may be of extensions that we do not know, so it is not
    even looked at (RFC 5463, section 4).
    """
    if test.name in ("true", "false"):
        return test.name == "true"
    if test.name == "not":
        inner = _known(test.tests[0])
        return None if inner is None else not inner
    if test.name in ("allof", "anyof"):
        every = test.name == "allof"
        found = [_known(each) for each in test.tests]
        if (not every) in found:
            return not every
        return None if None in found else every
    return None


class _Compiler:
    """`capabilities` grows where the script asks for an extension by `ihave`."""

    def __init__(self, capabilities: set[str]) -> None:
        self._capabilities = capabilities
        self._expression_size = 0

    def block(self, nodes: tuple[Node, ...]) -> tuple[Command, ...]:
        commands: list[Command] = []
        at = 0
        while at < len(nodes):
            end = at + 1
            if nodes[at].name == "if":
                while end < len(nodes) and nodes[end].name in ("elsif", "else"):
                    end += 1
                commands.append(self._if(nodes[at:end]))
            else:
                commands.append(self._command(nodes[at]))
            at = end
        return tuple(commands)

    def _if(self, nodes: tuple[Node, ...]) -> If:
        branches = []
        done = False
        for index, node in enumerate(nodes):
            if node.block is None or node.arguments:
                raise node.at.error(f'"{node.name}" takes a test and a block in braces')
            if node.name == "else":
                if node.tests or index + 1 < len(nodes):
                    raise node.at.error('"else" takes no test and is the last branch')
                test = Call(node.at, "true")
            elif len(node.tests) != 1:
                raise node.at.error(f'"{node.name}" takes {Tests.ONE.value}')
            else:
                test = Call(node.at, "true") if done else self._test(node.tests[0])
            known, asks = _known(test), _asks(node)
            skipped = done or (asks and known is False)
            branches.append((test, () if skipped else self.block(node.block)))
            done = done or (asks and known is True)
        return If(nodes[0].at, tuple(branches))

    def _command(self, node: Node) -> Call:
        if node.name == "require":
            raise node.at.error('"require" must stand before all other commands')
        if node.name in ("elsif", "else"):
            raise node.at.error(f'"{node.name}" must follow an "if" or "elsif"')
        shape = COMMANDS.get(node.name)
        if shape is None:
            raise node.at.error(f'"{node.name}" is no command known here')
        if node.tests or node.block is not None:
            raise node.at.error(f'"{node.name}" takes neither a test nor a block')
        return self._call(node, shape)

    def _test(self, node: Node) -> Call:
        shape = TESTS.get(node.name)
        if shape is None:
            raise node.at.error(f'"{node.name}" is no test known here')
        if shape.tests is Tests.NONE and node.tests:
            raise node.at.error(f'"{node.name}" takes {Tests.NONE.value}')
        if shape.tests is Tests.ONE and len(node.tests) != 1:
            raise node.at.error(f'"{node.name}" takes {Tests.ONE.value}')
        if shape.tests is Tests.SEVERAL and not node.tests:
            raise node.at.error(f'"{node.name}" takes {Tests.SEVERAL.value}')
        call = self._call(node, shape, self._tests(node))
        return self._ihave(call) if call.name == "ihave" else call

    def _tests(self, node: Node) -> tuple[Call, ...]:
        """What stands behind an `ihave` that has failed is left out: it decides nothing."""
        tests: list[Call] = []
        for each in node.tests:
            tests.append(self._test(each))
            settled = _known(tests[-1]) is (node.name == "anyof")
            if settled and node.name in ("allof", "anyof") and _asks_test(each):
                break
        return tuple(tests)

    def _ihave(self, call: Call) -> Call:
        names = {each for each in call.texts(0) if isinstance(each, str)}
        have = names <= set(EXTENSIONS) - READ_BEFORE
        if have:
            self._capabilities |= names
        return Call(call.at, "true" if have else "false")

    def _call(self, node: Node, shape: Shape, tests: tuple[Call, ...] = ()) -> Call:
        if shape.extensions and not self._capabilities.intersection(shape.extensions):
            raise node.at.error(
                f'"{node.name}" needs require "{shape.extensions[0]}" at the beginning'
            )
        options, rest = self._options(node, shape)
        written = self._positional(node, shape, rest)
        arguments = tuple(self._value(each, node.at) for each in written)
        comparison = self._comparison(node, options) if shape.compares else None
        keys: tuple[Key | Template, ...] = ()
        if comparison and not (shape.may_end_early and len(written) < len(shape.arguments)):
            keys = self._keys(comparison, written[-1], arguments[-1])
        call = Call(node.at, node.name, options, arguments, tests, comparison, keys)
        where = [each for each in written if isinstance(each, Strings)]
        check_call(call, [each.positions[0] for each in where])
        return call

    def _options(self, node: Node, shape: Shape) -> tuple[dict[str, Option], tuple[Argument, ...]]:
        """The tags by their group, and what is not a tag and does not belong to one."""
        options: dict[str, Option] = {}
        waiting = list(node.arguments)
        while waiting and isinstance(tag := waiting[0], Tag):
            del waiting[0]
            found = self._option_shape(node, shape, tag)
            if found.group in options:
                raise tag.at.error(f"this is the second {found.group} of one {self._what(node)}")
            value = None
            if found.kind is not None:
                if not waiting or not _fits(waiting[0], found.kind):
                    raise tag.at.error(f'":{tag.name}" is followed by {found.kind.value}')
                value = self._value(waiting.pop(0), tag.at)
            options[found.group] = Option(tag.name, value)
        for each in waiting:
            if isinstance(each, Tag):
                raise each.at.error(f'":{each.name}" must stand before the other arguments')
        return options, tuple(waiting)

    def _what(self, node: Node) -> str:
        return "test" if node.name in TESTS else "command"

    def _option_shape(self, node: Node, shape: Shape, tag: Tag) -> OptionShape:
        found = shape.options.get(tag.name)
        if found is None:
            raise tag.at.error(f'":{tag.name}" is not known with "{node.name}"')
        if found.extension and found.extension not in self._capabilities:
            raise tag.at.error(f'":{tag.name}" needs require "{found.extension}" at the beginning')
        return found

    def _positional(
        self, node: Node, shape: Shape, rest: tuple[Argument, ...]
    ) -> tuple[int | Strings, ...]:
        kinds = shape.arguments
        missing = len(kinds) - len(rest)
        if missing == 1 and shape.may_begin_late:
            kinds = kinds[1:]
        elif missing == 1 and shape.may_end_early:
            kinds = kinds[:-1]
        found = tuple(each for each in rest if not isinstance(each, Tag))
        if len(found) != len(kinds) or not all(map(_fits, found, kinds)):
            wanted = " and ".join(each.value for each in shape.arguments) or "no argument"
            raise node.at.error(f'"{node.name}" has wrong arguments; it takes {wanted}')
        return found

    def _value(self, argument: Argument, at: Position) -> Value:
        if isinstance(argument, int):
            return argument
        if isinstance(argument, Tag):
            raise argument.at.error("a tag cannot stand here")
        positions = getattr(argument, "positions", (at,) * len(argument))
        return tuple(map(self._text, argument, positions))

    def _text(self, text: str, at: Position) -> Text:
        try:
            if "encoded-character" in self._capabilities:
                text = templates.decode_characters(text)
            if "variables" not in self._capabilities:
                return text
            return templates.parse(text, has_globals="include" in self._capabilities)
        except TemplateError as error:
            raise at.error(str(error)) from error

    def _comparison(self, node: Node, options: dict[str, Option]) -> Comparison:
        chosen = options.get("match type", Option("is"))
        match = Match(chosen.name)
        relation = ""
        if match in (Match.COUNT, Match.VALUE):
            relation = _constant(chosen.value).lower()
            if relation not in RELATIONS:
                known = ", ".join(RELATIONS)
                raise node.at.error(f'":{match.value}" is followed by one of {known}')
        comparator = self._comparator(node, options)
        textual = (Match.CONTAINS, Match.MATCHES, Match.REGEX)
        if comparator is Comparator.NUMERIC and match in textual:
            raise node.at.error(f'":{match.value}" cannot compare by "{comparator.value}"')
        return Comparison(match, comparator, relation)

    def _comparator(self, node: Node, options: dict[str, Option]) -> Comparator:
        if "comparator" not in options:
            return Comparator.CASEMAP
        name = _constant(options["comparator"].value)
        try:
            comparator = Comparator(name)
        except ValueError:
            raise node.at.error(f"the comparator {name!r} is not known here") from None
        needed = f"comparator-{name}"
        if needed not in ALWAYS | self._capabilities:
            raise node.at.error(f'the comparator {name!r} needs require "{needed}"')
        return comparator

    def _keys(
        self, comparison: Comparison, written: int | Strings, keys: Value
    ) -> tuple[Key | Template, ...]:
        assert isinstance(written, Strings) and isinstance(keys, tuple)
        found: list[Key | Template] = []
        for text, at in zip(keys, written.positions, strict=True):
            if isinstance(text, Template):
                found.append(text)
                continue
            try:
                key = comparison.key(text)
            except BadKey as error:
                raise at.error(str(error)) from error
            found.append(key)
            self._expression_size += key.expression_size
            if self._expression_size > _MAX_EXPRESSIONS:
                raise at.error("the regular expressions of the script are too large together")
        return tuple(found)


def _asks(node: Node) -> bool:
    return any(map(_asks_test, node.tests))


def _asks_test(node: Node) -> bool:
    return node.name == "ihave" or _asks_any(node.tests)


def _asks_any(tests: Iterable[Node]) -> bool:
    return any(map(_asks_test, tests))


def _fits(argument: Argument, kind: Kind) -> bool:
    if kind is Kind.NUMBER:
        return isinstance(argument, int)
    return isinstance(argument, Strings) and (kind is Kind.STRINGS or len(argument) == 1)


def _constant(value: Value | None) -> str:
    """The one string of an argument, "" when it depends on variables."""
    text = value[0] if isinstance(value, tuple) else ""
    return text if isinstance(text, str) else ""
