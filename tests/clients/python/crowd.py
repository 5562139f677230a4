"""Members who come, go, come back and ping, while a few talk all the time."""

import asyncio
import random
from dataclasses import dataclass

from room import ALONE, PLAIN, SHARED, Member, Room, offer
from talk import Talker
from townhall import within

SLOTS = 30
ROUNDS = 50
KIBIBYTE = 1024


def terms_of(index):
    """What members offer, by the number of their slot."""
    window = offer(server_max_window_bits=9 + index // 10 * 2)
    return (SHARED, SHARED, ALONE, SHARED, PLAIN, window, SHARED)[index % 7]


@dataclass
class Slot:
    """Where a member is, or comes to, or was."""

    member: Member | None = None
    arrival: asyncio.Task | None = None
    departure: asyncio.Task | None = None
    visits: int = 0

    def is_busy(self):
        """Whether somebody is on the way."""
        tasks = (self.arrival, self.departure)
        return any(task and not task.done() for task in tasks)


class Crowd:
    """All who are in a room."""

    def __init__(self, room, seed):
        """What happens follows from the seed, as far as the network lets it."""
        self.room = room
        self.chance = random.Random(seed)
        self.talker = Talker("crowd", seed)
        self.slots = [Slot() for _ in range(SLOTS)]
        self.tasks = []
        self.sent = []

    @classmethod
    async def meet(cls, room, seed, whisper=None):
        """Let a crowd be busy in a room until everybody has come."""
        crowd = cls(room, seed)
        terms = (PLAIN, SHARED, ALONE, offer(server_max_window_bits=10))
        crowd.senders = [
            await room.join(offered, name)
            for offered, name in zip(terms, ("Ann", "Bob", "Cleo", "Dan"))
        ]
        for number in range(1, ROUNDS + 1):
            await crowd.round(number, whisper)
        await within(asyncio.gather(*crowd.tasks))
        await room.settle()
        return crowd

    async def round(self, number, whisper):
        """Some come and go, and some talk in the meantime."""
        for index in self.chance.sample(range(SLOTS), 3):
            self.move(index, stay=number > ROUNDS - 10)
        if number > ROUNDS - 10:
            for index in range(SLOTS):
                self.move(index, stay=True)
        for _ in range(self.chance.randint(1, 3)):
            await self.talk()
        if number % 15 == 10:
            await self.talk_big(number)
        present = [slot.member for slot in self.slots if slot.member]
        if present:
            await self.chance.choice(present).ping()
            if whisper:
                await whisper(self.senders[0], self.chance.choice(present))
        for _ in range(self.chance.randint(1, 4)):
            last = await self.talk()
        # Not to be too far ahead of the server.
        self.sent.append(last)
        if number > 2:
            await self.room.until_received(self.sent[number - 3])

    def move(self, index, stay):
        """Somebody comes or, not so often, goes."""
        slot = self.slots[index]
        if slot.is_busy():
            return
        if not slot.member:
            slot.arrival = asyncio.create_task(self.come(slot, index))
            self.tasks.append(slot.arrival)
        elif not stay and self.chance.random() < 0.4:
            self.go(slot)

    async def come(self, slot, index):
        """Somebody comes, for the first time or again."""
        slot.visits += 1
        name = f"member {index}, visit {slot.visits}"
        slot.member = await self.room.join(terms_of(index), name)

    def go(self, slot):
        """Somebody goes, with or without a word."""
        member, slot.member = slot.member, None
        if self.chance.random() < 0.5:
            member.vanish()
        else:
            farewell = member.close(f"good-bye from {member.name}")
            slot.departure = asyncio.create_task(farewell)
            self.tasks.append(slot.departure)

    async def talk(self):
        """Send something, mostly chat. Bob sends everything that may repeat."""
        chance, talker = self.chance, self.talker
        sender = chance.choice(self.senders)
        kind = chance.randrange(20)
        if kind > 3:
            return await sender.send(talker.line(), line=True)
        if kind == 3:
            return await sender.send(talker.line(chance.randint(4 * KIBIBYTE, 24 * KIBIBYTE)))
        if kind == 2:
            return await sender.send(chance.randbytes(chance.randint(100, 10 * KIBIBYTE)))
        odd = ("", "ok", "x" * chance.randrange(130), b"", chance.randbytes(5))
        return await self.senders[1].send(chance.choice(odd))

    async def talk_big(self, number):
        """Send 1 MiB that compresses or not."""
        even = number % 2 == 0
        sender = self.chance.choice(self.senders)
        size = KIBIBYTE**2
        await sender.send(self.chance.randbytes(size) if even else self.talker.line(size))
