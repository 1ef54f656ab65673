"""The camera's detector: a picture in, boxes out. Its constants come with its weights, in spec.json."""

from __future__ import annotations

from typing import Any

import numpy as np


class Camera:
    def __init__(self, model: bytes, spec: dict[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.spec = spec

    def maps(self, picture_HW: Any) -> Any:
        """Of the rows about the horizon, uint8: (channels, H / stride, W / stride)."""
        return self._session.run(None, {"picture": picture_HW[None, None]})[0][0]

    def boxes(self, picture_HW: Any) -> Any:
        """Rows of kind, heat, left, top, right, bottom (pixels), metres away; the hottest first, no doubles."""
        spec, maps = self.spec, self.maps(picture_HW)
        classes, stride = len(spec["kinds"]), spec["stride"]
        heat = maps[:classes]
        padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
        high, wide = heat.shape[1:]
        around = [padded[:, r : r + high, c : c + wide] for r in range(3) for c in range(3)]
        layer, row, column = np.nonzero((heat >= spec["least_heat"]) & (heat >= np.max(around, axis=0)))
        order = np.argsort(-heat[layer, row, column].astype(np.float64), kind="stable")[: spec["most"]]
        layer, row, column = layer[order], row[order], column[order]
        told = maps[classes:, row, column].astype(np.float64)
        middle = (np.stack([column, row]) + 0.5 + told[:2]) * stride
        size = spec["size_unit_px"] * np.exp(np.clip(told[2:4], [[-5.0], [-5.0]], [[4.0], [3.0]]))
        far = spec["far_unit_m"] * np.exp(np.clip(told[4], -4.0, 2.0))
        edges = np.concatenate([middle - size / 2, middle + size / 2]).T
        kinds = np.array(spec["kinds"], dtype=np.float64)[layer]
        rows = np.column_stack([kinds, heat[layer, row, column], edges, far])
        return rows[self._best(edges)]

    def _best(self, edges_N4: Any) -> list[int]:
        """Boxes come hottest first; one that overlaps a kept one goes."""
        low, top = edges_N4[:, :2], edges_N4[:, 2:]
        area = np.prod(top - low, axis=1)
        kept: list[int] = []
        for each in range(len(edges_N4)):
            shared = np.prod(np.maximum(np.minimum(top[each], top) - np.maximum(low[each], low), 0.0), axis=1)
            over = shared / (area[each] + area - shared + 1e-9)
            if not kept or over[kept].max() <= self.spec["overlap"]:
                kept.append(each)
        return kept
