"""Members who come, go, come back and ping, while a few talk all the time."""

import asyncio
import random
from dataclasses import dataclass

from room import ALONE, PLAIN, SHARED, Member, Room, offer
from talk import Talker
from townhall import within

PLACES = 30
ROUNDS = 50
KIBIBYTE = 1024


def terms_of(index):
    """What members offer, by the number of their place."""
    window = offer(server_max_window_bits=9 + index // 10 * 2)
    return (SHARED, SHARED, ALONE, SHARED, PLAIN, window, SHARED)[index % 7]


@dataclass
class Place:
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
        self.places = [Place() for _ in range(PLACES)]
        self.tasks = []
        self.said = []

    @classmethod
    async def meet(cls, room, seed, whisper=None):
        """Let a crowd be busy in a room until everybody has come."""
        crowd = cls(room, seed)
        terms = (PLAIN, SHARED, ALONE, offer(server_max_window_bits=10))
        crowd.speakers = [
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
        for index in self.chance.sample(range(PLACES), 3):
            self.move(index, stay=number > ROUNDS - 10)
        if number > ROUNDS - 10:
            for index in range(PLACES):
                self.move(index, stay=True)
        for _ in range(self.chance.randint(1, 3)):
            await self.talk()
        if number % 15 == 10:
            await self.talk_big(number)
        present = [place.member for place in self.places if place.member]
        if present:
            await self.chance.choice(present).ping()
            if whisper:
                await whisper(self.speakers[0], self.chance.choice(present))
        for _ in range(self.chance.randint(1, 4)):
            last = await self.talk()
        # Not to be too far ahead of the server.
        self.said.append(last)
        if number > 2:
            await self.room.hears(self.said[number - 3])

    def move(self, index, stay):
        """Somebody comes or, not so often, goes."""
        place = self.places[index]
        if place.is_busy():
            return
        if not place.member:
            place.arrival = asyncio.create_task(self.come(place, index))
            self.tasks.append(place.arrival)
        elif not stay and self.chance.random() < 0.4:
            self.go(place)

    async def come(self, place, index):
        """Somebody comes, for the first time or again."""
        place.visits += 1
        name = f"member {index}, visit {place.visits}"
        place.member = await self.room.join(terms_of(index), name)

    def go(self, place):
        """Somebody goes, with or without a word."""
        member, place.member = place.member, None
        if self.chance.random() < 0.5:
            member.vanish()
        else:
            farewell = member.close(f"good-bye says {member.name}")
            place.departure = asyncio.create_task(farewell)
            self.tasks.append(place.departure)

    async def talk(self):
        """Something is said, mostly chat; all that may repeat is said by Bob."""
        chance, talker = self.chance, self.talker
        speaker = chance.choice(self.speakers)
        kind = chance.randrange(20)
        if kind > 3:
            return await speaker.say(talker.line(), line=True)
        if kind == 3:
            return await speaker.say(talker.line(chance.randint(4 * KIBIBYTE, 24 * KIBIBYTE)))
        if kind == 2:
            return await speaker.say(chance.randbytes(chance.randint(100, 10 * KIBIBYTE)))
        odd = ("", "ok", "x" * chance.randrange(130), b"", chance.randbytes(5))
        return await self.speakers[1].say(chance.choice(odd))

    async def talk_big(self, number):
        """Somebody says 1 MiB, that compresses or not."""
        even = number % 2 == 0
        speaker = self.chance.choice(self.speakers)
        size = KIBIBYTE**2
        await speaker.say(self.chance.randbytes(size) if even else self.talker.line(size))
