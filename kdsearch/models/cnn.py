"""Two-dimensional convolutional networks for images [channels, height, width]."""

from torch import Tensor, nn

from kdsearch.errors import UserInputError


class Cnn(nn.Module):
    """`depth` stages of 3x3 convolution, batch norm, ReLU and 2x2 max pooling.

    The first stage has `width` channels and every next one twice as many; the last map is
    flattened into a linear readout.
    """

    def __init__(
        self, *, input_shape: tuple[int, ...], num_classes: int, width: int, depth: int
    ) -> None:
        super().__init__()
        channels, height, breadth = _image_shape(input_shape, depth)
        stages: list[nn.Module] = []
        for index in range(depth):
            out = width * 2**index
            stages += [
                nn.Conv2d(channels, out, 3, padding=1, bias=False),
                nn.BatchNorm2d(out),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
            channels, height, breadth = out, height // 2, breadth // 2
        self.features = nn.Sequential(*stages)
        self.readout = nn.Linear(channels * height * breadth, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, C] of a batch [B, channels, height, width] or [B, height, width]."""
        image = x if x.dim() == 4 else x.unsqueeze(1)
        return self.readout(self.features(image).flatten(1))


def _image_shape(input_shape: tuple[int, ...], depth: int) -> tuple[int, int, int]:
    match input_shape:
        case (height, breadth):
            channels = 1
        case (channels, height, breadth):
            pass
        case _:
            raise UserInputError(
                f"cnn reads images [height, width] or [channels, height, width], not samples of "
                f"shape {list(input_shape)}; use mlp or conv1d"
            )
    if min(height, breadth) < 2**depth:
        raise UserInputError(
            f"cnn of depth {depth} halves the image {depth} times, but a sample is {height} x "
            f"{breadth}; allowed is a side of at least {2**depth}"
        )
    return channels, height, breadth
