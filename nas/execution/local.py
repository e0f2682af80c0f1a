"""The executor that runs jobs in this process, one at a time: for tests, debugging and machines without Ray."""

from nas.execution.executor import Answer, Context, Executor, Job, answered, carried_out, load


class LocalExecutor(Executor):
    """One worker, in process. A job runs inside `wait`, which therefore does not return before it ends.

    Args:
        factory: import name (`package.module:name`) of the worker factory.
        context: what the factory receives.
    """

    num_workers = 1

    def __init__(self, factory: str, context: Context) -> None:
        self._run = load(factory)(context)
        self._job: Job | None = None

    def free(self) -> int:
        """1 until a job was submitted, then 0 until its answer was taken."""
        return 0 if self._job else 1

    def submit(self, job: Job) -> None:
        """Keeps `job` for the next `wait`."""
        if self._job:
            raise ValueError(f"expected a free worker for {job.job_id}, but it has {self._job.job_id}; wait first")
        self._job = job

    def wait(self, timeout_s: float) -> list[Answer]:
        """Runs the submitted job and answers; `timeout_s` cannot interrupt it."""
        job, self._job = self._job, None
        if job is None:
            return []
        return [answered(job, *carried_out(self._run, job.payload, job.arrays))]

    def close(self) -> None:
        """Forgets a job that was not run."""
        self._job = None
