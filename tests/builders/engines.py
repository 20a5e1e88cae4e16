"""Engines for tests of steps on a cluster: one in this process, and what can happen to one."""

from __future__ import annotations

import importlib
import json
import random
from contextlib import nullcontext

from fne_cli.progress import SILENT
from fne_cli.tasks.engine import Cluster, TaskSizes


def cluster_of(engine, **sizes):
    """What a step takes for this engine; sizes: those of tasks that differ from what is usual."""
    return Cluster(lambda: nullcontext(engine), sizes=TaskSizes(**sizes))


class Here:
    """Does tasks in this process, in another order than asked, with nothing but JSON between.

    `between` is called with the engine after each result; `given` has the names of all tasks, `done` those that ended.
    """

    def __init__(self, between=lambda engine: None):
        self.between, self.given, self.done = between, [], []

    workers, threads = 2, None

    def run(self, function, tasks, *, unit="parts", sizes=None, done=None):
        from fne_cli.clusters.worker import FUNCTIONS

        module, name = FUNCTIONS[function].split(":")
        work = getattr(importlib.import_module(module), name)
        assert sizes is None or len(sizes) == len(tasks)
        self.given += [task["name"] for task in tasks]
        for number in random.Random(len(tasks)).sample(range(len(tasks)), len(tasks)):
            result = work(json.loads(json.dumps(tasks[number])), SILENT)
            self.done.append(tasks[number]["name"])
            yield number, json.loads(json.dumps(result))
            self.between(self)


class Around:
    """Another engine, with something done before it runs tasks and after each result; what it ran is in `functions`."""

    def __init__(self, engine, before=lambda: None, after=lambda: None):
        self.engine, self.before, self.after, self.functions = engine, before, after, []

    def run(self, function, tasks, **more):
        self.functions.append(function)
        self.before()
        for found in self.engine.run(function, tasks, **more):
            yield found
            self.after()
