"""Only what is old and unfinished goes."""

import time
from pathlib import Path

from mta.maildir_sweep import sweep_temporary


def test_old_temporary_files_go_and_mail_stays(tmp_path: Path, monkeypatch):
    maildir = tmp_path / "x.example" / "bob" / "Maildir"
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir(parents=True)
        (maildir / name / "old").write_bytes(b"x")
    (maildir / "tmp" / "folder").mkdir()
    (maildir / "tmp" / "link").symlink_to(maildir / "new" / "old")
    soon = time.monotonic() + 60
    assert sweep_temporary(tmp_path, 3600, soon) == 0
    later = time.time() + 7200
    monkeypatch.setattr("mta.maildir_sweep.time.time", lambda: later)
    assert sweep_temporary(tmp_path, 3600, soon) == 1
    assert sorted(path.name for path in (maildir / "tmp").iterdir()) == ["folder", "link"]
    assert (maildir / "new" / "old").exists()
    assert (maildir / "cur" / "old").exists()
    assert sweep_temporary(tmp_path / "nothing", 0, soon) == 0
