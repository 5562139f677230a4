"""Chat-like JSON in which nothing repeats."""

import json
import random

SYLLABLES = "an be cor da el fi gra ho in ju ka lo mer no or pe qui ra sto tu ul ve wi zu".split()


def vocabulary(size):
    """Return some thousand words, always the same."""
    chance = random.Random(1)
    words = {}
    while len(words) < size:
        words["".join(chance.choices(SYLLABLES, k=chance.randint(1, 4)))] = None
    return list(words)


WORDS = vocabulary(4000)


class Talker:
    """A source of messages that never repeats itself."""

    def __init__(self, name, seed):
        """Create a source whose messages depend only on the seed."""
        self.name = name
        self.chance = random.Random(seed)
        self.sent = 0

    def line(self, size=None):
        """Return a message of about `size` bytes."""
        self.sent += 1
        missing = (size or self.chance.randint(150, 600)) - 90
        words = []
        while missing > 0:
            words.append(self.word())
            missing -= len(words[-1]) + 1
        line = {
            "type": "message",
            "id": f"{self.name}-{self.sent}",
            "from": self.name,
            "at": 1_700_000_000_000 + self.chance.randrange(10**9),
            "text": " ".join(words),
        }
        return json.dumps(line, separators=(",", ":"))

    def word(self):
        """Return a word; the first ones are the most frequent, as in any language."""
        return WORDS[int(self.chance.random() ** 2 * len(WORDS))]
