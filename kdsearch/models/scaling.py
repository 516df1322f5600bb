"""Learning rates and initial weights that stay right when the width changes.

The muP rule for Adam (Yang et al. 2022, Tensor Programs V, table 8; microsoft/mup): with base
width h0, width h and m = h / h0, hidden and readout matrices learn at rate / m and the readout
starts at its standard initialisation times m^-1/2; input matrices and vectors keep both.
For SGD, vectors and the input matrix learn at rate * m, hidden matrices at the rate itself and
the readout at rate / m.
"""

from typing import Literal

import torch
from torch import nn

Role = Literal["input", "hidden", "readout", "vector"]


def parameter_roles(model: nn.Module) -> dict[str, Role]:
    """Each parameter's role: the first matrix reads the input, the last one the features."""
    matrices = [name for name, p in model.named_parameters() if p.dim() >= 2]
    roles: dict[str, Role] = {}
    for name, p in model.named_parameters():
        if p.dim() < 2:
            roles[name] = "vector"
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
    adam: dict[Role, float] = {"input": 1.0, "hidden": 1 / m, "readout": 1 / m, "vector": 1.0}
    sgd: dict[Role, float] = {"input": m, "hidden": 1.0, "readout": 1 / m, "vector": m}
    factors = sgd if optimizer == "sgd" else adam
    return {name: factors[role] for name, role in parameter_roles(model).items()}


@torch.no_grad()
def scale_readout(model: nn.Module, *, width: int, base_width: int) -> None:
    """Multiply the initial readout matrix by (base_width / width)^0.5, in place."""
    roles = parameter_roles(model)
    for name, p in model.named_parameters():
        if roles[name] == "readout":
            p.mul_((base_width / width) ** 0.5)
