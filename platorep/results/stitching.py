"""The table of stitched networks: accuracy, penalty and agreement of each pair of layers, with the controls beside."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from platorep.results.one_run import check_one_run
from platorep.results.tables import Table


STITCHING_COLUMNS = {
    "dataset": "string",  # of the test pictures
    "architecture": "string",
    "width": "int64",  # 0 for pretrained networks
    "x_model": "string",  # sender
    "x_layer": "int64",  # index of the stage, from 0
    "y_model": "string",  # receiver; empty for a probe
    "x_layer_name": "string",  # empty for a control that is no network
    "y_layer": "int64",
    "y_layer_name": "string",
    "control": "string",  # self, shuffled, random, unrelated, noise, pixels, probe; empty for two seeds
    "method": "string",  # direct, task, probe
    "rank": "int64",  # largest rank of the map; 0 without a limit
    "accuracy": "float64",  # of the stitched network on test pictures
    "receiver": "float64",  # of the receiver itself
    "penalty": "float64",  # error of the stitched network less that of the receiver
    "low": "float64",  # 95 % interval of the penalty over test pictures, paired
    "high": "float64",
    "loss": "float64",  # mean cross-entropy of the stitched network on test pictures, in nats
    "receiver_loss": "float64",  # that of the receiver itself
    "agreement": "float64",  # share of test pictures for which stitched network and receiver say the same class
    "both_right": "float64",
    "only_stitched": "float64",  # share that only the stitched network gets right
    "only_receiver": "float64",
    "neither": "float64",
    "r2": "float64",  # held-out variance of the receiver's layer that the map explains
    "strength": "float64",  # of the ridge, in units of the mean variance of the sender's dimensions
    "freedom": "float64",  # its effective degrees of freedom
    "train_loss": "float64",  # in nats
    "n_fit": "int64",  # pictures
    "rows": "int64",  # pictures x positions of a direct match
    "n_test": "int64",
    "x_width": "int64",
    "y_width": "int64",
    "seed": "int64",
    "version": "string",
}


def network_name(architecture: str, width: int) -> str:
    """Words for a kind of network: mlp-128; the architecture alone of a pretrained one."""
    return f"{architecture}-{width}" if width else architecture


@dataclass(frozen=True)
class StitchingTable(Table):
    """One row per pair of layers, method, control and rank."""

    columns = STITCHING_COLUMNS

    @property
    def pretrained(self) -> bool:
        """Whether the networks are pretrained instead of trained here."""
        return bool((self.frame.width == 0).all())

    def cells(self, method: str, control: str = "") -> pd.DataFrame:
        """Means over pairs of networks, one row per architecture, width, sender's and receiver's layer; full rank.

        Raises:
            StoreError: rows of several runs with other settings.
        """
        rows = self._rows(method, control)
        by = ["architecture", "width", "x_layer", "y_layer"]
        return rows.groupby(by)[["accuracy", "receiver", "penalty", "agreement", "r2"]].mean().reset_index()

    def specificity(self, method: str) -> pd.DataFrame:
        """Share of the senders' layers that fit the receiver's layer of the same place best, pair by pair of networks.

        For each pair and each layer of the sender, the receiver's layer with the highest accuracy is the best one; a
        tie counts as its share. Chance is 1 / layers. One row per architecture and width; none where only corresponding
        layers were stitched.
        """
        rows = self._rows(method)
        shares = []
        for (architecture, width), kind in rows.groupby(["architecture", "width"]):
            hits = []
            for (_, _, layer), options in kind.groupby(["x_model", "y_model", "x_layer"]):
                best = options[options.accuracy == options.accuracy.max()].y_layer
                hits.append(float((best == layer).mean()))
            if (kind.x_layer == kind.y_layer).all():
                continue
            shares.append((architecture, width, sum(hits) / len(hits), 1 / kind.y_layer.nunique(), len(hits)))
        return pd.DataFrame(shares, columns=["architecture", "width", "specificity", "chance", "rows"])

    def both_ways(self, method: str) -> pd.DataFrame:
        """The penalty of each pair of corresponding layers forward (x to y) and backward (y to x)."""
        rows = self._rows(method)
        same = rows[rows.x_layer == rows.y_layer]
        back = same.rename(columns={"x_model": "y_model", "y_model": "x_model", "penalty": "backward"})
        keys = ["architecture", "width", "x_model", "y_model", "x_layer"]
        both = same.merge(back[[*keys, "backward"]], on=keys)
        return both[both.x_model < both.y_model][[*keys, "penalty", "backward"]].rename(columns={"penalty": "forward"})

    def _rows(self, method: str, control: str = "") -> pd.DataFrame:
        """Rows of a method without a limit of the rank, of one run."""
        rows = self.frame[(self.frame.method == method) & (self.frame.control == control) & (self.frame["rank"] == 0)]
        by = ["architecture", "width", "x_model", "x_layer", "y_model", "y_layer"]
        check_one_run(rows, by, "stitched networks")
        return rows
