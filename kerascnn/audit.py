"""Audit a data set before training: damaged files, copies across splits, wrong labels; writes lists to leave out and relabel."""

import sys
from collections.abc import Callable

from kerascnn.auditing.audit_config import Audit
from kerascnn.auditing.audit_directory import AuditDirectory, json_text
from kerascnn.cli.command import command
from kerascnn.cli.extras import require
from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import Screen, quiet, starting
from kerascnn.data import preflight
from kerascnn.errors import CHECK_FAILED, DONE


@command
def main(argv: list[str]) -> int:
    """`kerascnn audit DATASET`: prints what it found, and writes a folder; 1 if test leaks or labels conflict."""
    decided = {"--fold": "an audit takes all images; --folds DIR names a folder of predictions"}
    asked = parse(Audit, argv, prog="kerascnn audit", description=__doc__ or "", decided=decided)
    require("audit", "imagehash", *(["cleanlab"] if asked.run or asked.folds else []))
    if asked.run is None:
        preflight.images(asked.data)
    screen = Screen(errors=asked.as_json)
    if asked.output is not None:
        AuditDirectory(asked.output).check()
    with starting(screen), quiet():
        from kerascnn.auditing import audit_page, audit_summary, auditing
        from kerascnn.data import Room
        from kerascnn.report import html
    say = (lambda line: None) if asked.as_json else screen.say
    found = auditing.audit(asked, Room(asked.runs_dir, screen.counting, strict=False), say, screen)
    directory = auditing.directory(asked, found.splits)
    for line in audit_summary.lines(found):
        say(line)
    summary = audit_summary.summary(found)
    with screen.phase("writing report.html"):
        page = html.audit_html(audit_page.page(found, directory))
        directory.write(summary, audit_summary.tables(found, directory), page)
    if asked.as_json:
        print(json_text(summary), end="")
    _say_next(say, directory, audit_page.following(found, directory))
    return CHECK_FAILED if found.leaks else DONE


def _say_next(say: Callable[[str], None], directory: AuditDirectory, commands: list[str]) -> None:
    say("")
    say(f"report:  {directory.report_file}")
    lists = (directory.exclude_file, directory.relabel_file, directory.findings_file, directory.pairs_file)
    say(f"lists:   {', '.join(file.name for file in lists)}: nothing was changed")
    for line in commands:
        say(f"next:    {line}")


if __name__ == "__main__":
    sys.exit(main())
