"""The columns of the table: how to start a program natively, in sbox, and in the peers."""
import os
import pathlib
import shutil

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Sandbox:
    """One column. prefix: the command line to put before a program's own; None where it cannot run, for the reason why."""

    def __init__(self, name, prefix, reason=None):
        self.name, self.prefix, self.reason = name, prefix, reason

    def command(self, argv):
        return [*self.prefix, *argv]


def native():
    return Sandbox("native", [])


def sbox(path, platform):
    if not os.access(path, os.X_OK):
        return Sandbox("sbox", None, f"{path} is not there: ./dev build")
    prefix = [str(path), "run"] + (["--platform", platform] if platform else [])
    # The programs and the data are beneath the repository, which need not be beneath the current directory.
    return Sandbox("sbox", [*prefix, "--ro", str(ROOT), "--cwd", "/tmp", "--"])


def runsc():
    path = shutil.which("runsc")
    if not path:
        return Sandbox("runsc", None, "not installed: it is in Debian's bookworm-backports: add that suite, and "
                       "apt-get install -t bookworm-backports runsc")
    if os.geteuid() != 0:
        return Sandbox("runsc", None, "runs as root only")
    return Sandbox("runsc", [path, "--platform=systrap", "--network=none", "--ignore-cgroups", "do"])


def bubblewrap():
    path = shutil.which("bwrap")
    if not path:
        return Sandbox("bwrap", None, "not installed: apt-get install bubblewrap")
    prefix = [path, "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev",
              "--tmpfs", "/tmp", "--"]
    return Sandbox("bwrap", prefix)
