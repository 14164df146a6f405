"""When a container that has ended is started again, and after which pause.

The rule is kept here and not by the engine, so that a pause ends with the word to stop, and so that what is durable
and what runs cannot differ: the engine's own policy is always "no".
"""

from __future__ import annotations

from node.container.course import Course
from node.container.ending import is_condemned
from node.container.engine import ContainerView
from node.plan_records import RestartPolicy
from node.retry import Retry

PAUSES = Retry(attempts=1, total=0.0, first=0.1, longest=60.0, jitter=0.0)
"""Only its growing waits, which are those of Docker."""
LASTED_SECONDS = 10.0
"""A container that ran so long came up well: the pauses begin small again (Docker)."""


class Restarts:
    """The restarts of one operation."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._in_a_row = 0

    def wanted(self, container: ContainerView) -> bool:
        """Whether this container has ended and is to be started again."""
        course, rule = self._course, self._course.operation.restart
        if container.running or container.status == "created" or course.stop.cause is not None:
            return False
        if rule.policy is RestartPolicy.NO or is_condemned(course.state):
            return False
        if rule.policy is RestartPolicy.ON_FAILURE:
            return container.exit_code != 0 and (rule.tries is None or course.state.restarts < rule.tries)
        return True

    @property
    def is_endless(self) -> bool:
        """Whether only the word to end ends it, whatever its container says."""
        return self._course.operation.restart.policy in (RestartPolicy.ALWAYS, RestartPolicy.UNLESS_STOPPED)

    def ran(self, seconds: float) -> None:
        """A container of the operation has run so long."""
        self._in_a_row = 0 if seconds >= LASTED_SECONDS else self._in_a_row + 1

    async def pause(self) -> None:
        """Wait before the next start; cut short when the operation is told to end or to begin anew."""
        await self._course.rest(PAUSES.wait(min(max(self._in_a_row - 1, 0), 20)))
