/** The size of a user's settings as JSON, from the fields and values of the hash. The owner is no setting. */
const SIZE = `
local function sizeOf(key, text)
  local _, escaped = string.gsub(key, '["\\\\]', '')
  return #key + escaped + #text + 4
end
local function sizeOfAll(user)
  local size, fields = 1, redis.call('HGETALL', user)
  for i = 1, #fields, 2 do
    if fields[i] ~= '' then size = size + sizeOf(fields[i], fields[i + 1]) end
  end
  return math.max(2, size)
end
`;

/**
 * Writes what has changed, and extends the life, in one step: two gates that store for one user lose nothing of each
 * other. What is not this user's hash is moved aside first; the answer is 1 then, else 0. A change that would make the settings larger
 * than they may be changes nothing; the answer is the negative size then.
 * KEYS: the user, aside. ARGV: ttl, owner, 1 to clear first, allowed size or 0, length of the pairs, pairs…, keys to delete…
 */
export const STORE_SCRIPT = `${SIZE}
local user, moved = KEYS[1], 0
local kind = redis.call('TYPE', user).ok
local foreign = kind ~= 'none' and (kind ~= 'hash' or redis.call('HGET', user, '') ~= ARGV[2])
local last = 5 + tonumber(ARGV[5])
local max = tonumber(ARGV[4])
if max > 0 and last > 5 then
  local values, before = {}, 2
  if kind == 'hash' and not foreign then
    before = sizeOfAll(user)
    if ARGV[3] ~= '1' then
      local fields = redis.call('HGETALL', user)
      for i = 1, #fields, 2 do values[fields[i]] = fields[i + 1] end
    end
  end
  for i = last + 1, #ARGV do values[ARGV[i]] = nil end
  for i = 6, last, 2 do values[ARGV[i]] = ARGV[i + 1] end
  values[''] = nil
  local size = 1
  for key, text in pairs(values) do size = size + sizeOf(key, text) end
  if size > max and size > before then return -size end
end
if foreign then
  redis.call('RENAME', user, KEYS[2])
  moved = 1
end
if ARGV[3] == '1' then redis.call('DEL', user) end
for i = last + 1, #ARGV do redis.call('HDEL', user, ARGV[i]) end
redis.call('HSET', user, '', ARGV[2])
for i = 6, last, 1000 do redis.call('HSET', user, unpack(ARGV, i, math.min(i + 999, last))) end
redis.call('PEXPIRE', user, ARGV[1])
return moved`;

/**
 * Moves a user's data aside when it still is what was found to be unusable: not a hash, a field with these bytes, or more than is
 * allowed. The answer is 1 when it was.
 * KEYS: the user, aside. ARGV: field, 1 when the field was there, its bytes; or '', 2, the allowed size.
 */
export const MOVE_ASIDE_SCRIPT = `${SIZE}
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'none' then return 0 end
if kind == 'hash' then
  local found = redis.call('HGET', KEYS[1], ARGV[1])
  if (ARGV[2] == '1' and found ~= ARGV[3]) or (ARGV[2] == '0' and found) then return 0 end
  if ARGV[2] == '2' and sizeOfAll(KEYS[1]) <= tonumber(ARGV[3]) then return 0 end
end
redis.call('RENAME', KEYS[1], KEYS[2])
return 1`;
