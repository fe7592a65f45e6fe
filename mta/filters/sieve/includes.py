"""include, return and global (RFC 6609)."""

from mta.filters.sieve.program import Call, Program
from mta.filters.sieve.run import Do, Frame, Over, Returned, Run, shown
from mta.filters.sieve.syntax import SieveError


def include(run: Run, call: Call) -> None:
    where, name = call.option("location") or "personal", run.argument(call, 0)
    line = call.at.line
    if call.has("once") and (where, name) in run.included:
        run.note(call, f"include {name}: it was included before")
        return
    run.includes += 1
    if run.includes > run.budget.includes:
        raise Over(f"line {line}: more than {run.budget.includes} scripts are included")
    if len(run.frames) > run.budget.depth:
        raise Over(f"line {line}: scripts are included more than {run.budget.depth} deep")
    # A script that is under way may not begin again (section 3.2).
    if any(each.label == _label(where, name) for each in run.frames):
        raise Over(f"line {line}: the script {shown([name])} includes itself")
    script = _found(run, where, name)
    if script is None:
        if not call.has("optional"):
            raise Over(f"line {line}: there is no {where} script {shown([name])}")
        run.note(call, f"include {name}: there is no such script")
        return
    run.included.add((where, name))
    run.note(call, f"include {name}")
    try:
        run.script(Frame(script, _label(where, name)))
    except Over as over:
        raise Over(f"in the {where} script {shown([name])}: {over}") from over


def _found(run: Run, where: str, name: str) -> Program | None:
    try:
        return run.surroundings.script(where, name)
    except SieveError as error:
        raise Over(f"the {where} script {shown([name])} cannot be used: {error}") from error


def _label(where: str, name: str) -> str:
    """Stands before the steps of the script in the trace, whose lines are not ours."""
    return f"[{where} {name}] "


def leave(run: Run, call: Call) -> None:
    run.note(call, "return")
    raise Returned


def share(run: Run, call: Call) -> None:
    """Section 3.4.1: from here on these names mean the same in all scripts that say so."""
    names = run.texts(call.texts(0))
    run.frame.shared.update(each.lower() for each in names)
    run.note(call, f"global {', '.join(names)}")


COMMANDS: dict[str, Do] = {"include": include, "return": leave, "global": share}
