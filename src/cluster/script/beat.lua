#!lua flags=allow-oom
-- Shows that a process is there, and which others are.
--
-- KEYS: the processes, by the time until which each is there, and what this one says about its rooms
-- ARGV: this process, and for how many milliseconds it is there
-- Returns whether what it said is still there, and the processes.

local processes, own = KEYS[1], KEYS[2]
local process, age = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', processes, '-inf', string.format('%.0f', now))
redis.call('ZADD', processes, string.format('%.0f', now + age), process)
redis.call('PEXPIRE', processes, age)
return { redis.call('PEXPIRE', own, age), redis.call('ZRANGE', processes, 0, -1) }
