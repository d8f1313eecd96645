// SPDX-License-Identifier: Apache-2.0
#include "fdb.hpp"

#include "frame.hpp"
#include "port.hpp"

namespace rvs {

namespace {

constexpr auto relaxed = std::memory_order_relaxed; // an entry is one word and guards nothing

constexpr std::uint64_t tag_mask = (std::uint64_t{1} << fdb_tag_bits) - 1;

constexpr std::uint64_t tag_of(std::uint64_t word)
{
    return word & tag_mask;
}
constexpr std::uint32_t stamp_of(std::uint64_t word)
{
    return static_cast<std::uint32_t>(word >> 56);
}
constexpr bool is_static(std::uint64_t word)
{
    return stamp_of(word) == fdb_static;
}

// Ticks since the stamp.
constexpr std::uint32_t age_of(std::uint64_t word, std::uint32_t now)
{
    const std::uint32_t stamp = stamp_of(word);
    return now >= stamp ? now - stamp : now + fdb_stamps - stamp;
}

bool replace(std::atomic<std::uint64_t> &way, std::uint64_t from, std::uint64_t to)
{
    return way.compare_exchange_strong(from, to, relaxed);
}

// What was learned of a static entry's address, elsewhere in its bucket: by who had looked at the
// bucket before the entry came.
void forget_others(FdbBucket &bucket, const std::atomic<std::uint64_t> &entry, std::uint64_t tag)
{
    for (auto &way : bucket.way) {
        const std::uint64_t word = way.load(relaxed);
        if (&way != &entry && word != 0 && tag_of(word) == tag)
            replace(way, word, 0);
    }
}

// A new entry of a port, and its count; `from` is another's, its own, or 0.
void exchange(std::atomic<std::uint64_t> &way, std::uint64_t from, std::uint64_t to, Port *ports)
{
    const std::uint32_t port = Fdb::port_of(to);
    if (from != 0 && Fdb::port_of(from) == port) { // as many as before
        replace(way, from, to);
        return;
    }
    // Both before the exchange. A call that is cut short meanwhile leaves our count too high, so
    // that nobody gets beyond its limit by that alone, and the other's too low: no neighbour may
    // fill it.
    LearnedCount &ours = ports[port].learned;
    ours.more();
    if (from == 0) {
        if (!replace(way, 0, to))
            ours.less();
        return;
    }
    LearnedCount &theirs = ports[Fdb::port_of(from)].learned;
    const LearnedCount::Less less = theirs.less();
    const bool moved = replace(way, from, to);
    const bool counted = theirs.settle(less);
    if (!moved)
        ours.less();
    if (moved && counted) // too low until the next count, if that did without it
        theirs.less();
    else if (!moved && !counted && less.done)
        theirs.more();
}

} // namespace

Learned Fdb::learn(std::uint64_t key, std::uint32_t port, std::uint32_t stamp, Port *ports)
{
    const Place at = place(key);
    const std::uint64_t want = Fdb::entry(at.tag, port, stamp);

    std::atomic<std::uint64_t> *found = nullptr;
    std::atomic<std::uint64_t> *room = nullptr;
    std::atomic<std::uint64_t> *own_oldest = nullptr;
    std::uint64_t found_word = 0;
    std::uint64_t own_oldest_word = 0;
    std::uint32_t own = 0;
    for (auto &way : at.bucket.way) {
        const std::uint64_t word = way.load(relaxed);
        if (word == want)
            return Learned::yes;
        if (word == 0) {
            if (room == nullptr)
                room = &way;
        } else if (tag_of(word) == at.tag) {
            if (is_static(word))
                return Fdb::port_of(word) == port ? Learned::yes : Learned::foreign;
            if (found == nullptr) {
                found = &way;
                found_word = word;
            }
        } else if (Fdb::port_of(word) == port && !is_static(word)) {
            ++own;
            if (own_oldest == nullptr || age_of(word, stamp) > age_of(own_oldest_word, stamp)) {
                own_oldest = &way;
                own_oldest_word = word;
            }
        }
    }
    if (found != nullptr && Fdb::port_of(found_word) == port) {
        replace(*found, found_word, want); // newer
        return Learned::yes;
    }
    LearnedCount &learned = ports[port].learned;
    const std::uint32_t limit = ports[port].policy.mac_limit.load(relaxed);
    if (limit != 0 && learned.number() >= limit)
        return Learned::full;
    std::atomic<std::uint64_t> *way = room;
    std::uint64_t word = 0;
    if (found != nullptr) { // it moves here
        way = found;
        word = found_word;
    } else if (own >= fdb_ways_per_port) {
        way = own_oldest;
        word = own_oldest_word;
    }
    if (way == nullptr)
        return Learned::yes;
    exchange(*way, word, want, ports);
    return Learned::yes;
}

Error Fdb::set_static(std::uint64_t key, std::uint32_t port)
{
    const Place at = place(key);
    const std::uint64_t want = Fdb::entry(at.tag, port, fdb_static);

    // Learners may change a way between our load and our exchange: then look again. They cannot
    // keep us here: each change is one frame of a guest, and any of eight ways will do.
    std::atomic<std::uint64_t> *placed = nullptr;
    for (int attempt = 0; attempt < 64 && placed == nullptr; ++attempt) {
        std::atomic<std::uint64_t> *choice = nullptr;
        std::uint64_t choice_word = 0;
        for (auto &way : at.bucket.way) {
            const std::uint64_t word = way.load(relaxed);
            const bool match = word != 0 && tag_of(word) == at.tag;
            if (match && is_static(word))
                return Fdb::port_of(word) == port ? Error::none : Error::state;
            if (match || (!is_static(word) && (choice == nullptr || word == 0) &&
                          (choice == nullptr || tag_of(choice_word) != at.tag))) {
                choice = &way;
                choice_word = word;
            }
        }
        if (choice == nullptr)
            return Error::full;
        if (replace(*choice, choice_word, want))
            placed = choice;
    }
    if (placed == nullptr)
        return Error::full;
    forget_others(at.bucket, *placed, at.tag);
    return Error::none;
}

void Fdb::forget_port(std::uint32_t port)
{
    for (std::uint64_t i = 0; i < count_; ++i) {
        for (auto &way : buckets_[i].way) {
            const std::uint64_t word = way.load(relaxed);
            if (word != 0 && Fdb::port_of(word) == port)
                replace(way, word, 0); // lost: it moved to another port
        }
    }
}

void Fdb::forget_learned(std::uint32_t port)
{
    for (std::uint64_t i = 0; i < count_; ++i) {
        for (auto &way : buckets_[i].way) {
            const std::uint64_t word = way.load(relaxed);
            if (word != 0 && Fdb::port_of(word) == port && !is_static(word))
                replace(way, word, 0); // lost: it was seen just now
        }
    }
}

void Fdb::remove(std::uint64_t key)
{
    const Place at = place(key);
    for (auto &way : at.bucket.way) {
        const std::uint64_t word = way.load(relaxed);
        if (word != 0 && tag_of(word) == at.tag)
            replace(way, word, 0);
    }
}

void Fdb::age(std::uint32_t now, std::uint32_t limit, Port *ports)
{
    std::uint64_t before[RVIF_MAX_PORTS];
    std::uint32_t found[RVIF_MAX_PORTS];
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port) {
        before[port] = ports[port].learned.snapshot();
        found[port] = 0;
    }
    for (std::uint64_t i = 0; i < count_; ++i) {
        for (auto &way : buckets_[i].way) {
            const std::uint64_t word = way.load(relaxed);
            if (word == 0)
                continue;
            if (is_static(word)) { // again: who has stopped for long may have learned since
                forget_others(buckets_[i], way, tag_of(word));
                continue;
            }
            // A lost exchange: it was seen again.
            if (age_of(word, now) <= limit || !replace(way, word, 0))
                ++found[Fdb::port_of(word)];
            else
                ports[Fdb::port_of(word)].learned.less();
        }
    }
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port)
        ports[port].learned.counted(before[port], found[port]);
}

std::size_t Fdb::read(std::size_t &cursor, std::uint32_t now, FdbEntry *out, std::size_t max) const
{
    const std::size_t ways = static_cast<std::size_t>(count_) * fdb_ways;
    std::size_t n = 0;
    for (; cursor < ways && n < max; ++cursor) {
        const std::uint64_t word = buckets_[cursor / fdb_ways].way[cursor % fdb_ways].load(relaxed);
        if (word == 0)
            continue;
        const std::uint64_t key = key_of(cursor / fdb_ways, word);
        out[n++] = FdbEntry{key & mac_mask, static_cast<std::uint32_t>(key >> 48),
                            PortId{Fdb::port_of(word)}, is_static(word),
                            is_static(word) ? 0 : age_of(word, now)};
    }
    return n;
}

} // namespace rvs
