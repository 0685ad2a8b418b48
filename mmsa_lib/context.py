"""What an utterance knows of the turns around it. Derived in notebooks/10.

Rows of a batch that belong to one dialogue lie together and in order; `dialogue` (B,) says which rows those are.
A row sees at most `past` turns before it and `future` turns after it, and never another dialogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

READERS = ("transformer", "gru", "text")
OTHER, SAME, UNKNOWN = range(3)  # who speaks a turn, seen from the turn that is judged


@dataclass(frozen=True)
class Windows:
    """For each of B rows the W = past + 1 + future rows around it, itself at position `past`."""

    rows: Tensor  # (B, W) long; any valid row where `real` is False
    real: Tensor  # (B, W) bool
    speaker: Tensor  # (B, W) long: OTHER, SAME or UNKNOWN


def turn_windows(dialogue: Tensor, speaker: Tensor | None = None, past: int = 0, future: int = 0) -> Windows:
    """The turns that each row may see: `dialogue` (B,), `speaker` (B,) with -1 for unknown."""
    own = torch.arange(len(dialogue), device=dialogue.device)[:, None]  # (B, 1)
    rows = own + torch.arange(-past, future + 1, device=dialogue.device)  # (B, W)
    real = (rows >= 0) & (rows < len(dialogue))
    rows = torch.where(real, rows, own)
    real &= dialogue[rows] == dialogue[:, None]
    rows = torch.where(real, rows, own)
    if speaker is None:
        speaker = torch.full_like(dialogue, -1)
    who = (speaker[rows] == speaker[:, None]).long()  # OTHER or SAME
    who[(speaker[rows] < 0) | (speaker[:, None] < 0)] = UNKNOWN
    return Windows(rows, real, who)


class DialogueContext(nn.Module):
    """Adds to each utterance's vector what a small network reads in the turns around it: (B, D) -> (B, D).

    Every turn of the window enters with an embedding of its distance and of whether its speaker is the one who is
    judged. The network sees nothing else: with `future=0` nothing that is said later can reach an utterance.

    Args:
        size: D.
        past, future: how many turns it sees on either side.
        reader: `transformer` (self-attention over the window) or `gru` (one that reads towards the utterance from
            the past, and one from the future).
    """

    def __init__(
        self,
        size: int,
        past: int,
        future: int = 0,
        reader: str = "transformer",
        layers: int = 1,
        heads: int = 4,
        dropout: float = 0.3,
    ) -> None:
        if reader not in ("transformer", "gru"):
            raise ValueError(f"reader must be transformer or gru, not {reader!r}")
        super().__init__()
        self.past, self.future = past, future
        self.distance = nn.Embedding(past + 1 + future, size)
        self.speaker = nn.Embedding(3, size)
        for embedding in (self.distance, self.speaker):
            nn.init.normal_(embedding.weight, std=0.1)
        self.norm = nn.LayerNorm(size)
        self.reader = _Attention(size, past, layers, heads) if reader == "transformer" else _Gru(size, past, future > 0)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, dialogue: Tensor | None = None, speaker: Tensor | None = None, judged: Tensor | None = None
    ) -> Tensor:
        """x (B, D), dialogue (B,), speaker (B,), judged (B,) bool -> (B, D).

        Without `dialogue` every row stands alone. Rows that are not `judged` are seen by others, and come back as
        they are: their own windows are not read.
        """
        if dialogue is None:
            dialogue = torch.arange(len(x), device=x.device)
        windows = turn_windows(dialogue, speaker, self.past, self.future)
        rows, real, who = windows.rows, windows.real, windows.speaker
        if judged is not None:
            rows, real, who = rows[judged], real[judged], who[judged]
        turns = self.norm(x)[rows] + self.distance.weight + self.speaker(who)  # (J, W, D)
        read = self.dropout(self.reader(turns, real))  # (J, D)
        return x + read if judged is None else x.index_put((judged,), read.to(x.dtype), accumulate=True)


class _Attention(nn.Module):
    """Self-attention among the turns of a window; the answer is what the judged turn has become."""

    def __init__(self, size: int, own: int, layers: int, heads: int) -> None:
        super().__init__()
        self.own = own
        layer = nn.TransformerEncoderLayer(size, heads, 2 * size, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)

    def forward(self, turns: Tensor, real: Tensor) -> Tensor:  # (B, W, D), (B, W) -> (B, D)
        return self.encoder(turns, src_key_padding_mask=~real)[:, self.own]


class _Gru(nn.Module):
    """Reads the window from its far ends towards the judged turn, from the past and from the future."""

    def __init__(self, size: int, own: int, future: bool) -> None:
        super().__init__()
        self.own = own
        self.past = nn.GRUCell(size, size)
        self.future = nn.GRUCell(size, size) if future else None

    def forward(self, turns: Tensor, real: Tensor) -> Tensor:  # (B, W, D), (B, W) -> (B, D)
        state = self._read(self.past, turns[:, : self.own + 1], real[:, : self.own + 1])
        if self.future is not None:
            state = state + self._read(self.future, turns[:, self.own :].flip(1), real[:, self.own :].flip(1))
        return state

    @staticmethod
    def _read(cell: nn.GRUCell, turns: Tensor, real: Tensor) -> Tensor:
        """The last state; turns that are not there leave it as it is."""
        state = torch.zeros_like(turns[:, 0])
        for turn, there in zip(turns.unbind(1), real.unbind(1), strict=True):
            state = torch.where(there[:, None], cell(turn, state), state)
        return state


# -------------------------------------------------------------------------------------------- text


@dataclass(frozen=True)
class Packs:
    """Turns of dialogues laid end to end, so that a text encoder reads each token once, not once a window."""

    input_ids: Tensor  # (P, L)
    row: Tensor  # (P, L) long: the row of the batch that a token belongs to, -1 for padding
    counts: Tensor  # (P, L) bool: the token counts for its row; False where a turn is there only to be seen

    def visible(self, past: int, future: int) -> Tensor:
        """(P, L, L) bool: token i may look at token j, whose turn is not too far away. Every token sees itself.

        A turn that is there only to be seen is read in the light of what follows, as far as the first turn that counts
        (and the `future` turns behind that one): an encoder learned its language looking to both sides.
        """
        own, other = self.row[:, :, None], self.row[:, None, :]  # turns of one dialogue lie in successive rows
        first = self.row.masked_fill(~self.counts, self.row.max()).amin(dim=1)[:, None, None]
        seen = (other >= own - past) & (other <= own.clamp(min=first) + future)
        seen &= (own >= 0) & (other >= 0)
        return seen | torch.eye(self.row.shape[1], dtype=torch.bool, device=self.row.device)


def pack_turns(
    input_ids: Tensor,
    attention_mask: Tensor,
    dialogue: Tensor,
    past: int,
    future: int = 0,
    max_tokens: int = 512,
    pad_token_id: int = 0,
    judged: Tensor | None = None,
) -> Packs:
    """Lay the turns of each dialogue end to end: `input_ids`, `attention_mask` (B, L), `dialogue` (B,).

    Where `judged` (B,) is False a turn does not count; all do by default. A dialogue with more than `max_tokens` is
    cut into several packs; each begins with as many of the `past` turns before it, and ends with as many of the
    `future` turns behind it, as there is room for.
    """
    lengths = attention_mask.sum(dim=1).tolist()
    wanted = range(len(lengths)) if judged is None else set(judged.nonzero().flatten().tolist())
    spans = [s for rows in _dialogues(dialogue.tolist()) for s in _spans(rows, lengths, past, future, max_tokens)]
    ids, row, counts = [], [], []
    for rows, own in spans:
        repeats = torch.tensor([lengths[r] for r in rows], device=input_ids.device)
        ids.append(torch.cat([input_ids[r, : lengths[r]] for r in rows]))
        row.append(torch.tensor(rows, device=input_ids.device).repeat_interleave(repeats))
        counted = torch.tensor([r in own and r in wanted for r in rows], device=input_ids.device)
        counts.append(counted.repeat_interleave(repeats))
    return Packs(
        pad_sequence(ids, batch_first=True, padding_value=pad_token_id),
        pad_sequence(row, batch_first=True, padding_value=-1),
        pad_sequence(counts, batch_first=True, padding_value=False),
    )


def _dialogues(dialogue: Sequence[int]) -> list[range]:
    """Runs of equal numbers: [4, 4, 7] -> [range(0, 2), range(2, 3)]."""
    starts = [i for i in range(len(dialogue)) if i == 0 or dialogue[i] != dialogue[i - 1]]
    return [range(a, b) for a, b in zip(starts, [*starts[1:], len(dialogue)], strict=True)]


def _spans(
    rows: range, lengths: Sequence[int], past: int, future: int, max_tokens: int
) -> list[tuple[list[int], range]]:
    """Cut a dialogue into spans that fit: (all rows of the span, the rows judged in it)."""

    def tokens(span: range) -> int:
        return sum(lengths[r] for r in span)

    spans = []
    start = rows.start
    while start < rows.stop:
        first, last, stop = start, start + 1, start + 1
        while first > max(rows.start, start - past) and tokens(range(first - 1, stop)) <= max_tokens // 2:
            first -= 1
        while stop < rows.stop and tokens(range(first, stop + 1)) <= max_tokens:
            stop += 1
        # what lies behind the judged turns is only to be seen, unless the dialogue ends there
        last = stop if stop == rows.stop else max(start + 1, stop - future)
        spans.append((list(range(first, min(stop, last + future))), range(start, last)))
        start = last
    return spans


def mean_of_rows(states: Tensor, packs: Packs, size: int) -> Tensor:
    """Average the tokens of each row: states (P, L, H) -> (size, H); a row without tokens gives zeros."""
    row = packs.row[packs.counts]  # (tokens,)
    sums = states.new_zeros(size, states.shape[-1]).index_add(0, row, states[packs.counts])
    return sums / torch.bincount(row, minlength=size).clamp(min=1)[:, None]


def first_of_rows(states: Tensor, packs: Packs, size: int) -> Tensor:
    """The first token of each row, which is `[CLS]`: states (P, L, H) -> (size, H)."""
    before = torch.nn.functional.pad(packs.row, (1, 0), value=-1)[:, :-1]
    first = packs.counts & (packs.row != before)
    return states.new_zeros(size, states.shape[-1]).index_copy(0, packs.row[first], states[first])
