"""One writer at a time: the lock of a run's directory."""

import errno

from etils import epath

# What file systems without flock answer; older versions of filelock raise NotImplementedError.
NO_LOCKS = (None, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class HeldError(RuntimeError):
    """Another process holds the run directory."""


def take(folder: epath.Path, *, wait: bool):
    """Return the lock of a folder, to be released at the end; None where there are none, as remote.

    A remote folder (`gs://`) is not guarded: one command at a time must write there.

    Args:
      folder: of the run.
      wait: wait for another process that holds it, rather than raise.

    Raises:
      HeldError: another process holds it.
    """
    if "://" in str(folder):  # remote stores have no locks
        return None
    import filelock

    # The second is for file systems without flock; its mere existence means held, until the process
    # that it names is gone, so it needs a file of its own.
    for kind, name in ((filelock.FileLock, "lock"), (filelock.SoftFileLock, "lock.soft")):
        lock = kind(str(folder / name), timeout=-1 if wait else 0)
        try:
            lock.acquire()
            return lock
        except filelock.Timeout as error:
            hint = _of_another_host(folder / name) if name == "lock.soft" else ""
            raise HeldError(
                f"another process is writing to {folder}; wait for it or use --run_dir{hint}"
            ) from error
        except (NotImplementedError, OSError) as error:
            if getattr(error, "errno", None) not in NO_LOCKS:
                raise
    return None


def _of_another_host(file: epath.Path) -> str:
    """Return what to do where a process of another host holds the lock, and may be dead."""
    lines = file.read_text().splitlines() if file.exists() else []
    host = lines[1].strip() if len(lines) > 1 else "another host"
    return f". If it died on {host}, which cannot be told from here, remove {file}"
