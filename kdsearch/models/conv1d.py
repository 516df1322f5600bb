"""One-dimensional convolutional networks for signals [channels, length]."""

from torch import Tensor, nn

from kdsearch.errors import UserInputError


class Conv1dNet(nn.Module):
    """`depth` blocks of stride-2 convolution, batch norm and ReLU; the last map is flattened.

    The first kernel is 5 wide, the others 3, as in the CNN of the MNIST-1D paper (Greydanus
    2020), which reads position as well as shape from the last feature map.
    """

    def __init__(
        self, *, input_shape: tuple[int, ...], num_classes: int, width: int, depth: int
    ) -> None:
        super().__init__()
        channels, length = _signal_shape(input_shape, depth)
        blocks: list[nn.Module] = []
        for index in range(depth):
            kernel = 5 if index == 0 else 3
            blocks += [
                nn.Conv1d(channels, width, kernel, stride=2, padding=kernel // 2, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(),
            ]
            channels, length = width, (length + 1) // 2
        self.features = nn.Sequential(*blocks)
        self.readout = nn.Linear(width * length, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C] of a batch [B, channels, length] or [B, length]."""
        signal = x if x.dim() == 3 else x.unsqueeze(1)
        return self.readout(self.features(signal).flatten(1))


def _signal_shape(input_shape: tuple[int, ...], depth: int) -> tuple[int, int]:
    match input_shape:
        case (length,):
            channels = 1
        case (channels, length):
            pass
        case _:
            raise UserInputError(
                f"conv1d reads signals [length] or [channels, length], not samples of shape "
                f"{list(input_shape)}; use mlp or cnn"
            )
    if length < 2**depth:
        raise UserInputError(
            f"conv1d of depth {depth} halves the length {depth} times, but a sample has length "
            f"{length}; allowed is a length of at least {2**depth}"
        )
    return channels, length
