// SPDX-License-Identifier: Apache-2.0
#include "core.hpp"

namespace kvs {

namespace {

enum class Seen : std::uint8_t { match, other, gone };

// What `word` names, if it is still there.
Seen look(Call &call, Word word, const Key &key, Item::Header &header)
{
    const Log &log = call.core.logs[word.port()];
    const std::uint64_t position = word.position();
    if (log.lines == 0 || !log.has(position))
        return Seen::gone;
    const Item item = call.core.item(log, position);
    header = item.read();
    // Out of bounds: it is being overwritten, which intact() will tell.
    const bool same = header.position == position && header.key_length == key.length &&
                      log.holds(position, header.key_length, header.value_length) &&
                      item.has_key(key);
    if (!log.intact(position))
        return Seen::gone;
    return same ? Seen::match : Seen::other;
}

} // namespace

// A key has at most one slot, and leaves it only by being absent for a moment; so one pass is
// enough, if each slot is looked at until what it names is there, or nobody has changed the slot
// since.
Found find(Call &call, Bucket &bucket, const Key &key)
{
    Found found{Match::none, 0, Word{}, {}};
    for (std::uint32_t i = 0; i < Bucket::slots; ++i) {
        for (int tries = 0;; ++tries) {
            const Word word = bucket.get(i);
            if (!word.may_be(key.hash))
                break;
            const Seen seen = look(call, word, key, found.header);
            if (seen == Seen::match) {
                found.match = Match::found;
                found.slot = i;
                found.word = word;
                return found;
            }
            if (seen == Seen::other || bucket.get(i).same(word))
                break;
            call.counters.retries.add();
            if (tries == 8) {
                found.match = Match::busy;
                return found;
            }
        }
    }
    return found;
}

std::uint32_t place_for(Call &call, Bucket &bucket, const Turn &turn, bool &displaces)
{
    displaces = false;
    for (std::uint32_t i = 0; i < Bucket::slots; ++i) {
        const Word word = bucket.get(i);
        const Log &log = call.core.logs[word.port()];
        if (!word.is_item() || log.lines == 0 || !log.has(word.position()))
            return i;
        const Item::Header header = call.core.item(log, word.position()).read();
        if (!log.intact(word.position()) || call.core.expired(header.expires))
            return i;
    }
    displaces = true;
    // One that was not read lately, beginning with another one each time.
    std::uint32_t i = static_cast<std::uint32_t>(turn.next_number() % Bucket::slots);
    for (std::uint32_t n = 0; n < Bucket::slots; ++n) {
        if (!bucket.get(i).read_since())
            break;
        i = i + 1 < Bucket::slots ? i + 1 : 0;
    }
    return i;
}

bool is_listed(Call &, const Bucket &bucket, Word word, std::uint32_t &slot)
{
    for (slot = 0; slot < Bucket::slots; ++slot) {
        if (bucket.get(slot).same(word))
            return true;
    }
    return false;
}

} // namespace kvs
