"""Where the time of a step of adversarial training goes, by operation."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from advlib.data import Split
from advlib.lenet import LeNet
from advlib.methods import METHODS
from advlib.settings import Training
from advlib.training import train_epoch

# The operations that are matrix products, and which of their inputs is the left matrix.
PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}

# The first line whose pattern is found in an operation's name takes it.
LINES = {
    "optimizer": r"_foreach|Optimizer",
    "loss and counting": r"softmax|nll_|^(gather|lt|gt|eq|sum|mean|bitwise_\w+|arange|stack)$",
    "choosing the minibatch": r"index|randperm",
    "pooling": r"^(maximum|max|ge|sub|mul|where)$|pool",
    "moving windows and layouts": r"copy|fill|zero|^(add|cat|clone)$",
    "convolutions as one operation": r"convolution",
}
TRANSFORMS = "products that transform tiles and kernels"
REST = "the rest: Python, autograd, views, memory"


def profile(split: Split, steps: int) -> list[dict[str, Any]]:
    """Profile some steps of adversarial training, after a warm-up.

    A line for each group of operations, the longest first: its name, and of a step its seconds and
    its floating-point operations, if it is a product. Writing down shapes takes so much memory that
    the steps are slowed: they are of another run of the same operations than the times.
    """
    training, model = Training(), LeNet(seed=0).train()
    n = steps * training.batch_size
    images, labels = split.images[:n], split.labels[:n]

    def events(shapes: bool) -> list[Any]:
        activities = [ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities, record_shapes=shapes) as profiler:
            train_epoch(model, images, labels, METHODS["adversarial"], training, 1)
        return sorted(profiler.events(), key=lambda event: event.time_range.start)

    events(False)
    lines: dict[str, dict[str, Any]] = {}
    parts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for event, shaped in zip(events(False), events(True), strict=True):
        name = short(event)
        assert name == short(shaped)
        line, operations = classify(name, shaped.input_shapes)
        entry = lines.setdefault(line, {"name": line, "seconds": 0.0, "operations": 0.0})
        entry["seconds"] += event.self_cpu_time_total / 1e6 / steps
        # A product of several matrices may be done by products of two.
        if not any(short(child) in PRODUCTS for child in event.cpu_children):
            entry["operations"] += operations / steps
        parts[line][name] += event.self_cpu_time_total
    for line, entry in lines.items():
        entry["largest"] = sorted(parts[line], key=parts[line].__getitem__, reverse=True)[:4]
    return sorted(lines.values(), key=lambda entry: -entry["seconds"])


def short(event: Any) -> str:
    """The name of an operation without its library, and the same in place and not."""
    name: str = event.name
    return name.removeprefix("aten::").rstrip("_")


def classify(name: str, shapes: Sequence[Sequence[int]]) -> tuple[str, int]:
    """Give an operation's line and, of a product of these shapes, its floating-point operations."""
    if name in PRODUCTS:
        left, right = shapes[PRODUCTS[name] :][:2]
        return _product(left[-2], left[-1], right[-1]), 2 * math.prod(left) * right[-1]
    return next((line for line, pattern in LINES.items() if re.search(pattern, name)), REST), 0


def _product(rows: int, inner: int, columns: int) -> str:
    """Which layer a product belongs to, by the layer's numbers of channels, and which pass it is.

    A forward pass sums over the inputs, the input gradient over the layer's channels, and the
    weight gradient over images and places, which are many.
    """
    sizes = {rows, inner, columns}
    if sizes & {800, 10}:
        return "dense layers"
    if 50 not in sizes:
        return "first convolution" if sizes & {20, 80} else TRANSFORMS
    if inner == 50:
        return "second convolution, input gradient"
    if inner == max(sizes):
        return "second convolution, weight gradient"
    return "second convolution, forward"
