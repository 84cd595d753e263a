"""`video_pixel_network`: prediction of clips, pixel by pixel (Kalchbrenner et al. 2016, Video pixel
networks, arXiv 1610.00527).

    p(x) = prod over frames t, pixels i of p(x_ti | x_<t, x_t,<i)

An encoder sees each frame and its difference from the one before, a convolutional LSTM summarises the frames
so far in maps, and a PixelCNN decoder samples the next frame under that condition, each pixel given those
before it. Pixels are probabilities of white: given frames are seen in grey, predicted ones are binarised
(dynamic binarisation), so that the entropy of binarisation is a lower bound of the loss.

Two things are not the paper's, so that a small network learns in an hour. The encoder works on cells of
`fold` x `fold` pixels, which become channels (pixel unshuffle) and are shuffled back before the decoder. And
beside the maps the condition has pictures that the LSTM moves by dynamic local filters (De Brabandere et al.
2016); the decoder's logits are relative to their grey.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pixel_shuffle, pixel_unshuffle

from wordspot.models.cancellation import check_cancelled
from wordspot.models.datasets.moving_digits import Motion, VideoBatch, VideoData, moving_digits
from wordspot.models.datasets.source import Source, find
from wordspot.models.errors import BadInput
from wordspot.models.generators.masked import MaskedStack, initialise
from wordspot.models.generators.video_layers import (
    ConvolutionalLstm,
    ResidualMultiplicativeBlock,
    move_pictures,
    neighbours,
)
from wordspot.models.model import Loss, Model
from wordspot.models.recipe import Material, TrainedRecipe, recipe
from wordspot.models.registry import register
from wordspot.models.trainer import Plan

UNCONDITIONAL_BATCHES = 8  # one batch in so many is trained without given frames
MIN_PROBABILITY = 0.005  # of black and of white in a moved picture


@dataclass(frozen=True)
class VideoPixelNetworkConfig:
    """The shape of a video pixel network.

    Attributes:
        height, width, channels, frames: of clips.
        seen: frames of a clip that are given.
        past: whether the decoder is conditioned on earlier frames.
        fold: side of the encoder's cells, pixels.
        encoder, blocks: channels and number of the encoder's residual blocks.
        memory: channels of the LSTM's state.
        condition: maps of the condition.
        carried: pictures of the condition that are moved.
        reach: pixels that they are moved a frame along an axis, at most.
        decoder, layers, kernel: channels, number and kernel of the decoder's masked layers.
        head: channels of the output's hidden layer.
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


@register("video_pixel_network")
class VideoPixelNetwork(Model[VideoPixelNetworkConfig]):
    """An encoder of frames and a masked decoder of the next one.

    In stored artifacts `look`, `place`, `blocks` and `lstm` are the encoder, `tell` gives the maps of the
    condition, `move` the filters of the moved pictures, `nothing` the maps without a past.
    """

    Config = VideoPixelNetworkConfig
    modality = "video"
    options = frozenset({"temperature"})

    def __init__(self, config: VideoPixelNetworkConfig) -> None:
        """Makes a network with random weights. Raises BadInput unless the cells fill the frame and a frame is
        left to predict."""
        super().__init__(config)
        if config.height % config.fold or config.width % config.fold:
            raise BadInput(
                f"height and width must be multiples of {config.fold}, got {config.height} x {config.width}"
            )
        if not 1 <= config.seen < config.frames:
            raise BadInput(
                f"seen must be between 1 and {config.frames - 1} of {config.frames} frames, got {config.seen}"
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
        maps = config.condition + config.carried * config.channels
        self.decoder = MaskedStack(config.channels, config.decoder, config.layers, config.kernel, maps)
        self.head = nn.Sequential(
            nn.Conv2d(config.decoder + maps, config.head, 1),
            nn.ReLU(),
            nn.Conv2d(config.head, config.channels, 1),
        )
        initialise(self)

    def conditions(self, frames: Tensor) -> Tensor:
        """Returns the conditions of each frame given those before it, and of one more after the last.

        Args:
            frames: float (B, T, C, H, W), T from 0.

        Returns:
            float (B, T + 1, K, H, W): maps, then the moved pictures.
        """
        config, (count, length) = self.config, frames.shape[:2]
        maps = self.nothing.expand(count, length + 1, *self.nothing.shape)
        pictures = frames.new_zeros(
            (count, length + 1, config.carried * config.channels, config.height, config.width)
        )
        if config.past and length:
            states = self._states(frames)
            later = self.tell(states).reshape(count, length, *self.nothing.shape)
            maps = maps + torch.cat([torch.zeros_like(later[:, :1]), later], dim=1)
            moves = pixel_shuffle(self.move(states), config.fold).reshape(
                count, length, config.carried, 1 + self.neighbours, config.height, config.width
            )
            # An untrained network takes most of the newest frame.
            pictures = move_pictures(
                frames, (moves[:, :, :, 0] + 1).sigmoid(), moves[:, :, :, 1:].softmax(dim=3)
            )
        return torch.cat([pixel_shuffle(maps, config.fold), pictures], dim=2)

    def _states(self, frames: Tensor) -> Tensor:
        """Returns the LSTM's state after each frame, (B T, memory, h, w)."""
        count, length = frames.shape[:2]
        now = frames.flatten(0, 1)
        before = torch.cat([torch.zeros_like(frames[:, :1]), frames[:, :-1]], dim=1).flatten(0, 1)
        views = torch.cat(
            [now, (now[:, :, None] - neighbours(before, self.config.reach)).square().flatten(1, 2)], dim=1
        )
        cells = pixel_unshuffle(views, self.config.fold)
        features = self.blocks(self.look(cells) + self.place)
        states: Tensor = self.lstm(features.reshape(count, length, *features.shape[1:]))
        return states.flatten(0, 1)

    def logits(self, frames: Tensor, conditions: Tensor) -> Tensor:
        """Returns logits of white, (N, C, H, W), each given the pixels before it and the conditions.

        frames: (N, C, H, W). conditions: (N, K, H, W).
        """
        return self._of_features(self.decoder(frames, conditions), conditions)

    def _of_features(self, features: Tensor, conditions: Tensor) -> Tensor:
        """Returns `logits` of the decoder's features (N, decoder, H, W)."""
        config = self.config
        pictures = conditions[:, config.condition :].reshape(
            len(conditions), config.carried, config.channels, *conditions.shape[2:]
        )
        logits: Tensor = self.head(torch.cat([features, conditions], dim=1))
        return logits + pictures.amax(dim=1).logit(MIN_PROBABILITY)

    def nll(self, clips: Tensor, rng: Generator) -> Tensor:
        """Returns the negative log-likelihood of the frames after the given ones, nats (B,).

        Frames are binarised as conditions; the expectation over each pixel's own binarisation is exact.

        Raises:
            BadInput: the clips have another shape, or no frame after the given ones.
        """
        return self._nats(clips, self.config.seen, rng).flatten(1).sum(dim=1)

    def complete(
        self, clips: Tensor, known_mask: Tensor, rng: Generator, *, temperature: float = 1.0
    ) -> Tensor:
        """Returns clips whose unknown frames are sampled, binary, frame by frame.

        Args:
            clips: float (B, T, C, H, W), 0 to 1.
            known_mask: bool (B, T), each row with its known frames first.
            rng: of sampling.
            temperature: above 0, divides the logits.

        Raises:
            BadInput: the clips have another shape, a known frame follows an unknown one, or a network that is
                conditioned on the past is given no frame.
        """
        self._check(clips)
        if known_mask.shape != clips.shape[:2] or bool((known_mask[:, 1:] & ~known_mask[:, :-1]).any()):
            raise BadInput(
                f"known frames must be the first of each clip, one at least, got {known_mask.tolist()}"
            )
        if self.config.past and not bool(known_mask[:, 0].all()):
            raise BadInput(f"at least 1 frame of each clip must be known, got {known_mask.tolist()}")
        return self._fill(clips, known_mask, rng, temperature)

    def sample(self, count: int, rng: Generator, *, temperature: float = 1.0) -> Tensor:
        """Returns sampled clips, (count, T, C, H, W), 0 or 1."""
        config = self.config
        empty = self.nothing.new_zeros((count, config.frames, config.channels, config.height, config.width))
        known_mask = torch.zeros(empty.shape[:2], dtype=torch.bool, device=empty.device)
        return self._fill(empty, known_mask, rng, temperature)

    def loss(self, player: str, batch: VideoBatch, rng: Generator) -> Loss:
        """Returns nats a frame; one batch in UNCONDITIONAL_BATCHES is trained without given frames."""
        unconditional = int(torch.randint(UNCONDITIONAL_BATCHES, (), generator=rng, device=rng.device)) == 0
        return Loss(self._nats(batch.clips, 0 if unconditional else self.config.seen, rng).mean(), {})

    def quality(self, batch: VideoBatch, rng: Generator) -> Tensor:
        """Returns nats a frame after the given ones."""
        return self._nats(batch.clips, self.config.seen, rng).mean()

    def _nats(self, clips: Tensor, seen: int, rng: Generator) -> Tensor:
        """Returns nats of each frame after the given ones, (B, T - seen).

        The cross-entropy with a pixel's grey is the expectation over its binarisation, as pixels are
        binarised independently.
        """
        self._check(clips)
        if clips.shape[1] <= seen:
            raise BadInput(f"clips must have more than {seen} frames, got {clips.shape[1]}")
        binarised = torch.cat([clips[:, :seen], torch.bernoulli(clips[:, seen:], generator=rng)], dim=1)
        conditions = self.conditions(binarised[:, :-1])[:, seen:]  # (B, T - seen, K, H, W)
        logits = self.logits(binarised[:, seen:].flatten(0, 1), conditions.flatten(0, 1))
        nats = binary_cross_entropy_with_logits(logits, clips[:, seen:].flatten(0, 1), reduction="none")
        return nats.flatten(1).sum(dim=1).reshape(conditions.shape[:2])

    def _fill(self, clips: Tensor, known_mask: Tensor, rng: Generator, temperature: float) -> Tensor:
        """Returns the clips with unknown frames sampled. Raises BadInput if temperature is not above 0."""
        if not temperature > 0:
            raise BadInput(f"temperature must be above 0, got {temperature}")
        filled = clips.clone()
        for time in range(clips.shape[1]):
            known = known_mask[:, time]
            if bool(known.all()):
                continue
            condition = self.conditions(filled[:, :time])[:, -1]
            frame = self._frame(condition, rng, temperature)
            filled[:, time] = torch.where(known[:, None, None, None], clips[:, time], frame)
        return filled

    def _frame(self, condition: Tensor, rng: Generator, temperature: float) -> Tensor:
        """Returns a frame (B, C, H, W) sampled pixel by pixel under a condition (B, K, H, W)."""
        count, _, height, width = condition.shape
        raster = self.decoder.raster_pass(count, width, condition)
        frame = condition.new_empty((count, self.config.channels, height, width))
        for row in range(height):
            for column in range(width):
                check_cancelled()
                condition_at_pixel = condition[:, :, row, column, None, None]
                logits = self._of_features(raster.features()[:, :, None, None], condition_at_pixel)[
                    :, :, 0, 0
                ]
                pixel = torch.bernoulli((logits / temperature).sigmoid(), generator=rng)  # (B, C)
                frame[:, :, row, column] = pixel
                raster.append_pixel(pixel)
        return frame

    def _check(self, clips: Tensor) -> None:
        config = self.config
        allowed = (config.channels, config.height, config.width)
        if clips.ndim != 5 or tuple(clips.shape[2:]) != allowed:
            raise BadInput(f"clips must have the shape (B, T) of {allowed}, got {tuple(clips.shape)}")


@dataclass(frozen=True)
class MovingDigitsRecipe(TrainedRecipe):
    """The training of a video pixel network on moving digits.

    Attributes:
        digits: in a clip at a time.
        speed: pixels a frame along an axis, at most.
    """

    digits: int = 2
    speed: int = 1

    def material(self, home: Path, seed: int) -> Material:
        """Returns clips of moving digits as batches. Raises DatasetError."""
        config = self.config
        motion = Motion(config.height, config.width, config.frames, self.digits, self.speed)
        train = moving_digits("train", home, motion, seed)
        digits = find("digits", Source)
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
    ema_decay=0.999,
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
