"""MLflow's exceptions as ours: an absent server is one named error, a bug stays a bug."""

from collections.abc import Generator
from contextlib import contextmanager

import sqlalchemy.exc
from mlflow.exceptions import MlflowException

from kdsearch.redaction import redact
from kdsearch.tracking.sink import TrackingUnavailableError

# INTERNAL_ERROR is also what MLflow's client gives a refused connection, a timeout or a 5xx.
_UNAVAILABLE_CODES = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "SERVICE_UNDER_MAINTENANCE",
    "REQUEST_LIMIT_EXCEEDED",
    "DEADLINE_EXCEEDED",
    "IO_ERROR",
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "PERMISSION_DENIED",
    # A run that somebody deleted while the study ran: the next call finds that out and remakes it.
    "RESOURCE_DOES_NOT_EXIST",
}
_DELETED = "must be in the 'active' state"


_CATCHES_UP = "nothing is lost, the study catches up when it is back"


@contextmanager
def unavailable(tracking_uri: str, *, what_now: str = _CATCHES_UP) -> Generator[None]:
    """Turn the ways in which a tracker can be away into `TrackingUnavailableError`.

    Args:
        tracking_uri: Where it should be.
        what_now: What becomes of what was not written.
    """
    try:
        yield
    except MlflowException as error:
        if not _is_unavailable(error):
            raise
        raise _sentence(tracking_uri, error, what_now) from error
    # OSError: requests' exceptions and local files. DBAPIError: locked, unreachable, disk full.
    except (OSError, sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError) as error:
        raise _sentence(tracking_uri, error, what_now) from error


def _is_unavailable(error: MlflowException) -> bool:
    return (
        error.error_code in _UNAVAILABLE_CODES
        or isinstance(error.__cause__, sqlalchemy.exc.DBAPIError)
        or _DELETED in str(error)
    )


def _sentence(tracking_uri: str, error: Exception, what_now: str) -> TrackingUnavailableError:
    reason = redact(str(error).strip().splitlines()[0] if str(error).strip() else repr(error))
    return TrackingUnavailableError(
        f"MLflow at {redact(tracking_uri)} does not answer; {what_now}: {reason[:300]}"
    )
