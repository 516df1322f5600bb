"""Learning rates and initial weights that stay right when the width changes.

The muP rule for Adam (Yang et al. 2022, Tensor Programs V, table 8; microsoft/mup): with base
width h0, width h and m = h / h0, hidden and readout matrices learn at rate / m and the readout
starts at its standard initialisation times m^-1/2; input matrices and vectors keep both.
For SGD, vectors of the width's size and the input matrix learn at rate * m, hidden matrices at
the rate itself and the readout at rate / m; its bias, one number a class, keeps the rate.
"""

from typing import Literal

import torch
from torch import nn

Role = Literal["input", "hidden", "readout", "readout_bias", "vector"]


def parameter_roles(model: nn.Module) -> dict[str, Role]:
    """Each parameter's role: the first matrix reads the input, the last one the features.

    Vectors are biases and norms of the width's size; the readout's bias has one entry a class.
    """
    matrices = [name for name, p in model.named_parameters() if p.dim() >= 2]
    roles: dict[str, Role] = {}
    for name, p in model.named_parameters():
        if p.dim() < 2:
            beside_readout = matrices and name == matrices[-1].removesuffix("weight") + "bias"
            roles[name] = "readout_bias" if beside_readout else "vector"
        elif name == matrices[-1]:
            roles[name] = "readout"
        else:
            roles[name] = "input" if name == matrices[0] else "hidden"
    return roles


def mup_rate_factors(
    model: nn.Module, *, optimizer: str, width: int, base_width: int
) -> dict[str, float]:
    """Factor of the learning rate for each parameter of `model`."""
    m = width / base_width
    same: dict[Role, float] = {"readout_bias": 1.0, "readout": 1 / m}
    adam: dict[Role, float] = {"input": 1.0, "hidden": 1 / m, "vector": 1.0, **same}
    sgd: dict[Role, float] = {"input": m, "hidden": 1.0, "vector": m, **same}
    factors = sgd if optimizer == "sgd" else adam
    return {name: factors[role] for name, role in parameter_roles(model).items()}


@torch.no_grad()
def scale_readout(model: nn.Module, *, width: int, base_width: int) -> None:
    """Multiply the initial readout matrix by (base_width / width)^0.5, in place."""
    roles = parameter_roles(model)
    for name, p in model.named_parameters():
        if roles[name] == "readout":
            p.mul_((base_width / width) ** 0.5)
