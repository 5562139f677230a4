#!lua
-- Publishes messages in a room: appends them to its stream, trims the stream, and sends them to the processes
-- that have members of the room. It does all of that, or nothing.
--
-- KEYS: the stream, townhall:{ROOM}, and its state, townhall:{ROOM}:meta
-- ARGV: "text" or "binary", and the message. The rest is for townhall itself: its process, the number of the
--   message there, how many messages to keep, for how many milliseconds, and how many bytes of them, and the
--   kind, the message and the number of each further one.
-- Returns the epoch and the number of the first message.

local stream, meta = KEYS[1], KEYS[2]
local process, number = ARGV[3] or '-', ARGV[4] or '0'
local known = redis.call('HMGET', meta, 'epoch', 'seq', 'keep', 'age', process, 'limit', 'bytes', 'touched')
local function number_of(text)
  -- From 2^53 on, neither Lua nor pages can count.
  return text and string.find(text, '^%d+$') and tonumber(text) < 9e15 and text
end
local epoch, before = number_of(known[1]), tonumber(number_of(known[2]))
local keep = number_of(ARGV[5]) or number_of(known[3]) or '1000'
local age = number_of(ARGV[6]) or number_of(known[4]) or '300000'
local limit = number_of(ARGV[7]) or number_of(known[6]) or '8388608'
if not ARGV[2] or ARGV[1] ~= 'text' and ARGV[1] ~= 'binary' then
  return redis.error_reply('ERR the arguments are text or binary, and the message')
end
local last = #ARGV > 7 and ARGV[#ARGV] or number

-- The process repeats what it has not seen the answer to.
if known[5] then
  local done, its_epoch, its_first = string.match(known[5], '^(%d+) (%d+) (%d+)')
  if done and tonumber(last) <= tonumber(done) then return { its_epoch, tonumber(its_first) } end
end

-- Otherwise, a right that is missing would show only after a part of it is done. The first command that
-- writes shows its own.
if not known[5] then
  for _, call in ipairs({ { 'HSET', meta, 'epoch', '1' }, { 'SPUBLISH', stream, '' } }) do
    if not redis.acl_check_cmd(unpack(call)) then
      return redis.error_reply('NOPERM this user has no permissions to run ' .. call[1] .. ' in scripts')
    end
  end
end

local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local seq, sent = before, {}
local bytes = tonumber(number_of(known[7])) or 0
local function begin_anew()
  redis.call('DEL', stream)
  epoch = string.format('%.0f', math.max(now, (epoch or 0) + 1))
  before, seq, bytes = 0, 0, 0
end
if not (epoch and before) then begin_anew() end

local function add(call, kind, message, its_number)
  local from = process == '-' and '-' or process .. '.' .. its_number
  local id = epoch .. '-' .. string.format('%.0f', seq + 1)
  local added = call('XADD', stream, 'MAXLEN', '~', keep, id, kind, message, 'from', from, 'at', now)
  if added.err then return added.err end
  seq = seq + 1
  bytes = bytes + #message
  sent[#sent + 1] = kind .. ' ' .. from .. ' ' .. #message .. '\n' .. message
end
local fault = add(redis.pcall, ARGV[1], ARGV[2], number)
if fault then
  -- Something else has added to the stream, so that it takes no more of our ids.
  if string.find(fault, ' ID') then begin_anew() end
  add(redis.call, ARGV[1], ARGV[2], number)
end
for i = 8, #ARGV, 3 do add(redis.call, ARGV[i], ARGV[i + 1], ARGV[i + 2]) end

-- Counting is cheap; only once twice as much is there as may be, it is looked for what is to go.
if bytes > 2 * limit then
  local count, kept, from = 0, 0, '+'
  repeat
    local found = redis.call('XREVRANGE', stream, from, '-', 'COUNT', 16)
    for _, entry in ipairs(found) do
      local size = #entry[2][2]
      if count > 0 and kept + size > tonumber(limit) then found = {} break end
      count, kept, from = count + 1, kept + size, '(' .. entry[1]
    end
  until #found < 16
  redis.call('XTRIM', stream, 'MAXLEN', count)
  bytes = kept
end

local first = string.format('%.0f', before + 1)
-- The room expires some time after its last message. It need not be exact.
local touched = tonumber(number_of(known[8])) or 0
local touches = before == 0 or now - touched > age / 4
if touches then touched = now end
local state = { 'epoch', epoch, 'seq', string.format('%.0f', seq), 'keep', keep, 'age', age, 'limit', limit,
  'bytes', bytes, 'touched', touched }
if process ~= '-' then
  state[#state + 1] = process
  state[#state + 1] = last .. ' ' .. epoch .. ' ' .. first .. ' ' .. now
end
redis.call('HSET', meta, unpack(state))
if process ~= '-' then
  if not known[5] and redis.call('HLEN', meta) > 64 then
    -- Processes that ended long ago repeat nothing.
    local fields = redis.call('HGETALL', meta)
    for i = 1, #fields, 2 do
      local at = string.match(fields[i + 1], '^%d+ %d+ %d+ (%d+)$')
      if at and now - at > 3600000 then redis.call('HDEL', meta, fields[i]) end
    end
  end
end
if touches then
  redis.call('PEXPIRE', stream, age)
  redis.call('PEXPIRE', meta, age)
end
local head = table.concat({ epoch, first, #sent, now }, ' ')
redis.call('SPUBLISH', stream, head .. '\n' .. table.concat(sent))
return { epoch, before + 1 }
