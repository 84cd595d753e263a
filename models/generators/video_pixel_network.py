"""`video_pixel_network`: what comes next in a clip, pixel after pixel (Kalchbrenner et al. 2016, Video pixel
networks, arXiv 1610.00527).

    p(x) = prod over frames t, pixels i of p(x_ti | x_<t, x_t,<i)

An encoder looks at each frame and at how it differs from the one before, a convolutional LSTM gathers what
was seen so far into maps, and a PixelCNN decoder draws the next frame under that condition, each pixel
knowing those before it. Pixels are taken as chances of black or white: the frames that are given are seen in
grey, those to be told are drawn (dynamic binarisation), so that the entropy of this drawing is what no model
can do without.

Two things are not the paper's, so that a small network learns in an hour. The encoder works on cells of
`fold` x `fold` pixels, which are laid side by side as channels and parted again before the decoder. And
beside the maps the decoder is told of pictures that the LSTM carries on, moving every pixel as it sees fit
(dynamic local filters: De Brabandere et al. 2016); their grey is where its logits begin.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pixel_shuffle, pixel_unshuffle, unfold

from wordspot.models.datasets.moving_digits import Motion, VideoBatch, VideoData, moving_digits
from wordspot.models.datasets.pictures import sources
from wordspot.models.errors import BadInput
from wordspot.models.generators.masked import MaskedStack, start
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import Material, TrainedRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

FROM_NOTHING = 8  # one batch in so many teaches how a clip begins
NEVER_SURE = 0.005  # the least chance of either colour in a picture that is carried on


@dataclass(frozen=True)
class VideoPixelNetworkConfig:
    """seen: frames that are given, of `frames`. past: whether the decoder is told of them at all.

    encoder: channels of its blocks, of which there are `blocks`; memory: of the LSTM; condition: of the maps
    that the decoder is told, whose layers have `decoder` channels. fold: side of the encoder's cells, pixels.
    carried: pictures that are carried on; reach: how far a pixel of them goes a frame along an axis, at most.
    """

    height: int = 20
    width: int = 20
    channels: int = 1
    frames: int = 8
    seen: int = 4
    past: bool = True
    fold: int = 2
    encoder: int = 48
    blocks: int = 1
    memory: int = 48
    condition: int = 16
    carried: int = 2
    reach: int = 1
    decoder: int = 16
    layers: int = 3
    kernel: int = 3
    head: int = 32


class MultiplicativeUnit(nn.Module):
    """g1 tanh(g2 h + g3 u), the gates of an LSTM around convolutions of h: g1, g2, g3 sigmoid, u tanh."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = nn.Conv2d(channels, 4 * channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        """(B, channels, H, W) to the same."""
        first, second, third, update = self.gates(h).chunk(4, dim=1)
        found: Tensor = first.sigmoid() * (second.sigmoid() * h + third.sigmoid() * update.tanh()).tanh()
        return found


class ResidualMultiplicativeBlock(nn.Module):
    """Two multiplicative units of half the channels, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.inner = nn.Sequential(
            nn.Conv2d(channels, half, 1),
            MultiplicativeUnit(half),
            MultiplicativeUnit(half),
            nn.Conv2d(half, channels, 1),
        )

    def forward(self, h: Tensor) -> Tensor:
        """(B, channels, H, W) to the same."""
        added: Tensor = self.inner(h)
        return h + added


class ConvolutionalLstm(nn.Module):
    """An LSTM whose products are convolutions (Shi et al. 2015)."""

    def __init__(self, channels: int, memory: int) -> None:
        super().__init__()
        self.memory = memory
        self.seen = nn.Conv2d(channels, 4 * memory, 1)
        self.kept = nn.Conv2d(memory, 4 * memory, 3, padding=1, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """frames (B, T, channels, H, W), oldest first: the state after each, (B, T, memory, H, W)."""
        count, length, _, height, width = frames.shape
        seen = self.seen(frames.flatten(0, 1)).unflatten(0, (count, length))
        state = cell = frames.new_zeros((count, self.memory, height, width))
        states = []
        for frame in seen.unbind(dim=1):
            enter, forget, leave, update = (frame + self.kept(state)).chunk(4, dim=1)
            cell = (forget + 1).sigmoid() * cell + enter.sigmoid() * update.tanh()
            state = leave.sigmoid() * cell.tanh()
            states.append(state)
        return torch.stack(states, dim=1)


@register("video_pixel_network")
class VideoPixelNetwork(Model[VideoPixelNetworkConfig]):
    Config = VideoPixelNetworkConfig
    modality = "video"
    options = frozenset({"temperature"})

    def __init__(self, config: VideoPixelNetworkConfig) -> None:
        """Raises BadInput unless the cells fill the frame and there is a frame to tell."""
        super().__init__(config)
        if config.height % config.fold or config.width % config.fold:
            raise BadInput(
                f"a frame of {config.height} x {config.width}: multiples of {config.fold} are allowed"
            )
        if not 1 <= config.seen < config.frames:
            raise BadInput(
                f"{config.seen} frames seen of {config.frames}: 1 to {config.frames - 1} are allowed"
            )
        cells = config.fold * config.fold
        size = (config.height // config.fold, config.width // config.fold)
        self.neighbours = (2 * config.reach + 1) ** 2
        self.nothing = nn.Parameter(torch.zeros(cells * config.condition, *size))
        if config.past:
            views = config.channels * (1 + self.neighbours)
            self.look = nn.Conv2d(cells * views, config.encoder, 3, padding=1)
            self.place = nn.Parameter(torch.zeros(config.encoder, *size))
            self.blocks = nn.Sequential(
                *(ResidualMultiplicativeBlock(config.encoder) for _ in range(config.blocks))
            )
            self.lstm = ConvolutionalLstm(config.encoder, config.memory)
            self.tell = nn.Conv2d(config.memory, cells * config.condition, 1)
            self.move = nn.Conv2d(config.memory, cells * config.carried * (1 + self.neighbours), 1)
        told = config.condition + config.carried * config.channels
        self.decoder = MaskedStack(config.channels, config.decoder, config.layers, config.kernel, told)
        self.head = nn.Sequential(
            nn.Conv2d(config.decoder + told, config.head, 1),
            nn.ReLU(),
            nn.Conv2d(config.head, config.channels, 1),
        )
        start(self)

    def conditions(self, frames: Tensor) -> Tensor:
        """What the decoder is told of each frame by those before it, and of one more after the last.

        frames: (B, T, C, H, W), T from 0. Returns (B, T + 1, K, H, W): maps, then the pictures carried on.
        """
        config, (count, length) = self.config, frames.shape[:2]
        maps = self.nothing.expand(count, length + 1, *self.nothing.shape)
        pictures = frames.new_zeros(
            (count, length + 1, config.carried * config.channels, config.height, config.width)
        )
        if config.past and length:
            states = self._states(frames)
            told = self.tell(states).reshape(count, length, *self.nothing.shape)
            maps = maps + torch.cat([torch.zeros_like(told[:, :1]), told], dim=1)
            moves = pixel_shuffle(self.move(states), config.fold).reshape(
                count, length, config.carried, 1 + self.neighbours, config.height, config.width
            )
            # Before anything is learned, most of the newest frame is taken.
            pictures = carried(frames, (moves[:, :, :, 0] + 1).sigmoid(), moves[:, :, :, 1:].softmax(dim=3))
        return torch.cat([pixel_shuffle(maps, config.fold), pictures], dim=2)

    def _states(self, frames: Tensor) -> Tensor:
        """Of the LSTM after each frame, (B T, memory, h, w)."""
        count, length = frames.shape[:2]
        now = frames.flatten(0, 1)
        before = torch.cat([torch.zeros_like(frames[:, :1]), frames[:, :-1]], dim=1).flatten(0, 1)
        views = torch.cat(
            [now, (now[:, :, None] - neighbours(before, self.config.reach)).square().flatten(1, 2)], dim=1
        )
        cells = pixel_unshuffle(views, self.config.fold)
        looked = self.blocks(self.look(cells) + self.place)
        states: Tensor = self.lstm(looked.reshape(count, length, *looked.shape[1:]))
        return states.flatten(0, 1)

    def logits(self, frames: Tensor, conditions: Tensor) -> Tensor:
        """Of each pixel to be white: frames (N, C, H, W), conditions (N, K, H, W), to (N, C, H, W).

        A pixel's depends on the pixels before it and the conditions alone.
        """
        return self._of_features(self.decoder(frames, conditions), conditions)

    def _of_features(self, features: Tensor, conditions: Tensor) -> Tensor:
        """features (N, decoder, H, W): as `logits`."""
        config = self.config
        pictures = conditions[:, config.condition :].reshape(
            len(conditions), config.carried, config.channels, *conditions.shape[2:]
        )
        found: Tensor = self.head(torch.cat([features, conditions], dim=1))
        return found + pictures.amax(dim=1).logit(NEVER_SURE)

    def nll(self, clips: Tensor, rng: Generator) -> Tensor:
        """Nats of the frames after the seen ones, which are drawn black or white here, but for the mean over
        the drawing of each pixel itself. Raises BadInput if there are none."""
        return self._nats(clips, self.config.seen, rng).flatten(1).sum(dim=1)

    def complete(self, clips: Tensor, known: Tensor, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        """known: bool (B, T), of which each row begins with those that are; the others are drawn, black or
        white, frame after frame. Raises BadInput, also if a network that goes by the past is given none."""
        self._check(clips)
        if known.shape != clips.shape[:2] or bool((known[:, 1:] & ~known[:, :-1]).any()):
            raise BadInput(
                f"known {known.tolist()}; of each clip the first frames may be known, one at least"
            )
        if self.config.past and not bool(known[:, 0].all()):
            raise BadInput(f"known {known.tolist()}; of each clip at least 1 frame must be")
        return self._drawn(clips, known, rng, temperature)

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        config = self.config
        empty = self.nothing.new_zeros((count, config.frames, config.channels, config.height, config.width))
        known = torch.zeros(empty.shape[:2], dtype=torch.bool, device=empty.device)
        return self._drawn(empty, known, rng, temperature)

    def loss(self, player: str, batch: VideoBatch, rng: Generator) -> Loss:
        """Nats a frame. Of one batch in FROM_NOTHING all frames are told, none given."""
        nothing = int(torch.randint(FROM_NOTHING, (), generator=rng, device=rng.device)) == 0
        return Loss(self._nats(batch.clips, 0 if nothing else self.config.seen, rng).mean(), {})

    def quality(self, batch: VideoBatch, rng: Generator) -> Tensor:
        """Nats a frame after the seen ones."""
        return self._nats(batch.clips, self.config.seen, rng).mean()

    def _nats(self, clips: Tensor, seen: int, rng: Generator) -> Tensor:
        """(B, T - seen). A pixel's own grey, instead of what was drawn of it, gives the same in the mean, as
        pixels are drawn independently, and varies less."""
        self._check(clips)
        if clips.shape[1] <= seen:
            raise BadInput(f"clips of {clips.shape[1]} frames; more than {seen} are needed")
        shown = torch.cat([clips[:, :seen], torch.bernoulli(clips[:, seen:], generator=rng)], dim=1)
        told = self.conditions(shown[:, :-1])[:, seen:]  # (B, T - seen, K, H, W)
        logits = self.logits(shown[:, seen:].flatten(0, 1), told.flatten(0, 1))
        nats = binary_cross_entropy_with_logits(logits, clips[:, seen:].flatten(0, 1), reduction="none")
        return nats.flatten(1).sum(dim=1).reshape(told.shape[:2])

    def _drawn(self, clips: Tensor, known: Tensor, rng: Generator, temperature: float) -> Tensor:
        """The clips with all frames that are not known drawn anew."""
        if not temperature > 0:
            raise BadInput(f"temperature {temperature}: above 0 is allowed")
        filled = clips.clone()
        for time in range(clips.shape[1]):
            given = known[:, time]
            if bool(given.all()):
                continue
            told = self.conditions(filled[:, :time])[:, -1]
            drawn = self._frame(told, rng, temperature)
            filled[:, time] = torch.where(given[:, None, None, None], clips[:, time], drawn)
        return filled

    def _frame(self, told: Tensor, rng: Generator, temperature: float) -> Tensor:
        """told (B, K, H, W): a frame (B, C, H, W), drawn pixel after pixel."""
        count, _, height, width = told.shape
        walk = self.decoder.walk(count, width, told)
        drawn = told.new_empty((count, self.config.channels, height, width))
        for row in range(height):
            for column in range(width):
                here = told[:, :, row, column, None, None]
                logits = self._of_features(walk.features()[:, :, None, None], here)[:, :, 0, 0]
                pixel = torch.bernoulli((logits / temperature).sigmoid(), generator=rng)  # (B, C)
                drawn[:, :, row, column] = pixel
                walk.put(pixel)
        return drawn

    def _check(self, clips: Tensor) -> None:
        config = self.config
        allowed = (config.channels, config.height, config.width)
        if clips.ndim != 5 or tuple(clips.shape[2:]) != allowed:
            raise BadInput(f"clips of shape {tuple(clips.shape)}; allowed are (B, T) of {allowed}")


def carried(frames: Tensor, taken: Tensor, shares: Tensor) -> Tensor:
    """Pictures that take over of each frame what they are told, and then move.

    frames: (B, T, C, H, W). taken: (B, T, S, H, W), the share of the frame in each of S pictures, 0 to 1.
    shares: (B, T, S, N, H, W), of each neighbour in what a pixel becomes, their sum 1. Returns (B, T + 1,
    S C, H, W): first black, then after each frame.
    """
    count, length, channels, height, width = frames.shape
    reach = (math.isqrt(shares.shape[3]) - 1) // 2
    pictures = frames.new_zeros((count, taken.shape[2], channels, height, width))
    found = [pictures]
    for time in range(length):
        take = taken[:, time, :, None]
        pictures = pictures + take * (frames[:, time, None] - pictures)
        near = neighbours(pictures.flatten(0, 1), reach).reshape(*pictures.shape[:3], -1, height, width)
        pictures = (near * shares[:, time, :, None]).sum(dim=3)
        found.append(pictures)
    return torch.stack(found, dim=1).flatten(2, 3)


def neighbours(pictures: Tensor, reach: int) -> Tensor:
    """The pixels around each, itself among them, in raster order, black beyond the edge.

    (N, C, H, W) to (N, C, (2 reach + 1)^2, H, W).
    """
    count, channels, height, width = pictures.shape
    return unfold(pictures, 2 * reach + 1, padding=reach).reshape(count, channels, -1, height, width)


@dataclass(frozen=True)
class MovingDigitsRecipe(TrainedRecipe):
    """digits: at a time. speed: at most, pixels a frame along an axis."""

    digits: int = 2
    speed: int = 1

    def material(self, home: Path, seed: int) -> Material:
        config = self.config
        motion = Motion(config.height, config.width, config.frames, self.digits, self.speed)
        train = moving_digits("train", home, motion, seed)
        digits = sources()["digits"]
        about = {
            "source": "moving-digits",
            "licence": digits.licence,
            "split": f"the digits of a clip: {digits.split}",
            "motion": asdict(motion),
            "sha256": hashlib.sha256(train.sprites.pixels.tobytes()).hexdigest(),
        }
        return Material(VideoData(train, moving_digits("validation", home, motion), self.batch_size), about)


PLAN = Plan(
    steps=8_000,
    learning_rate=6e-3,
    warm_up=100,
    validate_every=250,
    weight_decay=0.0,
    clip_norm=10.0,
    average=0.999,
)
SCALE = (
    "frames of 20 x 20 instead of 64 x 64, digits of half size; 8 frames, 4 of them seen, instead of 20, 10; "
    "one residual block a frame at half the resolution instead of 8 at the full one, beside pictures that "
    "are carried on; a decoder of 3 gated masked layers of 16 channels instead of 12 blocks; pixels black or "
    "white instead of grey"
)

recipe(
    MovingDigitsRecipe(
        name="moving-digits-vpn",
        model="video_pixel_network",
        config=VideoPixelNetworkConfig(),
        batch_size=16,
        plan=PLAN,
        description="Goes on with a clip of moving digits.",
        thresholds={"nats_over_bound": 1.15},
        scale=SCALE,
        source="Kalchbrenner et al. 2016, Video pixel networks",
    )
)
recipe(
    MovingDigitsRecipe(
        name="moving-digits-alone",
        model="video_pixel_network",
        config=VideoPixelNetworkConfig(past=False),
        batch_size=16,
        plan=PLAN,
        description="The decoder of moving-digits-vpn by itself: a frame as if there were no others.",
        scale=SCALE,
        source="van den Oord et al. 2016, Conditional image generation with PixelCNN decoders",
    )
)
