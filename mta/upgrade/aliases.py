"""Aliases in sendmail's syntax, which sendmail and Courier share, as rows with their lines."""

from mta.protocol import aliases_file
from mta.upgrade.findings import Findings, definitions
from mta.upgrade.source import Source


def read_aliases(source: Source, name: str, hostname: str, findings: Findings) -> None:
    """Every definition of one file; a name without a domain is of `hostname`."""
    for line in definitions(source.lines(name)):
        table = aliases_file.load(line.text.lstrip(), hostname, source.included)
        for alias, targets in table.entries.items():
            findings.want_alias(alias, targets, line)
        for problem in [*table.mistakes, *table.unsupported]:
            findings.leave(line, problem.text)
