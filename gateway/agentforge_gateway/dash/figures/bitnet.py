"""BitNet: which layers suffer from three values, how training makes up for it, and size beside accuracy."""

from __future__ import annotations

from agentforge_gateway.dash.figures.figure import Figure, Source, bars, layout, values
from agentforge_gateway.dash.figures.lines import together


def figures(source: Source) -> list[Figure]:
    return [
        *together(
            source, "selection-loss", "Loss on the selection split", r"bitnet/(training/selection_loss)",
            "Nats while the latents are trained through the rounding.",
        ),
        *together(source, "loss", "Loss in training", r"bitnet/(?:training/)?(?:(\w+)/)?loss", "Nats of batches."),
        *_layers(source),
        *_zeros(source),
        *_accuracy(source),
        *_sizes(source),
    ]  # fmt: skip


def _layers(source: Source) -> list[Figure]:
    found = []
    for what, title, unit, said in (
        (
            "output_error",
            "Error of each layer's output",
            "1",
            "Squared error over the output's squares, ternary alone",
        ),
        ("sensitivity", "What each layer costs", "nat", "Rise of the loss where the layer alone is ternary"),
    ):
        points = values(source.history, rf"bitnet/layer/(.+)/{what}")
        if points:
            worst = max(points, key=lambda name: points[name].value)
            caption = f"{said}; {len(points)} layers, most {points[worst].value:.3g} at {worst}."
            plot = {"data": [bars(what, points)], "layout": layout("layer", unit)}
            found.append(Figure(what.replace("_", "-"), title, caption, plot))
    return found


def _zeros(source: Source) -> list[Figure]:
    """Weights have three values, so the histogram of a layer is the share of its zeros."""
    told = source.sample("bitnet/layers")
    layers = [layer for layer in told["layers"] if layer["ternary"]] if told else []
    if not layers:
        return []
    shares = [layer["zeros"] for layer in layers]
    trace = {"type": "bar", "name": "zeros", "x": [layer["name"] for layer in layers], "y": shares}
    caption = f"Share of zeros among the codes -1, 0, +1 of each layer: {min(shares):.2f} to {max(shares):.2f}."
    plot = {"data": [trace], "layout": layout("layer", "share of codes")}
    return [Figure("zeros", "Weights that are zero", caption, plot)]


def _accuracy(source: Source) -> list[Figure]:
    found = values(source.history, r"bitnet/(\w+)/accuracy")
    if not found:
        return []
    said = ", ".join(f"{who} {point.value:.3f}" for who, point in found.items())
    caption = f"Share of test items answered exactly: {said}; n = {next(iter(found.values())).n:,}."
    plot = {"data": [bars("accuracy", found)], "layout": layout("", "accuracy")}
    return [Figure("accuracy", "Accuracy", caption, plot)]


def _sizes(source: Source) -> list[Figure]:
    found = values(source.history, r"bitnet/packed/(.+)/ratio")
    if not found:
        return []
    said = ", ".join(f"{what} {point.value:.1f}" for what, point in found.items())
    caption = f"How many times smaller than float32: {said}."
    plot = {"data": [bars("ratio", found)], "layout": layout("", "times smaller")}
    return [Figure("sizes", "Size", caption, plot)]
