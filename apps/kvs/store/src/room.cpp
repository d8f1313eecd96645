// SPDX-License-Identifier: Apache-2.0
// Room in a log whose window has come round: what lies at `begin` is either dead (replaced,
// deleted, expired), or moved to the tail, or given up. The cost of a PUT is bounded: it moves a
// few times its own size; if then there is still no room, it gives up what it meets.
#include "core.hpp"

namespace kvs {

namespace {

constexpr std::uint64_t items_a_call = 64;

std::uint64_t get_relaxed(const std::atomic<std::uint64_t> &word)
{
    return word.load(std::memory_order_relaxed);
}
void set_relaxed(std::atomic<std::uint64_t> &word, std::uint64_t value)
{
    word.store(value, std::memory_order_relaxed);
}

struct Oldest {
    std::uint64_t position;
    Item::Header header;
    Word word;
    bool alive;
    bool read_since;
};

// The item at `begin`. False: the log is not what its port's calls leave behind; two of them were
// at work at once.
bool oldest(Call &call, Oldest &out)
{
    const Log &log = call.log;
    out.position = log.begin.load(std::memory_order_relaxed);
    out.header = call.core.item(log, out.position).read();
    const std::uint64_t used = get_relaxed(log.tail) - out.position;
    if (out.header.position != out.position || out.header.lines == 0 || out.header.lines > used ||
        out.position % log.lines + out.header.lines > log.lines) {
        return false;
    }
    out.word = Word::item(call.index, out.header.hash, out.position);
    const Bucket &bucket = call.core.bucket(call.space, out.header.hash);
    std::uint32_t slot = 0;
    out.alive = out.header.key_length != 0 && !call.core.expired(out.header.expires) &&
                is_listed(call, bucket, out.word, slot);
    out.read_since = out.alive && bucket.get(slot).read_since();
    return true;
}

// The index names the copy from now on. False: others were faster, again and again.
bool relist(Call &call, const Oldest &item, std::uint64_t to)
{
    Bucket &bucket = call.core.bucket(call.space, item.header.hash);
    for (int i = 0; i < 8; ++i) {
        Turn turn;
        std::uint32_t slot = 0;
        if (!bucket.settle(turn, call.helped))
            return false;
        if (!is_listed(call, bucket, item.word, slot) ||
            bucket.change(turn, slot, Word::item(call.index, item.header.hash, to)))
            return true;
    }
    return false;
}

// What a PUT of `count` lines moves without being asked twice, in lines.
std::uint64_t fair_share(std::uint64_t count)
{
    return 3 * count + 64;
}

// When too much is alive to keep it all, what was not read goes first.
bool worth_keeping(const Call &call, const Oldest &item, std::uint64_t count)
{
    const Log &log = call.log;
    const std::uint64_t lines = item.header.lines;
    const std::uint64_t moved = get_relaxed(call.port.writer.moved);
    const bool wanted = item.read_since ? moved < 4 * fair_share(count)
                                        : moved < fair_share(count) && get_relaxed(log.full) == 0;
    return item.alive && wanted && lines + log.padding(get_relaxed(log.tail), lines) <= log.free();
}

void give_up(Call &call, const Oldest &item)
{
    Writer &writer = call.port.writer;
    if (item.alive) {
        call.counters.evicted.add();
        call.counters.evicted_bytes.add(item.header.lines * line);
        set_relaxed(call.log.full, 1);
    } else {
        set_relaxed(writer.dead, get_relaxed(writer.dead) + item.header.lines);
    }
    call.log.forget(item.position + item.header.lines);
}

// Up to `budget` bytes of the copy. True: it is complete. Where it goes may be another item's place
// by now, if two of the port's calls are at work at once; whatever it is, nothing is written behind
// the log's end, where others' begin.
bool move_some(Call &call, const Oldest &item, std::uint64_t &budget)
{
    Log &log = call.log;
    const std::uint64_t to = get_relaxed(log.moving_to) % log.lines;
    if (to + item.header.lines > log.lines) {
        set_relaxed(log.moving_to, 0);
        return false;
    }
    const std::uint64_t all = item.header.lines * line;
    const std::uint64_t done = get_relaxed(log.moved_bytes);
    const std::uint64_t rest = done < all ? all - done : 0;
    const std::uint64_t piece = rest < budget ? rest : budget;
    copy_in_log(call.core.at(log.data) + to * line + done,
                call.core.at(log.data) + item.position % log.lines * line + done, piece);
    set_relaxed(log.moved_bytes, done + piece);
    budget -= piece;
    return piece == rest;
}

} // namespace

std::uint64_t take(Core &core, Log &log, Item::Header header, std::uint64_t count)
{
    std::uint64_t at = get_relaxed(log.tail);
    const std::uint64_t padding = log.padding(at, count);
    if (padding != 0) {
        core.item(log, at).write({at, static_cast<std::uint32_t>(padding), 0, 0, 0, 0, 0, 0});
        at += padding;
    }
    header.position = at;
    header.lines = static_cast<std::uint32_t>(count);
    core.item(log, at).write(header);
    // Not given out before it can be told what lies there.
    log.tail.store(at + count, std::memory_order_release);
    return at;
}

std::int64_t make_room(Call &call, std::uint64_t count)
{
    Log &log = call.log;
    Writer &writer = call.port.writer;
    std::uint64_t budget = KVS_PIECE;
    for (std::uint64_t n = 0; n < items_a_call; ++n) {
        const std::uint64_t tail = get_relaxed(log.tail);
        if (tail > Word::max_position - 2 * log.lines)
            return -KVS_E_WORN;
        // The slack is what a run of things that are alive may cost; it is won back by the PUTs
        // after it.
        const std::uint64_t need = count + log.padding(tail, count);
        const bool has_moved = get_relaxed(writer.moved) >= fair_share(count);
        if (log.free() >= need + (has_moved ? log.slack() / 4 : log.slack())) {
            if (get_relaxed(writer.dead) >= count)
                set_relaxed(log.full, 0);
            set_relaxed(writer.moved, 0);
            set_relaxed(writer.dead, 0);
            return 0;
        }
        Oldest item;
        if (!oldest(call, item)) {
            log.forget(tail);
            continue;
        }
        if (get_relaxed(log.moving_to) != 0 && get_relaxed(log.moving_from) != item.position)
            set_relaxed(log.moving_to, 0); // a flush came between
        if (get_relaxed(log.moving_to) == 0) {
            if (!worth_keeping(call, item, count)) {
                give_up(call, item);
                continue;
            }
            set_relaxed(log.moving_from, item.position);
            set_relaxed(log.moved_bytes, Item::header);
            set_relaxed(log.moving_to, take(call.core, log, item.header, item.header.lines));
        }
        if (!move_some(call, item, budget))
            return KVS_MORE;
        if (!relist(call, item, get_relaxed(log.moving_to)))
            return KVS_MORE;
        set_relaxed(log.moving_to, 0);
        set_relaxed(writer.moved, get_relaxed(writer.moved) + item.header.lines);
        call.counters.moved_bytes.add(item.header.lines * line);
        log.forget(item.position + item.header.lines);
        if (budget == 0)
            return KVS_MORE;
    }
    return KVS_MORE;
}

} // namespace kvs
