"""What may be asked of jobs."""

from dataclasses import replace
from typing import Any

from app.requests.fields import parameters, whole_object
from core.job_spec import JOB_KINDS, KIND
from core.parameters import Choice, Parameter, WholeNumber

_EVERY: dict[str, Parameter] = {
    name: replace(entry, required=False)
    for kind in JOB_KINDS.values()
    for name, entry in kind.parameters.items()
}
_NAMED: Any = parameters("JobBody", {"kind": KIND, **_EVERY})


class JobBody(_NAMED):
    """A job's parameters; which of them there are hangs on its kind."""

    def load(self, data: Any, **options: Any) -> Any:
        """As it came: `core.job_spec` judges it by the table of its kind."""
        return whole_object(data, self.table)


JobsParameters = parameters(
    "JobsParameters",
    {
        "kind": Choice({kind: kind for kind in JOB_KINDS}, about="Only of this kind"),
        "limit": WholeNumber(1, 200, about="Most of them, newest first", default=50),
    },
)
"""Parameters of `/api/jobs`."""
